package fairlane

import (
	"context"
	"iter"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Coordinator names a coordinator: its jobs run strictly one after the other, over all queues, in the order in which they were due. Letters,
// digits, _, -, . and /, at most 128.
func Coordinator(name string) EnqueueOption {
	return func(j *fairlanev1.NewJob) { j.Coordinator = name }
}

// CoordinatorInfo is a coordinator as it is now: what runs, what waits, and the schedules that are its members.
type CoordinatorInfo = fairlanev1.Coordinator

// Coordinator reads a coordinator with its members and its line, after everything that was acknowledged before.
func (c *Client) Coordinator(ctx context.Context, name string) (*CoordinatorInfo, error) {
	res, err := read(ctx, c, attemptLimit, getCoordinator, &fairlanev1.GetCoordinatorRequest{Name: name})
	return res.GetCoordinator(), err
}

// Coordinators gives the coordinators by name, without their members and lines, from the state of the nodes that answer. The last pair has an error
// if the loop did not come to the end.
func (c *Client) Coordinators(ctx context.Context) iter.Seq2[*CoordinatorInfo, error] {
	return pages(func(after string) ([]*CoordinatorInfo, string, error) {
		res, err := read(ctx, c, attemptLimit, listCoordinators, &fairlanev1.ListCoordinatorsRequest{AfterName: after, Limit: schedulePage})
		return res.GetCoordinators(), res.GetNextAfterName(), err
	}, func(next, after string) bool { return next > after })
}

func getCoordinator(n *node) func(context.Context, *fairlanev1.GetCoordinatorRequest) (*fairlanev1.GetCoordinatorResponse, error) {
	return n.schedules.GetCoordinator
}

func listCoordinators(n *node) func(context.Context, *fairlanev1.ListCoordinatorsRequest) (*fairlanev1.ListCoordinatorsResponse, error) {
	return n.schedules.ListCoordinators
}
