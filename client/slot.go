package fairlane

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// errGoexit is the failure of a handler that ended its goroutine.
var errGoexit = errors.New("the handler ended its goroutine (runtime.Goexit)")

// work runs a job in one slot of the lane, and then each next one that came with the answer to its outcome.
func (n *lane) work(c *claim) {
	defer n.free()
	for c != nil {
		next := n.runOne(c)
		poke(n.ended)
		c = next
	}
}

// runOne runs one job to the end of its claim; the claim that it gives takes the same slot.
func (n *lane) runOne(c *claim) *claim {
	l := n.life
	if l.draining.Load() || !l.claims.start(l.ctx, c) {
		if l.claims.returned(c) == claimLost {
			l.claims.remove(c)
			return nil
		}
		n.giveBack(c)
		return nil
	}
	l.tell(EventStarted, c, nil)
	l.busy.Add(1)
	result, err := callHandler(l.worker.handler(c.raw.Kind), c.ctx, c.raw)
	l.busy.Add(-1)
	l.tell(EventReturned, c, err)
	switch l.claims.returned(c) {
	case claimLost:
		l.claims.remove(c)
		return nil
	case claimCut:
		n.giveBack(c)
		return nil
	}
	if err != nil && errors.Is(context.Cause(c.ctx), ErrDraining) {
		n.giveBack(c)
		return nil
	}
	return n.finish(c, result, err)
}

// callHandler runs f on a goroutine of its own, so that neither a panic nor a Goexit takes the slot with it.
func callHandler(f RawHandler, ctx context.Context, job *RawJob) (result []byte, err error) {
	if f == nil {
		return nil, fmt.Errorf("this worker has no handler for kind %q", job.Kind)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = errGoexit
		defer func() {
			if p := recover(); p != nil {
				result, err = nil, &PanicError{Value: p, Stack: debug.Stack()}
			}
		}()
		result, err = f(ctx, job)
	}()
	<-done
	return result, err
}

// giveBack releases a claim that has no outcome.
func (n *lane) giveBack(c *claim) {
	l := n.life
	if err := l.release(l.ctx, []uint64{c.fence}); err == nil {
		l.tell(EventReleased, c, nil)
	} else if l.ctx.Err() == nil {
		l.logger.Warn("release failed", "job", c.raw.ID, "fence", c.fence, "err", err)
	}
	l.claims.remove(c)
}

// finish reports the outcome until the cluster has answered, and gives the claim for the freed slot that came with the answer.
func (n *lane) finish(c *claim, result []byte, outcome error) *claim {
	l := n.life
	rest := c.out.rest(l.ctx, max(finishBytes-len(result), 0))
	res, next, err := n.sendFinish(c, result, outcome, rest)
	if err != nil && outcome == nil && isBadResult(err) {
		// The result cannot be stored, and another run would give it again.
		res, next, err = n.sendFinish(c, nil, Discard(fmt.Errorf("result refused: %w", err)), rest)
	}
	// Out of the table only now: until the answer, heartbeats keep the claim alive.
	l.claims.remove(c)
	if err == nil {
		err = fromBody(res.GetError())
		if res.GetCancelled() {
			err = ErrCancelled
		}
	}
	if err == nil {
		l.tell(EventFinished, c, nil)
		return next
	}
	if l.ctx.Err() == nil {
		l.logger.Warn("outcome refused", "job", c.raw.ID, "fence", c.fence, "err", err)
	}
	l.tell(EventRefused, c, err)
	return next
}

// isBadResult reports that the request itself was refused, not the claim.
func isBadResult(err error) bool {
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrInvalidArgument) || errors.Is(err, ErrMalformed)
}

func (n *lane) sendFinish(c *claim, result []byte, outcome error, rest *fairlanev1.OutputRest) (*fairlanev1.FinishResponse, *claim, error) {
	l := n.life
	t, err := l.book.begin(l.ctx, true)
	if err != nil {
		return nil, nil, err
	}
	defer t.end()
	// Decided once: a repetition must be the same request.
	wantsNext := !l.draining.Load() && !l.paused.Load()
	k := &call{client: l.client, limit: attemptLimit}
	res, err := do(l.ctx, k, finishJob, func(bool) *fairlanev1.FinishRequest {
		req := &fairlanev1.FinishRequest{Session: l.session, Fence: c.fence, Number: t.number, Lowest: l.book.low(), Rest: rest}
		setOutcome(req, result, outcome)
		if wantsNext {
			req.Next = &fairlanev1.NextClaim{Lane: uint32(n.index)}
		}
		return req
	})
	if err != nil {
		l.sessionEnd(err)
		return nil, nil, err
	}
	return res, n.accept(k, res.GetNext()), nil
}

func finishJob(n *node) func(context.Context, *fairlanev1.FinishRequest) (*fairlanev1.FinishResponse, error) {
	return n.workers.Finish
}
