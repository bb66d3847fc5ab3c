package fairlane

import (
	"context"
	"errors"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// errUnary is given to a call that waits on the stream when the life goes on by single calls.
var errUnary = errors.New("single calls")

// errand is one call of a life on its way over the stream. One goroutine makes it and waits for its answer; answered, it may be filled again.
//
// While the errand is open, carrier.mu guards everything in it but the request, which nobody changes.
type errand struct {
	carrier *carrier
	k       *call // what is known of the attempts
	call    fairlanev1.WorkCall
	bytes   int  // about the size of the call in a message
	once    bool // a heartbeat: it overtakes the others, waits for no stream, and is not sent again in another one
	waits   *fairlanev1.ClaimRequest

	id      uint64
	written bool // in the stream that stands
	nudged  bool // a claim that is to be answered now
	due     instant
	// done gets the answer, or why there is none. It has room for one, and at most one is on its way.
	done chan errandEnd
}

// errandEnd is what became of an errand.
type errandEnd struct {
	answer *fairlanev1.WorkAnswer
	err    error
}

// smallCall is about the size of a call without a payload, in bytes.
const smallCall = 64

// errand makes one that is filled with a request by the caller.
func (l *life) errand(k *call) *errand {
	return &errand{carrier: l.carrier, k: k, bytes: smallCall, done: make(chan errandEnd, 1)}
}

// nudge asks the cluster to answer a claim that waits.
func (e *errand) nudge() {
	c := e.carrier
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleNow(e)
}

// carry sends the errand until there is an answer, a refusal is final, or ctx ends. streamed false: it is to be sent alone, because this life makes
// single calls, perhaps only from now on, because no stream stands and it waits for none, or because it is too large; k then knows of the attempts so far.
func (c *carrier) carry(ctx context.Context, e *errand) (answer *fairlanev1.WorkAnswer, streamed bool, err error) {
	var last error
	for {
		if !c.submit(e) {
			return nil, false, nil
		}
		var end errandEnd
		select {
		case end = <-e.done:
		case <-ctx.Done():
			if c.drop(e) {
				return nil, true, e.k.gaveUp(ctx, last)
			}
			end = <-e.done
		}
		if errors.Is(end.err, errUnary) {
			return nil, false, nil
		}
		if end.err != nil {
			return nil, true, end.err
		}
		body := end.answer.GetError()
		if body == nil {
			return end.answer, true, nil
		}
		refusal := refusalOf(body)
		switch refusal.judge() {
		case verdictFinal:
			return nil, true, e.k.refused(refusal)
		case verdictUnknown:
			e.k.unknown = true
		}
		if last = refusal; e.once {
			return nil, true, refusal
		}
		if !sleep(ctx, refusal.RetryAfter+jitter(e.k.nextPause())) {
			return nil, true, e.k.gaveUp(ctx, last)
		}
	}
}
