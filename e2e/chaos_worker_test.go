package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	"github.com/fairlane-scheduler/fairlane/e2e/history"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// life is one process of a worker: a session that ends by falling silent in the middle of its work, or when all is done.
type life struct {
	*chaos
	worker *harness.Worker
	over   <-chan struct{} // closed when this life ends

	mu        sync.Mutex
	held      map[uint64]uint64 // fence to job: what heartbeats keep
	abandoned map[uint64]bool   // fences it fell silent on
	strangers map[uint64]uint64 // unlisted fence to the number drawn last when it was first seen
}

// work lives one life after the other under the same name. Each has more claimers in a lane than the lane has slots, so
// that the cluster, not the worker, keeps the limit.
func (c *chaos) work(ctx context.Context, rng *rand.Rand, name, lanes string) error {
	for !c.drained.Load() {
		worker, err := c.cluster.Register(ctx, name, lanes)
		if err != nil {
			return fmt.Errorf("register: %w", err)
		}
		c.mu.Lock()
		for i, lane := range worker.Lanes {
			c.slots[history.LaneID{Session: worker.ID, Lane: uint32(i)}] = int(lane.GetSlots())
		}
		c.mu.Unlock()
		span, end := context.WithTimeout(ctx, time.Duration(4000+rng.IntN(8000))*time.Millisecond)
		l := &life{chaos: c, worker: worker, over: span.Done(), held: make(map[uint64]uint64),
			abandoned: make(map[uint64]bool), strangers: make(map[uint64]uint64)}
		err = l.live(ctx, rng)
		end()
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *life) live(ctx context.Context, rng *rand.Rand) error {
	var parts sync.WaitGroup
	failures := make(chan error, 64)
	for i, lane := range l.worker.Lanes {
		for range lane.GetSlots() + 1 {
			own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
			party := int(l.parties.Add(1))
			parts.Go(func() {
				if err := l.claimer(ctx, own, party, uint32(i)); err != nil {
					failures <- err
				}
			})
		}
	}
	parts.Go(func() {
		if err := l.beat(ctx); err != nil {
			failures <- err
		}
	})
	parts.Wait()
	close(failures)
	return <-failures // nil when closed empty
}

// ends reports whether this life is over: its time, or all work.
func (l *life) ends() bool {
	select {
	case <-l.over:
		return true
	default:
		return l.drained.Load()
	}
}

// claimer claims and runs one job after the other.
func (l *life) claimer(ctx context.Context, rng *rand.Rand, party int, lane uint32) error {
	var claim *fairlanev1.Claim
	for !l.ends() {
		if claim == nil {
			op := history.Op{Party: party, Kind: history.Claim, Session: l.worker.ID, Lane: lane, Call: l.record.Now()}
			answer, err := l.worker.Claim(ctx, lane, 500*time.Millisecond)
			if err != nil {
				return fmt.Errorf("claim: %w", err)
			}
			claim = l.took(op, answer)
		}
		if claim == nil {
			if err := sleep(ctx, time.Duration(5+rng.IntN(20))*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		next, err := l.run(ctx, rng, party, claim)
		if err != nil {
			return err
		}
		claim = next
	}
	return nil
}

// took records an answer that may carry a job; op has the times of its call so far.
func (l *life) took(op history.Op, answer *fairlanev1.ClaimResponse) *fairlanev1.Claim {
	claim := answer.GetClaim()
	if claim == nil {
		return nil
	}
	op.Kind, op.Outcome, op.Return = history.Claim, history.Done, l.record.Now()
	op.Job, op.Fence, op.LeaseMs = claim.GetJob().GetId(), claim.GetFence(), claim.GetLeaseMs()
	op.Index = answer.GetPosition().GetIndex()
	l.mu.Lock()
	l.held[op.Fence] = op.Job
	l.mu.Unlock()
	l.record.Add(op)
	return claim
}

// run does what chance says with a claim, and gives the next one when its finish brought one.
func (l *life) run(ctx context.Context, rng *rand.Rand, party int, claim *fairlanev1.Claim) (*fairlanev1.Claim, error) {
	pause := time.Duration(rng.IntN(20)) * time.Millisecond
	finish := &fairlanev1.FinishRequest{Fence: claim.GetFence()}
	op := history.Op{Party: party, Kind: history.Finish, Session: l.worker.ID, Job: claim.GetJob().GetId(), Fence: claim.GetFence(), Lane: claim.GetLane()}
	success := func() {
		op.Report, op.Result = history.Success, fmt.Sprintf("%d by %d", claim.GetJob().GetId(), claim.GetFence())
		finish.Outcome = harness.Succeeded(op.Result)
	}
	switch draw := rng.IntN(1000); {
	case draw < 5: // fall silent
		l.abandon(claim.GetFence())
		return nil, nil
	case draw < 18: // fall silent and come back too late
		l.abandon(claim.GetFence())
		pause = chaosLease + 1500*time.Millisecond
		success()
	case draw < 23: // long, kept by heartbeats
		pause = chaosLease + time.Second
		success()
	case draw < 80:
		op.Report = history.Failure
		finish.Outcome = &fairlanev1.FinishRequest_Failure{Failure: &fairlanev1.Failure{Error: "chance"}}
	case draw < 100:
		op.Report = history.Snooze
		finish.Outcome = &fairlanev1.FinishRequest_Snooze{Snooze: &fairlanev1.Snooze{DelayMs: 10}}
	case draw < 120:
		return nil, l.release(ctx, op)
	default:
		success()
	}
	select {
	case <-time.After(pause):
	case <-l.over: // the process dies with the claim in its hands
		l.abandon(claim.GetFence())
		return nil, nil
	}
	if rng.IntN(2) == 0 {
		finish.Next = &fairlanev1.NextClaim{Lane: claim.GetLane()}
	}
	return l.finish(ctx, op, finish)
}

func (l *life) finish(ctx context.Context, op history.Op, request *fairlanev1.FinishRequest) (*fairlanev1.Claim, error) {
	op.Call = l.record.Now()
	answer, err := l.worker.Finish(ctx, request)
	op.Return, op.Number = l.record.Now(), request.GetNumber()
	op.State, op.Index = answer.GetState(), answer.GetPosition().GetIndex()
	switch reason := answer.GetError().GetReason(); {
	case err != nil:
		op.Outcome = outcomeOf(err)
	case reason == "LOST_CLAIM":
		op.Outcome = history.Lost
	case reason != "":
		op.Outcome, err = history.Refused, errors.New(answer.GetError().GetMessage())
	case answer.GetCancelled():
		op.Outcome = history.Cancelled
	default:
		op.Outcome = history.Done
	}
	l.mu.Lock()
	delete(l.held, op.Fence)
	l.mu.Unlock()
	l.record.Add(op)
	if err != nil {
		return nil, fmt.Errorf("finish: %w", err)
	}
	return l.took(history.Op{Party: op.Party, Session: op.Session, Lane: op.Lane, Call: op.Call, Index: op.Index}, answer.GetNext()), nil
}

func (l *life) release(ctx context.Context, op history.Op) error {
	op.Kind, op.Call = history.Release, l.record.Now()
	answer, err := l.worker.Release(ctx, op.Fence)
	op.Return, op.Index = l.record.Now(), answer.GetPosition().GetIndex()
	op.Outcome = outcomeOf(err)
	if err == nil {
		op.Outcome = outcomeOfStatus(answer.GetStatuses()[0])
	}
	l.mu.Lock()
	delete(l.held, op.Fence)
	l.mu.Unlock()
	l.record.Add(op)
	return err
}

// abandon takes a claim out of the heartbeats without telling the cluster.
func (l *life) abandon(fence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, fence)
	l.abandoned[fence] = true
}

func outcomeOfStatus(s fairlanev1.ClaimStatus) history.Outcome {
	switch s {
	case fairlanev1.ClaimStatus_CLAIM_STATUS_OK:
		return history.Done
	case fairlanev1.ClaimStatus_CLAIM_STATUS_LOST:
		return history.Lost
	case fairlanev1.ClaimStatus_CLAIM_STATUS_CANCELLED:
		return history.Cancelled
	}
	return history.Refused
}

// beat sends a heartbeat every second, as the queues' settings ask.
func (l *life) beat(ctx context.Context) error {
	party := int(l.parties.Add(1))
	for {
		select {
		case <-l.over:
			return nil
		case <-time.After(900 * time.Millisecond):
		}
		if l.ends() {
			return nil
		}
		var held []history.Op
		l.mu.Lock()
		for fence, job := range l.held {
			held = append(held, history.Op{Party: party, Kind: history.Heartbeat, Session: l.worker.ID, Fence: fence, Job: job})
		}
		l.mu.Unlock()
		fences := make([]uint64, len(held))
		for i, op := range held {
			fences[i] = op.Fence
		}
		call := l.record.Now()
		answer, err := l.worker.Heartbeat(ctx, fences...)
		if err != nil {
			return fmt.Errorf("heartbeat: %w", err)
		}
		if len(answer.GetStatuses()) != len(fences) {
			return fmt.Errorf("heartbeat for %d claims: %d statuses", len(fences), len(answer.GetStatuses()))
		}
		back := l.record.Now()
		for i, op := range held {
			op.Call, op.Return, op.Index = call, back, answer.GetPosition().GetIndex()
			op.Outcome = outcomeOfStatus(answer.GetStatuses()[i])
			l.record.Add(op)
		}
		if err := l.handBack(ctx, answer.GetUnlisted()); err != nil {
			return fmt.Errorf("release what no answer brought: %w", err)
		}
	}
}

// handBack releases claims of this session that it knows nothing of, once no call that was open when they were first
// seen can still bring them.
func (l *life) handBack(ctx context.Context, unlisted []uint64) error {
	lowest, last := l.worker.Lowest(), l.worker.Last()
	var lost []uint64
	l.mu.Lock()
	for _, fence := range unlisted {
		if _, mine := l.held[fence]; mine || l.abandoned[fence] {
			continue
		}
		seen, known := l.strangers[fence]
		switch {
		case !known:
			l.strangers[fence] = last
		case lowest > seen:
			lost = append(lost, fence)
		}
	}
	l.mu.Unlock()
	if len(lost) == 0 {
		return nil
	}
	_, err := l.worker.Release(ctx, lost...)
	return err
}
