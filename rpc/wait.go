package rpc

import (
	"context"
	"errors"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// freshen returns once the state of this node, which leads, holds everything that was decided before the call. Linearizable
// reads are made on the leader: a follower that asked for the index alone would learn only with raft's next heartbeat that
// the entry is committed (docs/decisions/0006-reads-at-the-leader.md).
func (s *server) freshen(ctx context.Context) error {
	index, err := s.node.ReadBarrier(ctx)
	if err != nil {
		return err
	}
	return s.node.WaitApplied(ctx, index)
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

// Wait looks once at the job on the leader, and from then on at this node's own state, which follows.
func (s *jobService) Wait(ctx context.Context, r *v1.WaitRequest) (*v1.WaitResponse, error) {
	if err := checkWait(r); err != nil {
		return nil, err
	}
	// Watched before it is read: what this node applies after the leader was read is not missed.
	watch, err := s.node.Watch(cluster.Topic{Job: fsm.JobID(r.GetId())}, cluster.WatchJobs)
	if err != nil {
		return nil, s.failure(err)
	}
	defer watch.Stop()
	over := time.NewTimer(time.Duration(r.GetWaitMs()) * time.Millisecond)
	defer over.Stop()
	first, err := s.Get(ctx, &v1.GetRequest{Id: r.GetId()})
	if err != nil {
		return nil, err
	}
	answer := &v1.WaitResponse{Job: first.GetJob(), Index: first.GetIndex()}
	for !isFinal(answer.Job.GetState()) {
		changed, err := watch.Wait(ctx, 0, over.C)
		switch {
		case errors.Is(err, cluster.ErrShutdown): // the caller asks another node
			return answer, nil
		case err != nil:
			return nil, s.failure(err)
		case !changed:
			return answer, nil
		}
		job, index := s.readJob(r.GetId())
		switch {
		case index < answer.Index: // this node is behind what the leader said
		case job == nil:
			return nil, problem(UnknownJob, "job", number(r.GetId()))
		default:
			answer = &v1.WaitResponse{Job: jobAnswer(job), Index: index}
		}
	}
	return answer, nil
}

// isFinal: the final states are the last ones.
func isFinal(state v1.JobState) bool { return state >= v1.JobState_JOB_STATE_SUCCEEDED }
