package rpc

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// jobService is for everybody who has work done.
type jobService struct{ *server }

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// propose a command on this node, which leads, and give the machine's answer; a refusal is an error. about are pairs of
// values of the request that the sentence of a refusal may need.
func (s *server) propose(ctx context.Context, cmd *logv1.Command, about ...string) (*logv1.Result, error) {
	return s.proposeAbout(ctx, cmd, func() []string { return about })
}

// proposeAbout is propose for the calls that each job makes: about is made only for a refusal.
func (s *server) proposeAbout(ctx context.Context, cmd *logv1.Command, about func() []string) (*logv1.Result, error) {
	if size := proto.Size(cmd); size > maxCommandBytes {
		return nil, tooLargeCommand(size)
	}
	result, err := s.node.Propose(ctx, cmd)
	return decidedAbout(cmd, result, err, about)
}

// decided separates what the machine refused as a whole.
func decided(cmd *logv1.Command, result *logv1.Result, err error, about []string) (*logv1.Result, error) {
	return decidedAbout(cmd, result, err, func() []string { return about })
}

// decidedAbout is decided for proposeAbout.
func decidedAbout(cmd *logv1.Command, result *logv1.Result, err error, about func() []string) (*logv1.Result, error) {
	if err != nil {
		return nil, err
	}
	if result.GetRefusal() == nil {
		return result, nil
	}
	values := about()
	if r := cmd.GetRepeat(); r != nil {
		values = append([]string{"session", number(r.GetSession()), "number", number(r.GetNumber())}, values...)
	}
	return nil, refusalError(result.GetRefusal(), values...)
}

func (s *jobService) OpenSession(ctx context.Context, r *v1.OpenSessionRequest) (*v1.OpenSessionResponse, error) {
	if err := checkOpenSession(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.OpenSessionResponse]{
		local: func(ctx context.Context) (*v1.OpenSessionResponse, error) {
			op := &logv1.Command_OpenSession{OpenSession: &logv1.OpenSession{Nonce: r.GetNonce(), Name: r.GetName()}}
			result, err := s.propose(ctx, &logv1.Command{Op: op})
			if err != nil {
				return nil, err
			}
			return &v1.OpenSessionResponse{Session: result.GetSession().GetSession()}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.OpenSessionResponse, error) { return p.jobs.OpenSession(ctx, r) },
	})
}

// aboutJob gives what the errors of an enqueue may name.
func aboutJob(job *logv1.NewJob) []string {
	return []string{"queue", job.GetQueue(), "user", job.GetUser(), "key", job.GetIdempotencyKey()}
}

func (s *jobService) Enqueue(ctx context.Context, r *v1.EnqueueRequest) (*v1.EnqueueResponse, error) {
	if err := checkEnqueue(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.EnqueueResponse]{
		local: func(ctx context.Context) (*v1.EnqueueResponse, error) {
			job := newJobFrom(r.GetJob())
			op := &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{job}}}
			result, err := s.proposeAbout(ctx, &logv1.Command{Repeat: repeatFrom(r.GetRepeat()), Op: op}, func() []string { return aboutJob(job) })
			if err != nil {
				return nil, err
			}
			outcome := result.GetEnqueue().GetOutcomes()[0]
			if outcome.GetRefusal() != nil {
				return nil, refusalError(outcome.GetRefusal(), aboutJob(job)...)
			}
			return &v1.EnqueueResponse{Id: outcome.GetJob(), Deduplicated: outcome.GetDeduplicated(), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.EnqueueResponse, error) { return p.jobs.Enqueue(ctx, r) },
	})
}

