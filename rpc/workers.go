package rpc

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// workerService is for processes that run jobs.
type workerService struct{ *server }

func (s *workerService) Register(ctx context.Context, r *v1.RegisterRequest) (*v1.RegisterResponse, error) {
	if err := checkRegister(r); err != nil {
		return nil, err
	}
	lanes, found, err := scheduler.ParseLanes(r.GetLanes())
	if err != nil {
		return nil, badLanes(r.GetLanes(), err)
	}
	var warnings []string
	for _, warning := range found {
		warnings = append(warnings, warningText(warning))
	}
	return atLeader(ctx, s.server, leaderCall[v1.RegisterResponse]{
		local: func(ctx context.Context) (*v1.RegisterResponse, error) {
			op := &logv1.Command_Register{Register: &logv1.Register{
				Name: r.GetName(), Nonce: r.GetNonce(), Lanes: lanesFrom(lanes), FormerGone: r.GetFormerGone(), User: r.GetUser(),
			}}
			result, err := s.propose(ctx, &logv1.Command{Op: op}, "name", r.GetName())
			if err != nil {
				return nil, err
			}
			return registerAnswer(result, warnings), nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.RegisterResponse, error) { return p.workers.Register(ctx, r) },
	})
}

// badLanes shows where the grammar was left.
func badLanes(lanes string, err error) error {
	var bad *scheduler.LaneError
	if !errors.As(err, &bad) {
		return problem(BadLanes, "value", strconv.Quote(lanes), "why", err.Error())
	}
	return problem(BadLanes, "value", strconv.Quote(lanes), "lane_code", string(bad.Code), "token", strconv.Quote(bad.Token),
		"offset", strconv.Itoa(bad.Offset), "why", bad.Message)
}

func (s *workerService) Claim(ctx context.Context, r *v1.ClaimRequest) (*v1.ClaimResponse, error) {
	if err := checkClaim(r); err != nil {
		return nil, err
	}
	began := time.Now()
	wait := time.Duration(r.GetWaitMs()) * time.Millisecond
	// left of the wait: attempts that came to nothing have used some of it.
	left := func() time.Duration { return max(0, wait-time.Since(began)) }
	cmd := claimCommand(r)
	return atLeader(ctx, s.server, leaderCall[v1.ClaimResponse]{
		local: func(ctx context.Context) (*v1.ClaimResponse, error) {
			result, parked, err := s.node.Claim(ctx, cmd, left())
			result, err = decidedAbout(cmd, result, err, func() []string { return aboutClaim(r) })
			if err != nil {
				return nil, err
			}
			return claimResult(r, result, parked)
		},
		remote: func(ctx context.Context, p *peer) (*v1.ClaimResponse, error) {
			return p.workers.Claim(ctx, &v1.ClaimRequest{
				Session: r.GetSession(), Lane: r.GetLane(), WaitMs: left().Milliseconds(), Number: r.GetNumber(), Lowest: r.GetLowest(),
			})
		},
		wait: wait,
	})
}

func (s *workerService) Heartbeat(ctx context.Context, r *v1.HeartbeatRequest) (*v1.HeartbeatResponse, error) {
	if err := checkHeartbeat(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.HeartbeatResponse]{
		local: func(ctx context.Context) (*v1.HeartbeatResponse, error) {
			result, err := s.proposeAbout(ctx, heartbeatCommand(r), func() []string { return []string{"session", number(r.GetSession())} })
			if err != nil {
				return nil, err
			}
			return heartbeatAnswer(result), nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.HeartbeatResponse, error) { return p.workers.Heartbeat(ctx, r) },
		// A second heartbeat only lengthens the leases again.
		harmless: true,
	})
}

func (s *workerService) Finish(ctx context.Context, r *v1.FinishRequest) (*v1.FinishResponse, error) {
	if err := checkFinish(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.FinishResponse]{
		local: func(ctx context.Context) (*v1.FinishResponse, error) {
			result, err := s.proposeAbout(ctx, finishCommand(r), func() []string { return aboutFinish(r) })
			if err != nil {
				return nil, err
			}
			return finishAnswer(result, r), nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.FinishResponse, error) { return p.workers.Finish(ctx, r) },
	})
}

