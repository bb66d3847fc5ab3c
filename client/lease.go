package fairlane

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// watchMost is the longest time between two looks at the leases. Timers run on the monotonic clock alone; a wall clock that
// went further, because the machine slept, is noticed by looking.
const watchMost = time.Second

// claimState says who may still use a claim.
type claimState uint8

const (
	claimHeld      claimState = iota // the handler runs, or will
	claimFinishing                   // the handler returned; its outcome is on the way
	claimCut                         // the local timer ran out: to be released, if it still stands
	claimLost                        // the cluster said that it is over
)

// claim is one job in our hands. The fields below mu are guarded by the table's lock.
type claim struct {
	fence uint64
	raw   RawJob
	lane  *lane
	lease time.Duration
	beat  time.Duration // between heartbeats
	out   output

	ctx    context.Context // the handler's
	cancel context.CancelCauseFunc

	state   claimState
	granted instant       // the lease is counted from here
	started bool          // the local timer counts
	renewed chan struct{} // closed when the lease was renewed or the state changed; nil: nobody waits for that
}

// left gives the time until the handler must stop: three quarters of the lease, less what has passed.
func (c *claim) left(now instant) time.Duration { return c.lease/4*3 - now.since(c.granted) }

// claims is the table of what a session holds, as far as we know. Safe for many goroutines.
type claims struct {
	clock clock
	// Poked when a claim wants a heartbeat, or a look at its lease, earlier than planned.
	beatPoke, watchPoke chan struct{}

	mu   sync.Mutex
	held map[uint64]*claim
	over bool // the session is no more, and its claims are lost
	// When the heartbeats and the watch look next, on the monotonic clock. Only a claim that wants that earlier pokes them.
	nextBeat, nextLook time.Duration
}

func newClaims(c clock) *claims {
	return &claims{clock: c, held: map[uint64]*claim{}, beatPoke: make(chan struct{}, 1), watchPoke: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add puts a claim into the table; granted is when its lease began at the earliest. With the session the claim is lost, also
// when the session ended before.
func (t *claims) add(n *lane, m *fairlanev1.Claim, granted instant) *claim {
	c := &claim{
		fence: m.GetFence(), lane: n, granted: granted,
		lease: time.Duration(m.GetLeaseMs()) * time.Millisecond,
		beat:  time.Duration(m.GetHeartbeatMs()) * time.Millisecond,
	}
	fillRaw(&c.raw, m, n.text)
	if c.beat <= 0 {
		c.beat = c.lease / 3
	}
	c.ctx, c.cancel = context.WithCancelCause(n.life.values)
	c.out.sender, c.out.claim = n.life.sender, c
	c.raw.output = &c.out
	t.mu.Lock()
	t.held[c.fence] = c
	over, early := t.over, c.granted.mono+c.beat < t.nextBeat
	t.mu.Unlock()
	if over {
		n.life.lost(c, context.Cause(n.life.ctx))
	}
	if early {
		poke(t.beatPoke)
	}
	return c
}

// loseAll says that the session is no more.
func (l *life) loseAll() {
	t := l.claims
	t.mu.Lock()
	t.over = true
	all := slices.Collect(maps.Values(t.held))
	t.mu.Unlock()
	for _, c := range all {
		l.lost(c, context.Cause(l.ctx))
	}
}

// remove takes a claim out that is finished, released or lost.
func (t *claims) remove(c *claim) {
	c.out.end()
	c.cancel(nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, c.fence)
}

// holds reports whether the fence is in the table.
func (t *claims) holds(fence uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[fence] != nil
}

// listed gives what a heartbeat names: what the handler or its outcome still needs.
func (t *claims) listed() []*claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*claim, 0, len(t.held))
	for _, c := range t.held {
		if c.state == claimHeld || c.state == claimFinishing {
			out = append(out, c)
		}
	}
	return out
}

// planBeat gives how long until the next claim wants a heartbeat; most if none wants one earlier. A new claim that does pokes beatPoke.
func (t *claims) planBeat(most time.Duration) time.Duration {
	now := t.clock.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.nextBeat = now.mono + most }()
	for _, c := range t.held {
		if c.state == claimHeld || c.state == claimFinishing {
			most = min(most, c.beat-now.since(c.granted))
		}
	}
	return most
}

// renew counts the lease from a heartbeat, or a piece of output, that was sent then. Their answers may come out of order.
func (t *claims) renew(c *claim, sent instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sent.mono > c.granted.mono {
		c.granted = sent
	}
	c.wake()
}

// wake tells start that something changed; the table's lock is held.
func (c *claim) wake() {
	if c.renewed != nil {
		close(c.renewed)
		c.renewed = nil
	}
}

// start makes the local timer of the claim count and reports true. With nothing left of the lease it first waits for a
// heartbeat; false: the claim is lost meanwhile, or stop ended.
func (t *claims) start(stop context.Context, c *claim) bool {
	for {
		now := t.clock.now()
		t.mu.Lock()
		if c.state != claimHeld || c.ctx.Err() != nil {
			t.mu.Unlock()
			return false
		}
		if c.left(now) > 0 {
			c.started = true
			early := now.mono+c.left(now) < t.nextLook
			t.mu.Unlock()
			if early {
				poke(t.watchPoke)
			}
			return true
		}
		if c.renewed == nil {
			c.renewed = make(chan struct{})
		}
		renewed := c.renewed
		t.mu.Unlock()
		select {
		case <-renewed:
		case <-stop.Done():
			return false
		}
	}
}

// returned moves a claim whose handler has returned to its outcome, and gives the state that it had before.
func (t *claims) returned(c *claim) claimState {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := c.state
	if before == claimHeld {
		c.state = claimFinishing
	}
	return before
}

// lose ends a claim for its handler and reports whether this call did it.
func (t *claims) lose(c *claim, state claimState, cause error) bool {
	t.mu.Lock()
	did := c.state == claimHeld
	if did {
		c.state = state
		c.wake()
	}
	t.mu.Unlock()
	if did {
		c.cancel(cause)
	}
	return did
}

// overdue gives the claims whose local timer has run out, and how long until the next one does, at most watchMost.
func (t *claims) overdue() (out []*claim, next time.Duration) {
	now, next := t.clock.now(), watchMost
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.held {
		if c.state != claimHeld || !c.started {
			continue
		}
		if left := c.left(now); left > 0 {
			next = min(next, left)
		} else {
			out = append(out, c)
		}
	}
	t.nextLook = now.mono + next
	return out, next
}

// watch is the local timer of all leases: it cuts off handlers that the cluster may soon think dead. It returns when ctx ends.
func (l *life) watch(ctx context.Context) {
	timer := time.NewTimer(watchMost)
	defer timer.Stop()
	for {
		late, next := l.claims.overdue()
		for _, c := range late {
			if l.claims.lose(c, claimCut, ErrClaimLost) {
				l.logger.Warn("no sign from the cluster for three quarters of the lease; handler cancelled", "job", c.raw.ID, "fence", c.fence)
				l.tell(EventLost, c, ErrClaimLost)
			}
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-l.claims.watchPoke:
		case <-ctx.Done():
			return
		}
	}
}
