package cluster

import (
	"sync/atomic"
	"testing"
	"time"
)

// slowClock holds up whoever reads the wall clock, while it is shut.
type slowClock struct {
	handClock
	gate atomic.Pointer[chan struct{}]
	held atomic.Int32
}

func (c *slowClock) WallMillis() int64 {
	if gate := c.gate.Load(); gate != nil {
		c.held.Add(1)
		<-*gate
	}
	return c.handClock.WallMillis()
}

// Shutdown ends the duty to fire before it tells parked claims and hands over.
func TestShutdownStopsFiringFirst(t *testing.T) {
	clock := &slowClock{}
	clock.start = time.Now()
	clock.ms.Store(noon)
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.Clock = clock })
	n := w.nodes[0]
	l := n.leading.Load()
	waits := w.claimLater(n, w.worker(n, "worker", 1), time.Minute)
	w.parked(n, 1)
	l.idle.Store(int64(time.Hour)) // the proposer reads the clock too
	w.propose(n, checkpoint())
	shut := make(chan struct{})
	clock.gate.Store(&shut)
	poke(l.fires.earlier)
	w.until("the duty to read the clock", func() bool { return clock.held.Load() > 0 })
	ended := make(chan error, 1)
	go func() { ended <- n.Shutdown(w.limit(20 * time.Second)) }()
	w.until("the shutdown to begin", n.isClosing)
	select {
	case <-waits.done:
		t.Error("a parked claim was told while the duty to fire still ran")
	case <-time.After(50 * time.Millisecond): // to be told in vain
	}
	clock.gate.Store(nil)
	close(shut)
	waits.wait(t)
	select {
	case <-l.fires.done:
	default:
		t.Error("a parked claim was told before the duty had ended")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