func (s *workerService) Release(ctx context.Context, r *v1.ReleaseRequest) (*v1.ReleaseResponse, error) {
	if err := checkRelease(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.ReleaseResponse]{
		local: func(ctx context.Context) (*v1.ReleaseResponse, error) {
			result, err := s.propose(ctx, releaseCommand(r), "session", number(r.GetSession()))
			if err != nil {
				return nil, err
			}
			return releaseAnswer(result), nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.ReleaseResponse, error) { return p.workers.Release(ctx, r) },
	})
}

// aboutWorker names a worker the way the request did.
func aboutWorker(session uint64, name string) []string {
	if name != "" {
		return []string{"name", strconv.Quote(name)}
	}
	return []string{"session", number(session)}
}

func (s *workerService) Drain(ctx context.Context, r *v1.DrainRequest) (*v1.DrainResponse, error) {
	if err := checkDrain(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.DrainResponse]{
		local: func(ctx context.Context) (*v1.DrainResponse, error) {
			op := &logv1.Command_Drain{Drain: &logv1.Drain{Session: r.GetSession(), Name: r.GetName(), Undo: r.GetUndo()}}
			result, err := s.propose(ctx, &logv1.Command{Op: op}, aboutWorker(r.GetSession(), r.GetName())...)
			if err != nil {
				return nil, err
			}
			return &v1.DrainResponse{Running: result.GetDrain().GetRunning(), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.DrainResponse, error) { return p.workers.Drain(ctx, r) },
	})
}

func (s *workerService) Deregister(ctx context.Context, r *v1.DeregisterRequest) (*v1.DeregisterResponse, error) {
	if err := checkDeregister(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.DeregisterResponse]{
		local: func(ctx context.Context) (*v1.DeregisterResponse, error) {
			op := &logv1.Command_Deregister{Deregister: &logv1.Deregister{Session: r.GetSession()}}
			result, err := s.propose(ctx, &logv1.Command{Op: op}, aboutWorker(r.GetSession(), "")...)
			if err != nil {
				return nil, err
			}
			return &v1.DeregisterResponse{Released: uint32(len(result.GetRelease().GetStatuses())), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.DeregisterResponse, error) {
			return p.workers.Deregister(ctx, r)
		},
	})
}

func (s *workerService) ListWorkers(_ context.Context, r *v1.ListWorkersRequest) (*v1.ListWorkersResponse, error) {
	if err := checkListWorkers(r); err != nil {
		return nil, err
	}
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = 100
	}
	out := &v1.ListWorkersResponse{}
	var views []fsm.WorkerView
	s.node.View(func(m *fsm.Machine) {
		views = m.Workers(fsm.SessionID(r.GetAfterSession()), limit+1)
		out.Index = m.AppliedIndex()
	})
	if len(views) > limit {
		views = views[:limit]
		out.NextAfterSession = uint64(views[limit-1].Session)
	}
	for _, view := range views {
		out.Workers = append(out.Workers, workerAnswer(view))
	}
	return out, nil
}

func warningText(w scheduler.Warning) string { return w.Code + ": " + w.Message }

func workerAnswer(view fsm.WorkerView) *v1.Worker {
	out := &v1.Worker{Session: uint64(view.Session), Name: view.Name, Draining: view.Draining, User: view.User}
	for _, lane := range view.Lanes {
		out.Lanes = append(out.Lanes, &v1.LaneStatus{
			Lane:    &v1.Lane{Chain: lane.Lane.GetChain(), Slots: lane.Lane.GetSlots(), MemoryBytes: lane.Lane.GetMemoryBytes()},
			Running: lane.Running, ReservedBytes: lane.UsedMemory,
		})
	}
	return out
}