func (s *jobService) EnqueueMany(ctx context.Context, r *v1.EnqueueManyRequest) (*v1.EnqueueManyResponse, error) {
	if err := checkEnqueueMany(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.EnqueueManyResponse]{
		local: func(ctx context.Context) (*v1.EnqueueManyResponse, error) {
			jobs := make([]*logv1.NewJob, len(r.GetJobs()))
			for i, job := range r.GetJobs() {
				jobs[i] = newJobFrom(job)
			}
			op := &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: jobs, AllOrNothing: r.GetAllOrNothing()}}
			result, err := s.propose(ctx, &logv1.Command{Repeat: repeatFrom(r.GetRepeat()), Op: op})
			if err != nil {
				return nil, err
			}
			return enqueueManyAnswer(result, func(i int) []string { return aboutJob(jobs[i]) }), nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.EnqueueManyResponse, error) { return p.jobs.EnqueueMany(ctx, r) },
	})
}

func (s *jobService) Cancel(ctx context.Context, r *v1.CancelRequest) (*v1.CancelResponse, error) {
	if err := checkIDAndRepeat(r.GetId(), r.GetRepeat()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.CancelResponse]{
		local: func(ctx context.Context) (*v1.CancelResponse, error) {
			op := &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: r.GetId()}}
			result, err := s.propose(ctx, &logv1.Command{Repeat: repeatFrom(r.GetRepeat()), Op: op}, "job", number(r.GetId()))
			if err != nil {
				return nil, err
			}
			cancel := result.GetCancel()
			return &v1.CancelResponse{Cancelled: cancel.GetCancelled(), State: v1.JobState(cancel.GetState()), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.CancelResponse, error) { return p.jobs.Cancel(ctx, r) },
	})
}

func (s *jobService) Retry(ctx context.Context, r *v1.RetryRequest) (*v1.RetryResponse, error) {
	if err := checkIDAndRepeat(r.GetId(), r.GetRepeat()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.RetryResponse]{
		local: func(ctx context.Context) (*v1.RetryResponse, error) {
			op := &logv1.Command_Retry{Retry: &logv1.Retry{Job: r.GetId()}}
			result, err := s.propose(ctx, &logv1.Command{Repeat: repeatFrom(r.GetRepeat()), Op: op},
				"job", number(r.GetId()), "want", "failed, timed_out or cancelled")
			if err != nil {
				return nil, err
			}
			return &v1.RetryResponse{Id: result.GetRetry().GetJob(), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.RetryResponse, error) { return p.jobs.Retry(ctx, r) },
	})
}

func (s *jobService) Get(ctx context.Context, r *v1.GetRequest) (*v1.GetResponse, error) {
	if err := checkJobID(r.GetId()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.GetResponse]{
		local: func(ctx context.Context) (*v1.GetResponse, error) {
			if err := s.freshen(ctx); err != nil {
				return nil, err
			}
			job, index := s.readJob(r.GetId())
			if job == nil {
				return nil, problem(UnknownJob, "job", number(r.GetId()))
			}
			return &v1.GetResponse{Job: jobAnswer(job), Index: index}, nil
		},
		remote:   func(ctx context.Context, p *peer) (*v1.GetResponse, error) { return p.jobs.Get(ctx, r) },
		harmless: true,
	})
}

// readJob from this node's own state; nil when there is none. Records are never changed, so it is used outside the lock.
func (s *server) readJob(id uint64) (job *logv1.Job, index uint64) {
	s.node.View(func(m *fsm.Machine) {
		job, _ = m.Job(fsm.JobID(id))
		index = m.AppliedIndex()
	})
	return job, index
}

// List shows a page of this node's own state.
func (s *jobService) List(_ context.Context, r *v1.ListRequest) (*v1.ListResponse, error) {
	if err := checkList(r); err != nil {
		return nil, err
	}
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = 100
	}
	filter := filterFrom(r.GetFilter())
	filter.Before, filter.Limit = fsm.JobID(r.GetBeforeId()), limit
	insight := s.node.Insight()
	jobs, next := insight.Jobs(filter)
	out := &v1.ListResponse{NextBeforeId: uint64(next), Index: insight.Index()}
	for _, job := range jobs {
		out.Jobs = append(out.Jobs, jobSummary(job))
	}
	return out, nil
}
