package fairlane

import (
	"context"
	"sync"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// claimWait is how long a claim waits on the server for a job.
	claimWait = 30 * time.Second
	// creditMost of claims of one session that wait at the same time; beyond it each lane still has one. It leaves most numbers of the window
	// (bookWindow) to other calls.
	creditMost = 256
	// The back-off of a lane after a refusal or at_capacity, in percent.
	laneBackoffFirst  = time.Second
	laneBackoffMost   = 10 * time.Second
	laneBackoffFactor = 115
	// emptyGap is the least time that a claim with an empty answer takes.
	emptyGap = 50 * time.Millisecond
)

// trouble is why a lane makes no claims for a while; the larger one wins.
type trouble uint8

const (
	troubleNone    trouble = iota
	troubleRefused         // the claim was refused, or the cluster counts the lane as full
	troubleDrained         // an operator drains the worker
)

// lane is one lane of a session. Over a stream it keeps a claim waiting on the server for each free slot, else one at a time. Each lane has a goroutine
// of its own and shares nothing with the others, so that a lane full of slow jobs delays nobody.
type lane struct {
	life  *life
	index int
	text  string
	slots int

	// freed is poked when run should look again, and ended when a job of the lane has ended.
	freed, ended chan struct{}

	mu      sync.Mutex
	taken   int // slots with a seat: 0 <= waiting <= taken <= slots
	waiting int // seats whose claim waits
	trouble trouble
	// probing: after a trouble, one claim at a time until one has brought a job.
	probing bool

	backoff time.Duration // the next pause; owned by run
}

func newLane(l *life, index int, text string, slots int) *lane {
	return &lane{life: l, index: index, text: text, slots: slots, backoff: laneBackoffFirst,
		freed: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
}

// run sets seats that claim jobs into the slots of the lane, until ctx ends.
func (n *lane) run(ctx context.Context) {
	for ctx.Err() == nil {
		sit, why := n.look()
		switch {
		case why == troubleDrained:
			n.waitWhilePaused(ctx)
			n.over()
		case why == troubleRefused:
			n.pause(ctx)
			n.over()
		case sit:
			n.forgive()
			newSeat(n, ctx).start()
		default:
			select {
			case <-n.freed:
			case <-ctx.Done():
			}
		}
	}
}

// look takes a slot if there is one and a claim may wait for it, or says what is wrong.
func (n *lane) look() (sit bool, why trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.trouble != troubleNone {
		return false, n.trouble
	}
	if n.taken == n.slots || !n.mayWait() {
		return false, troubleNone
	}
	n.taken++
	n.wait()
	return true, troubleNone
}

// mayWait reports whether one more claim may wait; n.mu is held.
func (n *lane) mayWait() bool {
	switch {
	case n.trouble != troubleNone || n.life.draining.Load():
		return false
	case n.waiting == 0:
		return true
	}
	return !n.probing && n.life.waiting.Load() < creditMost && n.life.carrier.streaming()
}

// wait counts one more claim that waits; n.mu is held.
func (n *lane) wait() {
	n.waiting++
	n.life.waiting.Add(1)
}

// noWait counts one less; n.mu is held.
func (n *lane) noWait() {
	n.waiting--
	if n.life.waiting.Add(-1) == 0 {
		poke(n.life.calm)
	}
}

// again lets a seat without a job claim another one; false: its slot is free. taking: jobs are still taken.
func (n *lane) again(taking bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if taking && n.mayWait() {
		n.wait()
		return true
	}
	n.taken--
	poke(n.freed)
	return false
}

// keeps lets a seat repeat a claim that came back empty; false: its slot is free.
func (n *lane) keeps() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.noWait()
	if n.mayWait() {
		n.wait()
		return true
	}
	n.taken--
	poke(n.freed)
	return false
}

// got says that a claim brought a job.
func (n *lane) got() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.noWait()
	n.probing = false
	if n.taken < n.slots {
		poke(n.freed)
	}
}

// gone says that a claim brought none, and that the seat is left.
func (n *lane) gone(why trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.noWait()
	n.taken--
	n.trouble = max(n.trouble, why)
	poke(n.freed)
}

// over ends a trouble; the lane is careful at first.
func (n *lane) over() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trouble, n.probing = troubleNone, true
}

// forgive resets the back-off if a job ended since the last pause.
func (n *lane) forgive() {
	select {
	case <-n.ended:
		n.backoff = laneBackoffFirst
	default:
	}
}

// pause backs off. The end of one of the lane's jobs ends the pause and resets it.
func (n *lane) pause(ctx context.Context) {
	timer := time.NewTimer(n.backoff)
	defer timer.Stop()
	n.backoff = min(n.backoff*laneBackoffFactor/100, laneBackoffMost)
	select {
	case <-timer.C:
	case <-n.ended:
		n.backoff = laneBackoffFirst
	case <-ctx.Done():
	}
}

// waitWhilePaused waits while an operator drains the worker; heartbeats say when that is over.
func (n *lane) waitWhilePaused(ctx context.Context) {
	n.life.paused.Store(true)
	for n.life.paused.Load() && sleep(ctx, time.Second) {
	}
}

// accept puts the claim of an answer into the table; nil: the answer is empty. The caller ends its number afterwards.
func (n *lane) accept(k *call, res *fairlanev1.ClaimResponse) *claim {
	if res.GetClaim() == nil {
		return nil
	}
	granted := k.first
	if !k.unknown {
		// After an unknown attempt the job may have been handed out to that one, before this one stopped waiting.
		now := k.client.clock.now()
		granted = granted.add(time.Duration(res.GetParkedMs()) * time.Millisecond)
		granted = instant{mono: min(granted.mono, now.mono), wall: min(granted.wall, now.wall)}
	}
	return n.life.claims.add(n, res.GetClaim(), granted)
}

func claimJob(n *node) func(context.Context, *fairlanev1.ClaimRequest) (*fairlanev1.ClaimResponse, error) {
	return n.workers.Claim
}
