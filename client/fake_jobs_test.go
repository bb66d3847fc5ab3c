package fairlane

import (
	"context"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func (f *fake) open(nonce uint64, name string) *fakeSession {
	for _, s := range f.sessions {
		if s.nonce == nonce {
			return s
		}
	}
	f.last++
	s := &fakeSession{id: f.last, nonce: nonce, name: name, answers: map[uint64]stored{}}
	f.sessions[s.id] = s
	return s
}

func (f *fake) OpenSession(ctx context.Context, r *fairlanev1.OpenSessionRequest) (*fairlanev1.OpenSessionResponse, error) {
	return serve(f, ctx, "OpenSession", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.OpenSessionResponse, bool, error) {
		return &fairlanev1.OpenSessionResponse{Session: f.open(r.Nonce, r.Name).id}, false, nil
	})
}

func (f *fake) Enqueue(ctx context.Context, r *fairlanev1.EnqueueRequest) (*fairlanev1.EnqueueResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "Enqueue", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.EnqueueResponse, bool, error) {
		return &fairlanev1.EnqueueResponse{Id: f.put(r.GetJob())}, true, nil
	})
}

func (f *fake) put(n *fairlanev1.NewJob) uint64 {
	j := &fairlanev1.Job{Id: uint64(len(f.jobs) + 1), Kind: n.Kind, Queue: n.Queue, User: n.User, State: StatePending, Labels: n.Labels, MaxAttempts: 4,
		Coordinator: n.Coordinator}
	if j.Queue == "" {
		j.Queue = "default"
	}
	switch p := n.Payload.(type) {
	case *fairlanev1.NewJob_Json:
		j.Payload = &fairlanev1.Job_Json{Json: p.Json}
	case *fairlanev1.NewJob_Data:
		j.Payload = &fairlanev1.Job_Data{Data: p.Data}
	}
	f.jobs[j.Id] = &fakeJob{Job: j}
	f.signal()
	return j.Id
}

func (f *fake) EnqueueMany(ctx context.Context, r *fairlanev1.EnqueueManyRequest) (*fairlanev1.EnqueueManyResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "EnqueueMany", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.EnqueueManyResponse, bool, error) {
		if err := refuseMany(r.Jobs); err != nil {
			return nil, false, err
		}
		res := &fairlanev1.EnqueueManyResponse{}
		for _, n := range r.Jobs {
			if n.Kind == "" {
				res.Results = append(res.Results, &fairlanev1.EnqueueOutcome{Error: &fairlanev1.ErrorBody{Reason: "INVALID_ARGUMENT", Code: "FL1501"}})
				continue
			}
			res.Results = append(res.Results, &fairlanev1.EnqueueOutcome{Id: f.put(n)})
		}
		return res, true, nil
	})
}

// refuseMany refuses a whole call before anything is done, for its first bad job or for its size.
func refuseMany(jobs []*fairlanev1.NewJob) error {
	bytes := 0
	for i, n := range jobs {
		payload := len(n.GetJson()) + len(n.GetData())
		bytes += payload
		if strings.Contains(n.GetQueue(), " ") {
			return wireErrorAbout(ErrInvalidArgument, fmt.Sprintf("jobs[%d].queue", i))
		}
		if payload > 1<<20 {
			return wireErrorAbout(ErrTooLarge, fmt.Sprintf("jobs[%d].data", i))
		}
	}
	if bytes > 1<<20 {
		return wireErrorAbout(ErrTooLarge, "jobs: payloads together")
	}
	if len(jobs) > 1000 {
		return wireErrorAbout(ErrInvalidArgument, "jobs")
	}
	return nil
}

// wireErrorAbout a field of the request.
func wireErrorAbout(reason Reason, field string) error {
	err := connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s is not what it should be", field))
	info, _ := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: string(reason), Domain: "fairlane", Metadata: map[string]string{"code": "FL1501", "field": field}})
	err.AddDetail(info)
	return err
}

func (f *fake) Get(ctx context.Context, r *fairlanev1.GetRequest) (*fairlanev1.GetResponse, error) {
	return serve(f, ctx, "Get", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.GetResponse, bool, error) {
		if f.jobs[r.Id] == nil {
			return nil, false, wireError(ErrUnknownJob, "", 0)
		}
		return &fairlanev1.GetResponse{Job: proto.CloneOf(f.jobs[r.Id].Job)}, false, nil
	})
}

func (f *fake) Cancel(ctx context.Context, r *fairlanev1.CancelRequest) (*fairlanev1.CancelResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "Cancel", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.CancelResponse, bool, error) {
		j := f.jobs[r.Id]
		did := !Final(j.State)
		j.State = StateCancelled
		f.signal()
		return &fairlanev1.CancelResponse{Cancelled: did, State: j.State}, true, nil
	})
}

func (f *fake) Register(ctx context.Context, r *fairlanev1.RegisterRequest) (*fairlanev1.RegisterResponse, error) {
	return serve(f, ctx, "Register", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.RegisterResponse, bool, error) {
		s := f.open(r.Nonce, r.Name)
		s.lanes = parseFakeLanes(r.Lanes)
		return &fairlanev1.RegisterResponse{Session: s.id, Lanes: s.lanes, HeartbeatMs: (f.lease / 3).Milliseconds()}, false, nil
	})
}

