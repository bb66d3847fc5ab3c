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

// seat is a slot in use: its goroutine claims a job, runs it, and then each next one that comes with the answer to its outcome. Its requests lie in it
// and are filled anew for each job: it has one call on its way at a time.
type seat struct {
	lane   *lane
	taking context.Context // jobs are taken until this ends

	k           call
	e           *errand
	asking      fairlanev1.ClaimRequest
	askingCall  fairlanev1.WorkCall_Claim
	ending      fairlanev1.FinishRequest
	endingCall  fairlanev1.WorkCall_Finish
	success     fairlanev1.Success
	successCase fairlanev1.FinishRequest_Success
	next        fairlanev1.NextClaim

	// running is the claim whose handler runs on this goroutine; nil: none.
	running *claim
}

func newSeat(n *lane, taking context.Context) *seat {
	s := &seat{lane: n, taking: taking}
	s.askingCall.Claim, s.endingCall.Finish, s.successCase.Success = &s.asking, &s.ending, &s.success
	s.next.Lane = uint32(n.index)
	s.e = n.life.errand(&s.k)
	return s
}

// start gives the seat its goroutine.
func (s *seat) start() {
	s.lane.life.slots.Add(1)
	go s.run(nil)
}

// run works until there is nothing for the seat to do. A handler that ends its goroutine does not take the slot with it: another one goes on, after
// the run that exited.
func (s *seat) run(exited *claim) {
	over := false
	defer func() {
		if c := s.running; !over && c != nil {
			s.running = nil
			go s.run(c)
			return
		}
		s.lane.life.slots.Done()
	}()
	var c *claim
	waits := exited == nil // the lane has counted our claim
	if exited != nil {
		s.lane.life.busy.Add(-1)
		c = s.returned(exited, nil, errGoexit)
		poke(s.lane.ended)
	}
	for {
		for c != nil {
			c = s.runOne(c)
			poke(s.lane.ended)
		}
		if !waits && !s.lane.again(s.taking.Err() == nil) {
			break
		}
		waits = false
		if c = s.claim(); c == nil {
			break
		}
	}
	over = true
}

// claim asks until there is a job; nil: the seat is left.
func (s *seat) claim() *claim {
	n, l := s.lane, s.lane.life
	for {
		began := l.client.clock.now()
		c, reason, err := s.ask()
		switch {
		case c != nil:
			n.got()
			return c
		case s.taking.Err() != nil:
			n.gone(troubleNone)
			return nil
		case err != nil:
			l.logger.Warn("claim refused", "lane", n.text, "err", err)
			n.gone(troubleRefused)
			return nil
		case reason == fairlanev1.EmptyReason_EMPTY_REASON_AT_CAPACITY:
			n.gone(troubleRefused)
			return nil
		case reason == fairlanev1.EmptyReason_EMPTY_REASON_DRAINING:
			n.gone(troubleDrained)
			return nil
		}
		// Nothing to do: ask again at once, unless the server did not wait.
		sleep(s.taking, emptyGap-l.client.clock.now().since(began))
		if !n.keeps() {
			return nil
		}
	}
}

// ask asks for one job and waits for it on the server. The same number is sent until there is an answer.
func (s *seat) ask() (*claim, fairlanev1.EmptyReason, error) {
	n, l := s.lane, s.lane.life
	t, err := l.book.begin(s.taking, true)
	if err != nil {
		return nil, 0, err
	}
	defer t.end()
	s.k = call{client: l.client, limit: claimWait + attemptLimit}
	s.asking.Lane, s.asking.WaitMs, s.asking.Number = uint32(n.index), claimWait.Milliseconds(), t.number
	s.e.call.Call, s.e.bytes, s.e.waits, s.e.nudged = &s.askingCall, smallCall, &s.asking, false
	t.nudges(s.e)
	var res *fairlanev1.ClaimResponse
	answer, streamed, err := l.carrier.carry(s.taking, s.e)
	if streamed {
		res = answer.GetClaim()
	} else {
		s.k.nudge = t.nudge()
		res, err = do(s.taking, &s.k, claimJob, func(nudged bool) *fairlanev1.ClaimRequest {
			req := &fairlanev1.ClaimRequest{Session: l.session, Lane: uint32(n.index), Number: t.number, Lowest: l.book.low()}
			if !nudged {
				req.WaitMs = claimWait.Milliseconds()
			}
			return req
		})
	}
	if err != nil {
		l.sessionEnd(err)
		return nil, 0, err
	}
	return n.accept(&s.k, res), res.GetReason(), nil
}

