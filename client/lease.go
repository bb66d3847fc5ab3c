package fairlane

import (
	"context"
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
	raw   *RawJob
	lane  *lane
	lease time.Duration
	beat  time.Duration // between heartbeats
	out   *output

	ctx    context.Context // the handler's
	cancel context.CancelCauseFunc
	unhook func() bool // the end of the session no longer matters

	state   claimState
	granted instant       // the lease is counted from here
	started bool          // the local timer counts
	renewed chan struct{} // closed and replaced when the lease was renewed or the state changed
}

// left gives the time until the handler must stop: three quarters of the lease, less what has passed.
func (c *claim) left(now instant) time.Duration { return c.lease/4*3 - now.since(c.granted) }

// claims is the table of what a session holds, as far as we know. Safe for many goroutines.
type claims struct {
	clock clock
	// changed is poked when a claim was added: both the heartbeats and the watch of the leases then look again.
	beatPoke, watchPoke chan struct{}

	mu   sync.Mutex
	held map[uint64]*claim
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
		fence: m.GetFence(), raw: rawJob(m, n.text), lane: n, granted: granted,
		lease:   time.Duration(m.GetLeaseMs()) * time.Millisecond,
		beat:    time.Duration(m.GetHeartbeatMs()) * time.Millisecond,
		renewed: make(chan struct{}),
	}
	if c.beat <= 0 {
		c.beat = c.lease / 3
	}
	c.ctx, c.cancel = context.WithCancelCause(n.life.values)
	c.out = newOutput(n.life.sender, c)
	c.raw.output = c.out
	t.mu.Lock()
	t.held[c.fence] = c
	t.mu.Unlock()
	c.unhook = context.AfterFunc(n.life.ctx, func() { n.life.lost(c, context.Cause(n.life.ctx)) })
	poke(t.beatPoke)
	poke(t.watchPoke)
	return c
}

// remove takes a claim out that is finished, released or lost.
func (t *claims) remove(c *claim) {
	c.unhook()
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

// beatDue gives how long until the next claim wants a heartbeat; most if none wants one earlier.
func (t *claims) beatDue(most time.Duration) time.Duration {
	now := t.clock.now()
	t.mu.Lock()
	defer t.mu.Unlock()
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
	close(c.renewed)
	c.renewed = make(chan struct{})
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
			t.mu.Unlock()
			poke(t.watchPoke)
			return true
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
