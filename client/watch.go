package fairlane

import (
	"context"
	"iter"

	"connectrpc.com/connect"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Wait returns the job when it is final, whatever its end was. The error is about the waiting. It waits at one node, and goes on at another
// when that one is gone.
func (c *Client) Wait(ctx context.Context, id JobID) (*JobInfo, error) {
	var job *JobInfo
	f := &follower[fairlanev1.WatchJobRequest, fairlanev1.WatchJobResponse]{client: c, open: watchJob, confirm: c.knows(id),
		// Each connection begins with the job as it is, so that there is no position to go on from.
		request: func() *fairlanev1.WatchJobRequest { return &fairlanev1.WatchJobRequest{Id: uint64(id)} },
		take: func(m *fairlanev1.WatchJobResponse) error {
			if job = m.GetJob(); Final(job.GetState()) {
				return errLast
			}
			return nil
		},
	}
	if err := f.run(ctx); err != nil {
		return nil, err
	}
	return job, nil
}

// QueueInfo is a queue with its counts.
type QueueInfo struct {
	Queue *fairlanev1.Queue
	// HasWork: a lane that takes this queue, and has no limits of its own, would find a job now.
	HasWork bool
}

// WatchQueue gives the queue as it is and then each time that it has changed; changes that come close together are given once. The loop
// ends with an error: the cause of ctx when that ended, ErrUnknownQueue when there is no such queue.
func (c *Client) WatchQueue(ctx context.Context, name string) iter.Seq2[QueueInfo, error] {
	return func(yield func(QueueInfo, error) bool) {
		f := &follower[fairlanev1.WatchQueueRequest, fairlanev1.WatchQueueResponse]{client: c, open: watchQueue,
			request: func() *fairlanev1.WatchQueueRequest { return &fairlanev1.WatchQueueRequest{Name: name} },
			take: func(m *fairlanev1.WatchQueueResponse) error {
				if !yield(QueueInfo{Queue: m.GetQueue(), HasWork: m.GetHasWork()}, nil) {
					return errEnough
				}
				return nil
			},
			confirm: func(ctx context.Context) error {
				_, err := read(ctx, c, attemptLimit, getQueue, &fairlanev1.GetQueueRequest{Name: name})
				return err
			},
		}
		if err := f.run(ctx); err != nil {
			yield(QueueInfo{}, err)
		}
	}
}

func watchJob(n *node) func(context.Context, *fairlanev1.WatchJobRequest) (*connect.ServerStreamForClient[fairlanev1.WatchJobResponse], error) {
	return n.jobs.WatchJob
}

func watchQueue(n *node) func(context.Context, *fairlanev1.WatchQueueRequest) (*connect.ServerStreamForClient[fairlanev1.WatchQueueResponse], error) {
	return n.queues.WatchQueue
}

func getQueue(n *node) func(context.Context, *fairlanev1.GetQueueRequest) (*fairlanev1.GetQueueResponse, error) {
	return n.queues.GetQueue
}