func (f *fake) Claim(ctx context.Context, r *fairlanev1.ClaimRequest) (*fairlanev1.ClaimResponse, error) {
	began := time.Now()
	ends := time.After(time.Duration(r.WaitMs) * time.Millisecond)
	first := true
	for {
		f.mu.Lock()
		changed := f.changed
		f.mu.Unlock()
		apply := func(s *fakeSession) (*fairlanev1.ClaimResponse, bool, error) {
			res := f.take(s, r.Lane)
			res.ParkedMs = time.Since(began).Milliseconds()
			return res, res.Claim != nil, nil
		}
		method := "Claim"
		if !first {
			method = "parked" // not a request of its own
		}
		res, err := serve(f, ctx, method, r, r.Session, r.Number, r.Lowest, apply)
		first = false
		if err != nil || res.Claim != nil || res.Reason != fairlanev1.EmptyReason_EMPTY_REASON_NOTHING {
			return res, err
		}
		select {
		case <-changed:
		case <-ends:
			return res, nil
		case <-settled(ctx):
			return res, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *fake) Heartbeat(ctx context.Context, r *fairlanev1.HeartbeatRequest) (*fairlanev1.HeartbeatResponse, error) {
	return serve(f, ctx, "Heartbeat", r, r.Session, 0, 0, func(s *fakeSession) (*fairlanev1.HeartbeatResponse, bool, error) {
		res := &fairlanev1.HeartbeatResponse{Draining: s.draining}
		listed := map[uint64]bool{}
		for _, fence := range r.Fences {
			listed[fence] = true
			status := fairlanev1.ClaimStatus_CLAIM_STATUS_LOST
			if j := f.byFence(s, fence); j != nil {
				j.ends = time.Now().Add(f.lease)
				status = fairlanev1.ClaimStatus_CLAIM_STATUS_OK
				if j.State == StateCancelled {
					status = fairlanev1.ClaimStatus_CLAIM_STATUS_CANCELLED
				}
			}
			res.Statuses = append(res.Statuses, status)
		}
		for _, j := range f.jobs {
			if j.fence != 0 && j.session == s.id && !listed[j.fence] {
				res.Unlisted = append(res.Unlisted, j.fence)
			}
		}
		return res, false, nil
	})
}

func (f *fake) byFence(s *fakeSession, fence uint64) *fakeJob {
	for _, j := range f.jobs {
		if fence != 0 && j.fence == fence && j.session == s.id {
			return j
		}
	}
	return nil
}

func (f *fake) Finish(ctx context.Context, r *fairlanev1.FinishRequest) (*fairlanev1.FinishResponse, error) {
	return serve(f, ctx, "Finish", r, r.Session, r.Number, r.Lowest, func(s *fakeSession) (*fairlanev1.FinishResponse, bool, error) {
		res := &fairlanev1.FinishResponse{}
		if j := f.byFence(s, r.Fence); j == nil {
			res.Error = &fairlanev1.ErrorBody{Reason: string(ErrClaimLost), Code: "FL1201"}
		} else {
			res.Cancelled = j.State == StateCancelled
			if !res.Cancelled {
				j.append(r.GetRest().GetOffset(), r.GetRest().GetData())
			}
			switch o := r.Outcome.(type) {
			case *fairlanev1.FinishRequest_Success:
				if !res.Cancelled {
					j.State, j.Result = StateSucceeded, o.Success.Result
				}
			case *fairlanev1.FinishRequest_Failure:
				if !res.Cancelled {
					j.State, j.Error = StateFailed, o.Failure.Error
				}
			case *fairlanev1.FinishRequest_Snooze:
				j.State = fairlanev1.JobState_JOB_STATE_SCHEDULED
			}
			f.letGo(j)
			res.State = j.State
		}
		if r.Next != nil {
			res.Next = f.take(s, r.Next.Lane)
		}
		return res, true, nil
	})
}

func (f *fake) Release(ctx context.Context, r *fairlanev1.ReleaseRequest) (*fairlanev1.ReleaseResponse, error) {
	return serve(f, ctx, "Release", r, r.Session, r.Number, r.Lowest, func(s *fakeSession) (*fairlanev1.ReleaseResponse, bool, error) {
		res := &fairlanev1.ReleaseResponse{}
		for _, fence := range r.Fences {
			j := f.byFence(s, fence)
			if j == nil {
				res.Statuses = append(res.Statuses, fairlanev1.ClaimStatus_CLAIM_STATUS_LOST)
				continue
			}
			f.release(j)
			res.Statuses = append(res.Statuses, fairlanev1.ClaimStatus_CLAIM_STATUS_OK)
		}
		return res, true, nil
	})
}

func (f *fake) release(j *fakeJob) {
	j.released++
	if j.State == StateRunning {
		j.State = StatePending
	}
	f.letGo(j)
}

func (f *fake) Drain(ctx context.Context, r *fairlanev1.DrainRequest) (*fairlanev1.DrainResponse, error) {
	return serve(f, ctx, "Drain", r, r.Session, 0, 0, func(s *fakeSession) (*fairlanev1.DrainResponse, bool, error) {
		s.draining = !r.Undo
		f.signal()
		return &fairlanev1.DrainResponse{}, false, nil
	})
}

func (f *fake) Deregister(ctx context.Context, r *fairlanev1.DeregisterRequest) (*fairlanev1.DeregisterResponse, error) {
	return serve(f, ctx, "Deregister", r, r.Session, 0, 0, func(s *fakeSession) (*fairlanev1.DeregisterResponse, bool, error) {
		for _, j := range f.jobs {
			if j.fence != 0 && j.session == s.id {
				f.release(j)
			}
		}
		s.ended = ErrSessionEnded
		f.signal()
		return &fairlanev1.DeregisterResponse{}, false, nil
	})
}
