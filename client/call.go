package fairlane

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// attemptLimit of one attempt of an ordinary call. A follower holds a call for up to 5 s while there is no leader.
	attemptLimit = 7 * time.Second
	// The pause between rounds over all nodes doubles from the first to the most; each is drawn from its upper half.
	pauseFirst = 25 * time.Millisecond
	pauseMost  = time.Second
)

// call is one request on its way to an answer, over as many attempts and nodes as it takes. One goroutine uses it.
type call struct {
	client *Client
	limit  time.Duration // of one attempt
	// harmless: whether the call took place is of no interest once nobody waits for its answer (reads, registrations).
	harmless bool
	// nudge, when closed, ends the attempt under way; the request is then built anew with nudged = true. Nil: the call does
	// not wait on the server for long.
	nudge <-chan struct{}

	// failed is told of each attempt that was not answered; nil: nobody is.
	failed func(*Error)

	// first is when the first attempt was sent that may have taken place.
	first instant
	// unknown: an attempt was sent of which nobody can say what it did. It never becomes false again.
	unknown bool
	nudged  bool
	tries   int
	pause   time.Duration
}

// service picks a method of a node.
type service[Req, Res any] func(*node) func(context.Context, *Req) (*Res, error)

// do sends the request until an answer arrives, a refusal is final, or ctx ends. build is called for each attempt.
func do[Req, Res any](ctx context.Context, k *call, method service[Req, Res], build func(nudged bool) *Req) (*Res, error) {
	var last error
	for {
		if ctx.Err() != nil {
			return nil, k.gaveUp(ctx, last)
		}
		target, _ := k.client.nodes.pick()
		if !k.unknown {
			k.first = k.client.clock.now()
		}
		res, err := attempt(ctx, k, target, method(target), build(k.nudged))
		if err == nil {
			return res, nil
		}
		e := fromWire(err)
		switch e.judge() {
		case verdictFinal:
			return nil, k.refused(e)
		case verdictUnknown:
			k.unknown = true
		}
		last = e
		if k.failed != nil {
			k.failed(e)
		}
		if !k.wait(ctx, target, e) {
			return nil, k.gaveUp(ctx, last)
		}
	}
}

// attempt sends the request once.
func attempt[Req, Res any](ctx context.Context, k *call, target *node, send func(context.Context, *Req) (*Res, error), req *Req) (*Res, error) {
	limit := k.limit
	if k.nudged {
		limit = min(limit, attemptLimit) // it does not wait on the server any more
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if k.nudge == nil || k.nudged {
		return send(ctx, req)
	}
	silent := k.client.nodes.silence(target)
	over := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-k.nudge:
			cancel()
		case <-silent:
			cancel()
		case <-over:
		}
	}()
	res, err := send(ctx, req)
	close(over)
	<-watched
	select {
	case <-k.nudge:
		k.nudged = true
	default:
	}
	return res, err
}

// refused is the error of a call after a final refusal. One that only says that the session or the number is no more does
// not tell what an earlier attempt did.
func (k *call) refused(e *Error) error {
	if !k.unknown || k.harmless {
		return e
	}
	switch e.Reason {
	case ErrTooOld, ErrSessionEnded, ErrSessionReplaced, "INTERNAL":
		return unknownOutcome(e)
	}
	return e
}

// gaveUp is the error of a call whose context ended.
func (k *call) gaveUp(ctx context.Context, last error) error {
	err := gaveUp(ctx, last)
	if k.unknown && !k.harmless {
		return unknownOutcome(err)
	}
	return err
}

// wait prepares the next attempt: it moves on from a node that did not serve, at once while there are others, and pauses after
// each round over all of them. It reports whether ctx still lives.
func (k *call) wait(ctx context.Context, target *node, e *Error) bool {
	k.tries++
	_, count := k.client.nodes.pick()
	var pause time.Duration
	switch {
	case e.Reason == ErrBusy || e.Reason == ErrTooManyOpen:
		// The leader is known and at work; the other nodes would ask the same one.
		pause = e.RetryAfter + jitter(k.nextPause())
	case k.nudged && e.Reason == "":
		// We ended this attempt ourselves; or the node is gone, which the next attempt finds out.
		pause = jitter(pauseFirst)
		if k.tries > 1 {
			k.client.nodes.leave(target, "")
		}
	default:
		k.client.nodes.leave(target, e.leader())
		if k.tries%count == 0 {
			pause = max(e.RetryAfter, jitter(k.nextPause()))
		}
	}
	return sleep(ctx, pause)
}

// nextPause doubles up to the most.
func (k *call) nextPause() time.Duration {
	k.pause = min(max(2*k.pause, pauseFirst), pauseMost)
	return k.pause
}

// jitter draws from the upper half of d, so that many clients do not come back at the same moment.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d/2+1)
}

// sleep waits for d, or until ctx ends; it reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
