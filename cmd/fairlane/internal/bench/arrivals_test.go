package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lateSleep is the runtime's timer, which a bubble's clock drives; it wakes half a millisecond late, which must count.
func lateSleep(ctx context.Context, l *ledger, at int64) bool {
	return pause(ctx, time.Duration(at-l.now())+500*time.Microsecond)
}

// stalling is a cluster that answers in 1 ms, except that from one time to another it answers nothing.
type stalling struct {
	l        *ledger
	from, to int64
}

func (s *stalling) enqueue(ctx context.Context, first uint64, _ int) error {
	pause(ctx, time.Millisecond)
	if now := s.l.now(); now >= s.from && now < s.to {
		pause(ctx, time.Duration(s.to-now))
	}
	s.l.ack(first, first+1, s.l.now())
	return nil
}

// TestStallShowsWhole: a stall of one second at 100 jobs/s makes a hundred late samples, evenly from nothing to a second, although the
// few callers can have only four calls under way. A generator that waits for its callers would show four.
func TestStallShowsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(1)
		p := &stalling{l, int64(5 * time.Second), int64(6 * time.Second)}
		until := int64(10 * time.Second)
		due := make(chan uint64, 2000)
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				if err := send(t.Context(), p, due); err != nil {
					t.Error(err)
				}
			})
		}
		if err := dispatch(t.Context(), l, newArrivals(100, Uniform, nil), 0, until, due, lateSleep); err != nil {
			t.Fatal(err)
		}
		close(due)
		callers.Wait()
		s := open(l, window{0, until}, l.now())
		if s.due != 1000 {
			t.Errorf("%d jobs were due, want 1000", s.due)
		}
		late := 0
		l.each(func(r *record) {
			if r.acked.Load()-r.due > int64(2*time.Millisecond) {
				late++
			}
		})
		if late < 98 || late > 130 { // those that waited behind the others come to the hundred
			t.Errorf("%d late samples, want about 100", late)
		}
		if p := s.enqueue.percentiles(); p.P50 < 1.49 || p.P50 > 1.6 || p.P99 < 850 || p.Max < 990 || p.Max > 1010 {
			t.Errorf("%+v", p)
		}
	})
}

// TestArrivals: uniform ones keep their distance; independent ones have the rate, and the spread that chance has.
func TestArrivals(t *testing.T) {
	even := newArrivals(4, Uniform, nil)
	for i := range 9 {
		if at := even.draw(); at != time.Duration(i)*250*time.Millisecond {
			t.Errorf("arrival %d at %v", i, at)
		}
	}
	const n = 100_000
	a := newArrivals(1000, Poisson, rand.New(rand.NewPCG(1, 2)))
	last, square := time.Duration(0), 0.0
	for range n {
		at := a.draw()
		gap := (at - last).Seconds() * 1000
		square += (gap - 1) * (gap - 1)
		last = at
	}
	if rate := n / last.Seconds(); math.Abs(rate-1000) > 15 {
		t.Errorf("%v jobs/s, want 1000", rate)
	}
	if variance := square / n; math.Abs(variance-1) > 0.05 {
		t.Errorf("variance of the gaps is %v, want 1", variance)
	}
}

// TestPreciseSleep waits until the time, and not at all when it has passed or nobody wants to wait.
func TestPreciseSleep(t *testing.T) {
	l := newLedger(1)
	at := l.now() + int64(3*time.Millisecond)
	if !preciseSleep(t.Context(), l, at) || l.now() < at {
		t.Errorf("woke at %d, want %d", l.now(), at)
	}
	if !preciseSleep(t.Context(), l, at) {
		t.Error("a time that has passed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if preciseSleep(ctx, l, l.now()+int64(time.Hour)) {
		t.Error("slept on though nobody waits")
	}
}
