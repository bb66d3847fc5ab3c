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
	// The back-off of a lane after a refusal or at_capacity, in percent.
	laneBackoffFirst  = time.Second
	laneBackoffMost   = 10 * time.Second
	laneBackoffFactor = 115
	// emptyGap is the least time that a claim with an empty answer takes.
	emptyGap = 50 * time.Millisecond
)

// lane is one lane of a session. It keeps one claim waiting on the server while it has room. Each lane has a goroutine of its
// own and shares nothing with the others, so that a lane full of slow jobs delays nobody.
type lane struct {
	life  *life
	index int
	text  string
	slots int

	// freed is poked when a slot becomes free, and ended when a job of the lane has ended.
	freed, ended chan struct{}

	mu    sync.Mutex
	taken int // slots in use: 0 <= taken <= slots

	backoff time.Duration // the next pause; owned by run
}

func newLane(l *life, index int, text string, slots int) *lane {
	return &lane{life: l, index: index, text: text, slots: slots, backoff: laneBackoffFirst,
		freed: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
}

// run claims jobs while there is room, until ctx ends.
func (n *lane) run(ctx context.Context) {
	for n.waitForRoom(ctx) {
		began := n.life.client.clock.now()
		c, reason, err := n.claim(ctx)
		switch {
		case c != nil:
			n.mu.Lock()
			n.taken++
			n.mu.Unlock()
			n.life.slots.Go(func() { n.work(c) })
		case ctx.Err() != nil:
			return
		case err != nil:
			n.life.logger.Warn("claim refused", "lane", n.text, "err", err)
			n.pause(ctx)
		case reason == fairlanev1.EmptyReason_EMPTY_REASON_AT_CAPACITY:
			n.pause(ctx)
		case reason == fairlanev1.EmptyReason_EMPTY_REASON_DRAINING:
			n.waitWhilePaused(ctx)
		default:
			// Nothing to do: ask again at once, unless the server did not wait.
			sleep(ctx, emptyGap-n.life.client.clock.now().since(began))
		}
	}
}

// waitForRoom reports false when ctx ended.
func (n *lane) waitForRoom(ctx context.Context) bool {
	for {
		n.mu.Lock()
		room := n.taken < n.slots
		n.mu.Unlock()
		if ctx.Err() != nil {
			return false
		}
		if room {
			return true
		}
		select {
		case <-n.freed:
		case <-ctx.Done():
			return false
		}
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

// claim asks for one job and waits for it on the server. The same number is sent until there is an answer.
func (n *lane) claim(ctx context.Context) (*claim, fairlanev1.EmptyReason, error) {
	select {
	case <-n.ended: // a job ended since the last pause
		n.backoff = laneBackoffFirst
	default:
	}
	l := n.life
	t, err := l.book.begin(ctx, true)
	if err != nil {
		return nil, 0, err
	}
	defer t.end()
	k := &call{client: l.client, limit: claimWait + attemptLimit, nudge: t.nudge}
	res, err := do(ctx, k, claimJob, func(nudged bool) *fairlanev1.ClaimRequest {
		req := &fairlanev1.ClaimRequest{Session: l.session, Lane: uint32(n.index), Number: t.number, Lowest: l.book.low()}
		if !nudged {
			req.WaitMs = claimWait.Milliseconds()
		}
		return req
	})
	if err != nil {
		l.sessionEnd(err)
		return nil, 0, err
	}
	return n.accept(k, res), res.GetReason(), nil
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

// free gives a slot back to the lane.
func (n *lane) free() {
	n.mu.Lock()
	n.taken--
	n.mu.Unlock()
	poke(n.freed)
}

func claimJob(n *node) func(context.Context, *fairlanev1.ClaimRequest) (*fairlanev1.ClaimResponse, error) {
	return n.workers.Claim
}
