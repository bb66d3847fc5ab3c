package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	"github.com/fairlane-scheduler/fairlane/e2e/history"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// producer enqueues under one session, and now and then cancels or reads one of its jobs. One call at a time.
type producer struct {
	*chaos
	party   int
	rng     *rand.Rand
	session *harness.Session
	mine    []uint64 // jobs
}

func (c *chaos) produce(ctx context.Context, rng *rand.Rand) error {
	session, err := c.cluster.OpenSession(ctx, rng.Uint64()|1)
	if err != nil {
		return err
	}
	p := &producer{chaos: c, party: int(c.parties.Add(1)), rng: rng, session: session}
	pause := 6 * time.Second / time.Duration(c.plan.PerSecond)
	for c.wanted() {
		switch draw := rng.IntN(100); {
		case draw < 4 && len(p.mine) > 0:
			err = p.cancel(ctx)
		case draw < 12 && len(p.mine) > 0:
			err = p.read(ctx)
		case draw < 20:
			err = p.enqueueMany(ctx)
		default:
			err = p.enqueue(ctx)
		}
		if err != nil {
			return err
		}
		if err := sleep(ctx, time.Duration(rng.Int64N(int64(2*pause)))); err != nil {
			return err
		}
	}
	return nil
}

// send sends a call until its outcome is known, beginning at a random node.
func (p *producer) send(ctx context.Context, call func(context.Context, harness.API) error) error {
	return p.cluster.AnyFrom(ctx, p.rng.IntN(3), 0, call)
}

func (p *producer) newJob() *fairlanev1.NewJob {
	return &fairlanev1.NewJob{Kind: "chaos", Queue: pick(p.rng, chaosQueues), User: pick(p.rng, []string{"ana", "ben", "cho"}),
		Priority: int32(p.rng.IntN(3)), Payload: &fairlanev1.NewJob_Json{Json: fmt.Sprintf(`{"n":%d}`, p.rng.Uint32())}}
}

func (p *producer) enqueue(ctx context.Context) error {
	number := p.session.Begin()
	defer p.session.End(number)
	request := &fairlanev1.EnqueueRequest{Job: p.newJob()}
	op := history.Op{Party: p.party, Kind: history.Enqueue, Session: p.session.ID, Number: number}
	ask := func() (*fairlanev1.EnqueueResponse, error) {
		var answer *fairlanev1.EnqueueResponse
		op.Call = p.record.Now()
		err := p.send(ctx, func(ctx context.Context, api harness.API) (err error) {
			request.Repeat = p.session.Repeat(number)
			answer, err = api.Jobs.Enqueue(ctx, request)
			return err
		})
		op.Return = p.record.Now()
		op.Job, op.Index, op.Answer, op.Outcome = answer.GetId(), answer.GetPosition().GetIndex(), bytesOf(answer), outcomeOf(err)
		p.record.Add(op)
		return answer, err
	}
	answer, err := ask()
	if err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	p.enqueued.Add(1)
	p.mine = append(p.mine, answer.GetId())
	if p.rng.IntN(20) == 0 {
		op.Again = true
		if _, err := ask(); err != nil {
			return fmt.Errorf("enqueue again: %w", err)
		}
	}
	return nil
}

func (p *producer) enqueueMany(ctx context.Context) error {
	number := p.session.Begin()
	defer p.session.End(number)
	request := &fairlanev1.EnqueueManyRequest{}
	for range 1 + p.rng.IntN(8) {
		request.Jobs = append(request.Jobs, p.newJob())
	}
	op := history.Op{Party: p.party, Kind: history.Enqueue, Session: p.session.ID, Number: number, Call: p.record.Now()}
	var answer *fairlanev1.EnqueueManyResponse
	err := p.send(ctx, func(ctx context.Context, api harness.API) (err error) {
		request.Repeat = p.session.Repeat(number)
		answer, err = api.Jobs.EnqueueMany(ctx, request)
		return err
	})
	op.Return, op.Outcome, op.Index = p.record.Now(), outcomeOf(err), answer.GetPosition().GetIndex()
	if err != nil {
		p.record.Add(op)
		return fmt.Errorf("enqueue many: %w", err)
	}
	if len(answer.GetResults()) != len(request.GetJobs()) {
		return fmt.Errorf("%d jobs enqueued, %d results", len(request.GetJobs()), len(answer.GetResults()))
	}
	for _, result := range answer.GetResults() {
		if result.GetError() != nil {
			return fmt.Errorf("enqueue many: one job is refused: %v", result.GetError())
		}
		op.Job = result.GetId()
		p.record.Add(op)
		p.mine = append(p.mine, op.Job)
		p.enqueued.Add(1)
	}
	return nil
}

// recent picks one of the producer's last jobs: those are still in motion.
func (p *producer) recent() uint64 {
	return p.mine[len(p.mine)-1-p.rng.IntN(min(len(p.mine), 8))]
}

func (p *producer) cancel(ctx context.Context) error {
	number := p.session.Begin()
	defer p.session.End(number)
	op := history.Op{Party: p.party, Kind: history.Cancel, Session: p.session.ID, Number: number, Job: p.recent(), Call: p.record.Now()}
	var answer *fairlanev1.CancelResponse
	err := p.send(ctx, func(ctx context.Context, api harness.API) (err error) {
		answer, err = api.Jobs.Cancel(ctx, &fairlanev1.CancelRequest{Id: op.Job, Repeat: p.session.Repeat(number)})
		return err
	})
	op.Return, op.Outcome, op.Did = p.record.Now(), outcomeOf(err), answer.GetCancelled()
	op.State, op.Index = answer.GetState(), answer.GetPosition().GetIndex()
	// A job that ended otherwise cannot be cancelled: whether the answer is an error or says so, nothing was done.
	if err == nil && !op.Did && op.State != fairlanev1.JobState_JOB_STATE_CANCELLED {
		op.Outcome = history.Refused
	}
	p.record.Add(op)
	if err != nil && harness.Reason(err) != "WRONG_STATE" {
		return fmt.Errorf("cancel: %w", err)
	}
	return nil
}

func (p *producer) read(ctx context.Context) error {
	op := history.Op{Party: p.party, Kind: history.Read, Job: p.recent(), Call: p.record.Now()}
	var answer *fairlanev1.GetResponse
	err := p.send(ctx, func(ctx context.Context, api harness.API) (err error) {
		answer, err = api.Jobs.Get(ctx, &fairlanev1.GetRequest{Id: op.Job})
		return err
	})
	op.Return, op.Outcome = p.record.Now(), outcomeOf(err)
	op.State, op.Fence = answer.GetJob().GetState(), answer.GetJob().GetFence()
	p.record.Add(op)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	return nil
}

// outcomeOf classifies the end of a call that was sent until its outcome was known. A context that ended leaves it unknown.
func outcomeOf(err error) history.Outcome {
	switch {
	case err == nil:
		return history.Done
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), harness.Passing(err):
		return history.Unknown
	}
	return history.Refused
}

// bytesOf gives the answer's bytes, by which repeats are compared.
func bytesOf(m proto.Message) string {
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// sleep is part of a load's shape, never a way to wait for something.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
