package harness

import (
	"context"
	"math/rand/v2"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Worker is a worker written straight on the public API, without the SDK: it does what a test tells it and nothing else,
// in particular no heartbeats. Its calls are sent again, to one node after the other, until their outcome is known. Safe
// for many goroutines.
type Worker struct {
	*Session
	Name  string
	Lanes []*fairlanev1.Lane

	cluster *Cluster
}

// Register makes a worker with these lanes.
func (c *Cluster) Register(ctx context.Context, name, lanes string) (*Worker, error) {
	return c.RegisterAs(ctx, &fairlanev1.RegisterRequest{Name: name, Nonce: rand.Uint64() | 1, Lanes: lanes})
}

// RegisterAs makes a worker with a request of the caller's.
func (c *Cluster) RegisterAs(ctx context.Context, request *fairlanev1.RegisterRequest) (*Worker, error) {
	var answer *fairlanev1.RegisterResponse
	err := c.Any(ctx, func(ctx context.Context, api API) (err error) {
		answer, err = api.Workers.Register(ctx, request)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Worker{Session: NewSession(answer.GetSession()), Name: request.GetName(), Lanes: answer.GetLanes(), cluster: c}, nil
}

// try sends a call to random nodes, one after the other.
func (w *Worker) try(ctx context.Context, patience time.Duration, call func(ctx context.Context, api API) error) error {
	return w.cluster.AnyFrom(ctx, rand.IntN(len(w.cluster.Nodes)), patience, call)
}

// Claim asks for one job and waits for one up to wait.
func (w *Worker) Claim(ctx context.Context, lane uint32, wait time.Duration) (*fairlanev1.ClaimResponse, error) {
	number := w.Begin()
	defer w.End(number)
	var answer *fairlanev1.ClaimResponse
	err := w.try(ctx, w.cluster.options.Patience+wait, func(ctx context.Context, api API) (err error) {
		answer, err = api.Workers.Claim(ctx, &fairlanev1.ClaimRequest{
			Session: w.ID, Lane: lane, WaitMs: wait.Milliseconds(), Number: number, Lowest: w.Lowest()})
		return err
	})
	return answer, err
}

// Finish sends the request with the worker's session and a number.
func (w *Worker) Finish(ctx context.Context, request *fairlanev1.FinishRequest) (*fairlanev1.FinishResponse, error) {
	request.Session, request.Number = w.ID, w.Begin()
	defer w.End(request.Number)
	var answer *fairlanev1.FinishResponse
	err := w.try(ctx, 0, func(ctx context.Context, api API) (err error) {
		request.Lowest = w.Lowest()
		answer, err = api.Workers.Finish(ctx, request)
		return err
	})
	return answer, err
}

// Succeed finishes the claim with a result.
func (w *Worker) Succeed(ctx context.Context, fence uint64, result string) (*fairlanev1.FinishResponse, error) {
	return w.Finish(ctx, &fairlanev1.FinishRequest{Fence: fence, Outcome: Succeeded(result)})
}

// Fail finishes the claim with an error.
func (w *Worker) Fail(ctx context.Context, fence uint64, text string) (*fairlanev1.FinishResponse, error) {
	return w.Finish(ctx, &fairlanev1.FinishRequest{Fence: fence,
		Outcome: &fairlanev1.FinishRequest_Failure{Failure: &fairlanev1.Failure{Error: text}}})
}

// Succeeded is the outcome of a run that went well.
func Succeeded(result string) *fairlanev1.FinishRequest_Success {
	return &fairlanev1.FinishRequest_Success{Success: &fairlanev1.Success{Result: []byte(result)}}
}

// Release gives claims back.
func (w *Worker) Release(ctx context.Context, fences ...uint64) (*fairlanev1.ReleaseResponse, error) {
	number := w.Begin()
	defer w.End(number)
	var answer *fairlanev1.ReleaseResponse
	err := w.try(ctx, 0, func(ctx context.Context, api API) (err error) {
		answer, err = api.Workers.Release(ctx, &fairlanev1.ReleaseRequest{Session: w.ID, Fences: fences, Number: number, Lowest: w.Lowest()})
		return err
	})
	return answer, err
}

// Heartbeat keeps the claims alive.
func (w *Worker) Heartbeat(ctx context.Context, fences ...uint64) (*fairlanev1.HeartbeatResponse, error) {
	var answer *fairlanev1.HeartbeatResponse
	err := w.try(ctx, 0, func(ctx context.Context, api API) (err error) {
		answer, err = api.Workers.Heartbeat(ctx, &fairlanev1.HeartbeatRequest{Session: w.ID, Fences: fences})
		return err
	})
	return answer, err
}

// Deregister ends the session.
func (w *Worker) Deregister(ctx context.Context) error {
	return w.try(ctx, 0, func(ctx context.Context, api API) error {
		_, err := api.Workers.Deregister(ctx, &fairlanev1.DeregisterRequest{Session: w.ID})
		return err
	})
}
