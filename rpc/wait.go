package rpc

import (
	"context"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// linearizable returns once this node's own state holds everything that was decided before the call.
func (s *server) linearizable(ctx context.Context) error {
	index, err := s.readIndex(ctx)
	if err != nil {
		return err
	}
	return s.failure(s.node.WaitApplied(ctx, index.GetIndex()))
}

// readIndex asks the leader how far a linearizable read must see.
func (s *server) readIndex(ctx context.Context) (*v1.ReadIndexResponse, error) {
	return atLeader(ctx, s, leaderCall[v1.ReadIndexResponse]{
		local: func(ctx context.Context) (*v1.ReadIndexResponse, error) {
			index, err := s.node.ReadBarrier(ctx)
			return &v1.ReadIndexResponse{Index: index}, err
		},
		remote: func(ctx context.Context, p *peer) (*v1.ReadIndexResponse, error) {
			return p.cluster.ReadIndex(ctx, &v1.ReadIndexRequest{})
		},
		harmless: true,
	})
}

// Wait watches the job in this node's own state, after one linearizable look at it.
func (s *jobService) Wait(ctx context.Context, r *v1.WaitRequest) (*v1.WaitResponse, error) {
	if err := checkWait(r); err != nil {
		return nil, err
	}
	// Watched before it is read: a change between the two is not missed.
	changed, stop := s.node.WatchJob(fsm.JobID(r.GetId()))
	defer stop()
	if err := s.linearizable(ctx); err != nil {
		return nil, err
	}
	over := time.NewTimer(time.Duration(r.GetWaitMs()) * time.Millisecond)
	defer over.Stop()
	for {
		job, index := s.readJob(r.GetId())
		if job == nil {
			return nil, problem(UnknownJob, "job", number(r.GetId()))
		}
		answer := &v1.WaitResponse{Job: jobAnswer(job), Index: index}
		if final(job.GetState()) {
			return answer, nil
		}
		select {
		case _, open := <-changed:
			if !open { // the node shuts down: the caller asks another one
				return answer, nil
			}
		case <-over.C:
			return answer, nil
		case <-ctx.Done():
			return nil, s.failure(ctx.Err())
		}
	}
}

func final(state logv1.State) bool { return state >= logv1.State_STATE_SUCCEEDED }