// runOne runs one job to the end of its claim; the claim that it gives takes the same slot.
func (s *seat) runOne(c *claim) *claim {
	l := s.lane.life
	if l.draining.Load() || !l.claims.start(l.ctx, c) {
		if l.claims.returned(c) == claimLost {
			l.claims.remove(c)
			return nil
		}
		s.giveBack(c)
		return nil
	}
	l.tell(EventStarted, c, nil)
	l.busy.Add(1)
	result, err := s.callHandler(l.worker.handler(c.raw.Kind), c)
	l.busy.Add(-1)
	return s.returned(c, result, err)
}

// returned ends the claim of a handler that has returned.
func (s *seat) returned(c *claim, result []byte, err error) *claim {
	l := s.lane.life
	l.tell(EventReturned, c, err)
	switch l.claims.returned(c) {
	case claimLost:
		l.claims.remove(c)
		return nil
	case claimCut:
		s.giveBack(c)
		return nil
	}
	if err != nil && errors.Is(context.Cause(c.ctx), ErrDraining) {
		s.giveBack(c)
		return nil
	}
	return s.finish(c, result, err)
}

// callHandler runs f; a panic becomes an error.
func (s *seat) callHandler(f RawHandler, c *claim) (result []byte, err error) {
	if f == nil {
		return nil, fmt.Errorf("this worker has no handler for kind %q", c.raw.Kind)
	}
	s.running = c
	defer func() {
		if p := recover(); p != nil {
			s.running = nil
			result, err = nil, &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	result, err = f(c.ctx, &c.raw)
	s.running = nil
	return result, err
}

// giveBack releases a claim that has no outcome.
func (s *seat) giveBack(c *claim) {
	l := s.lane.life
	if err := l.release(l.ctx, []uint64{c.fence}); err == nil {
		l.tell(EventReleased, c, nil)
	} else if l.ctx.Err() == nil {
		l.logger.Warn("release failed", "job", c.raw.ID, "fence", c.fence, "err", err)
	}
	l.claims.remove(c)
}

// finish reports the outcome until the cluster has answered, and gives the claim for the freed slot that came with the answer.
func (s *seat) finish(c *claim, result []byte, outcome error) *claim {
	l := s.lane.life
	rest := c.out.rest(l.ctx, max(finishBytes-len(result), 0))
	res, next, err := s.sendFinish(c, result, outcome, rest)
	if err != nil && outcome == nil && isBadResult(err) {
		// The result cannot be stored, and another run would give it again.
		res, next, err = s.sendFinish(c, nil, Discard(fmt.Errorf("result refused: %w", err)), rest)
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

func (s *seat) sendFinish(c *claim, result []byte, outcome error, rest *fairlanev1.OutputRest) (*fairlanev1.FinishResponse, *claim, error) {
	l := s.lane.life
	t, err := l.book.begin(l.ctx, true)
	if err != nil {
		return nil, nil, err
	}
	defer t.end()
	s.k = call{client: l.client, limit: attemptLimit}
	s.fillFinish(c, t.number, result, outcome, rest)
	var res *fairlanev1.FinishResponse
	answer, streamed, err := l.carrier.carry(l.ctx, s.e)
	if streamed {
		res = answer.GetFinish()
	} else {
		res, err = do(l.ctx, &s.k, finishJob, func(bool) *fairlanev1.FinishRequest {
			return &fairlanev1.FinishRequest{Session: l.session, Fence: c.fence, Number: t.number, Lowest: l.book.low(), Rest: rest,
				Outcome: s.ending.Outcome, Next: s.ending.Next}
		})
	}
	if err != nil {
		l.sessionEnd(err)
		return nil, nil, err
	}
	return res, s.lane.accept(&s.k, res.GetNext()), nil
}

// fillFinish writes the request. What it says is decided once: a repetition must be the same.
func (s *seat) fillFinish(c *claim, number uint64, result []byte, outcome error, rest *fairlanev1.OutputRest) {
	l, req := s.lane.life, &s.ending
	req.Fence, req.Number, req.Rest, req.Next = c.fence, number, rest, nil
	if outcome == nil {
		s.success.Result = result
		req.Outcome = &s.successCase
	} else {
		setOutcome(req, nil, outcome)
	}
	if !l.draining.Load() && !l.paused.Load() {
		req.Next = &s.next
	}
	s.e.call.Call, s.e.waits = &s.endingCall, nil
	s.e.bytes = smallCall + len(result) + len(rest.GetData())
	if outcome != nil {
		s.e.bytes += maxErrorBytes
	}
}

func finishJob(n *node) func(context.Context, *fairlanev1.FinishRequest) (*fairlanev1.FinishResponse, error) {
	return n.workers.Finish
}
