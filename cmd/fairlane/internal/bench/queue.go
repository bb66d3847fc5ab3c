package bench

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// makeQueue makes the queue of the run, or finds it empty.
func (r *run) makeQueue(ctx context.Context) error {
	found, err := do(ctx, r.target, func(ctx context.Context, n *node) (*fairlanev1.GetQueueResponse, error) {
		return n.queues.GetQueue(ctx, &fairlanev1.GetQueueRequest{Name: r.queue})
	})
	switch {
	case err == nil:
		if c := found.GetQueue().GetCounts(); c.GetScheduled()+c.GetPending()+c.GetRunning() > 0 {
			return fmt.Errorf("queue %s holds jobs that wait or run: choose one that is not used, with --queue", r.queue)
		}
		return nil
	case connect.CodeOf(err) != connect.CodeNotFound:
		return fmt.Errorf("queue %s: %w", r.queue, err)
	}
	r.made = true
	return r.setQueue(ctx, &fairlanev1.QueueSettings{})
}

func (r *run) setQueue(ctx context.Context, s *fairlanev1.QueueSettings) error {
	_, err := do(ctx, r.target, func(ctx context.Context, n *node) (*fairlanev1.SetQueueResponse, error) {
		return n.queues.SetQueue(ctx, &fairlanev1.SetQueueRequest{Name: r.queue, Settings: s})
	})
	if err != nil {
		return fmt.Errorf("queue %s: %w", r.queue, err)
	}
	return nil
}

// countWaiting checks against the cluster's own count that what was acknowledged is there.
func (r *run) countWaiting(ctx context.Context, a *Account) error {
	q, err := do(ctx, r.target, func(ctx context.Context, n *node) (*fairlanev1.GetQueueResponse, error) {
		return n.queues.GetQueue(ctx, &fairlanev1.GetQueueRequest{Name: r.queue})
	})
	if err != nil {
		return fmt.Errorf("queue %s: %w", r.queue, err)
	}
	pending := q.GetQueue().GetCounts().GetPending()
	a.Lost += max(0, a.Acknowledged-pending)
	a.Twice += max(0, pending-a.Acknowledged-a.Unacknowledged)
	return nil
}

// clearQueue cancels what waits and, if the run made the queue, removes it and its history.
func (r *run) clearQueue(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	before := uint64(0)
	for {
		res, err := do(ctx, r.target, func(ctx context.Context, n *node) (*fairlanev1.CancelManyResponse, error) {
			return n.jobs.CancelMany(ctx, &fairlanev1.CancelManyRequest{
				Filter: &fairlanev1.JobFilter{Queue: r.queue, Kind: kind, States: []fairlanev1.JobState{
					fairlanev1.JobState_JOB_STATE_PENDING, fairlanev1.JobState_JOB_STATE_RUNNING,
				}}, Limit: mostBatch, BeforeId: before,
			})
		})
		if err != nil {
			return err
		}
		if before = res.GetNextBeforeId(); before == 0 {
			break
		}
	}
	if !r.made {
		return nil
	}
	if err := r.setQueue(ctx, &fairlanev1.QueueSettings{RetentionJobs: proto.Int64(0)}); err != nil {
		return err
	}
	for {
		// The history goes in steps; the queue can be deleted after the last one.
		_, err := do(ctx, r.target, func(ctx context.Context, n *node) (*fairlanev1.DeleteQueueResponse, error) {
			return n.queues.DeleteQueue(ctx, &fairlanev1.DeleteQueueRequest{Name: r.queue})
		})
		if err == nil {
			return nil
		}
		if reasonOf(err) != "QUEUE_NOT_EMPTY" || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}
