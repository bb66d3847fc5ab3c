package harness

import (
	"context"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Enqueue adds one job under a number of the session.
func (c *Cluster) Enqueue(ctx context.Context, s *Session, job *fairlanev1.NewJob) (*fairlanev1.EnqueueResponse, error) {
	number := s.Begin()
	defer s.End(number)
	var answer *fairlanev1.EnqueueResponse
	err := c.AnyFrom(ctx, int(number), 0, func(ctx context.Context, api API) (err error) {
		answer, err = api.Jobs.Enqueue(ctx, &fairlanev1.EnqueueRequest{Job: job, Repeat: s.Repeat(number)})
		return err
	})
	return answer, err
}

// Cancel cancels a job under a number of the session.
func (c *Cluster) Cancel(ctx context.Context, s *Session, id uint64) (*fairlanev1.CancelResponse, error) {
	number := s.Begin()
	defer s.End(number)
	var answer *fairlanev1.CancelResponse
	err := c.AnyFrom(ctx, int(number), 0, func(ctx context.Context, api API) (err error) {
		answer, err = api.Jobs.Cancel(ctx, &fairlanev1.CancelRequest{Id: id, Repeat: s.Repeat(number)})
		return err
	})
	return answer, err
}

// Get reads a job, linearizable.
func (c *Cluster) Get(ctx context.Context, id uint64) (*fairlanev1.Job, error) {
	var answer *fairlanev1.GetResponse
	err := c.AnyFrom(ctx, int(id%uint64(len(c.Nodes))), 0, func(ctx context.Context, api API) (err error) {
		answer, err = api.Jobs.Get(ctx, &fairlanev1.GetRequest{Id: id})
		return err
	})
	return answer.GetJob(), err
}

// SetQueue makes or changes a queue.
func (c *Cluster) SetQueue(ctx context.Context, name string, settings *fairlanev1.QueueSettings) error {
	return c.Any(ctx, func(ctx context.Context, api API) error {
		_, err := api.Queues.SetQueue(ctx, &fairlanev1.SetQueueRequest{Name: name, Settings: settings})
		return err
	})
}
