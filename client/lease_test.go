package fairlane

import (
	"context"
	"errors"
	"testing"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestCutOff: without a sign from the cluster for three quarters of the lease the handler is cancelled; as soon as the cluster
// is back the claim is released if it still stands.
func TestCutOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lease = 4 * time.Second
		var ended endings
		w.start("a:1", ended.untilEnd)
		id := w.enqueue("a")
		w.faults(func(seen) fault { return fault{dial: true} })
		advance(2999 * time.Millisecond)
		if len(ended.causes()) != 0 {
			t.Fatalf("cancelled early: %v", ended.causes())
		}
		advance(time.Millisecond)
		if len(ended.causes()) != 1 || !errors.Is(ended.causes()[0], ErrClaimLost) {
			t.Fatalf("causes %v after three quarters of the lease, want a lost claim", ended.causes())
		}
		w.mu.Lock()
		w.lease = time.Minute // nothing more is to be lost
		w.mu.Unlock()
		w.faults(func(s seen) fault { return fault{dial: s.method == "Claim"} })
		advance(900 * time.Millisecond)
		if j := w.job(id); j.released != 1 || j.State != StatePending {
			t.Errorf("released %d times, state %v; want once, pending", j.released, j.State)
		}
		w.faults(func(seen) fault { return fault{} })
	})
}

// TestHeartbeatsKeep: a long run keeps its claim, also when every second heartbeat fails in one way or the other.
func TestHeartbeatsKeep(t *testing.T) {
	for name, wrong := range map[string]fault{"down": {dial: true}, "hangs": {hang: true}, "lost": {after: true}, "busy": {refuse: ErrBusy}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.lease = 3 * time.Second
				w.faults(func(s seen) fault {
					if s.method == "Heartbeat" && s.nth%2 == 0 {
						return wrong
					}
					return fault{}
				})
				w.start("a:1", func(ctx context.Context, _ *RawJob) ([]byte, error) {
					select {
					case <-time.After(time.Minute):
						return nil, nil
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					}
				})
				id := w.enqueue("a")
				advance(61 * time.Second)
				w.wantState(id, StateSucceeded)
			})
		})
	}
}

// TestWallClockCounts: a wall clock that went further than the monotonic one, because the machine slept, ends the lease here too.
func TestWallClockCounts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var ended endings
		w.start("a:1", ended.untilEnd)
		w.enqueue("a")
		w.faults(func(seen) fault { return fault{dial: true} })
		w.clock.wallAhead.Store(int64(46 * time.Second))
		advance(watchMost)
		if len(ended.causes()) != 1 || !errors.Is(ended.causes()[0], ErrClaimLost) {
			t.Errorf("causes %v, want a lost claim", ended.causes())
		}
		w.faults(func(seen) fault { return fault{} })
	})
}

// TestLeaseCountsFromFirstSending: the answer to a repeated claim is as old as its first attempt.
func TestLeaseCountsFromFirstSending(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lease = 8 * time.Second
		id := w.enqueue("a")
		began := time.Now()
		w.faults(func(s seen) fault {
			switch {
			case s.method == "Claim" && s.nth == 1:
				return fault{after: true}
			case s.method == "Claim" && time.Since(began) < 4*time.Second:
				return fault{refuse: ErrBusy}
			}
			return fault{dial: s.method == "Heartbeat"}
		})
		var started, ended time.Duration
		w.start("a:1", func(ctx context.Context, _ *RawJob) ([]byte, error) {
			started = time.Since(began)
			<-ctx.Done()
			ended = time.Since(began)
			return nil, ctx.Err()
		})
		advance(7 * time.Second)
		if started < 4*time.Second || ended != 6*time.Second {
			t.Errorf("handler ran from %v to %v after the first sending, want from 4 s to 6 s", started, ended)
		}
		if j := w.job(id); j.released != 1 {
			t.Errorf("released %d times, want once", j.released)
		}
		w.faults(func(seen) fault { return fault{} })
	})
}

// TestNothingLeft: with nothing left of the lease the handler starts only after a heartbeat.
func TestNothingLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lease = 8 * time.Second
		w.enqueue("a")
		began := time.Now()
		w.faults(func(s seen) fault {
			switch {
			case s.method == "Claim" && s.nth == 1:
				return fault{after: true}
			case s.method == "Claim" && time.Since(began) < 6100*time.Millisecond:
				return fault{refuse: ErrBusy}
			}
			return fault{dial: s.method == "Heartbeat" && time.Since(began) < 6900*time.Millisecond}
		})
		var started time.Duration
		var named int // heartbeats that named the claim before its handler started
		w.start("a:1", func(context.Context, *RawJob) ([]byte, error) {
			started = time.Since(began)
			for _, s := range w.requests("Heartbeat") {
				named += len(s.req.(*fairlanev1.HeartbeatRequest).Fences)
			}
			return nil, nil
		})
		advance(10 * time.Second)
		if started < 6900*time.Millisecond || named == 0 {
			t.Errorf("started at %v after %d heartbeats, want after the one at 6.9 s or later", started, named)
		}
	})
}

// TestParkedTimeIsNotLease: a claim that waited long on the server has its whole lease before it.
func TestParkedTimeIsNotLease(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lease = 4 * time.Second
		var ended endings
		w.start("a:1", ended.untilEnd)
		advance(20 * time.Second)
		w.enqueue("a")
		w.faults(func(s seen) fault { return fault{dial: s.method == "Heartbeat"} })
		advance(2900 * time.Millisecond)
		if len(ended.causes()) != 0 || w.count(EventStarted) != 1 {
			t.Errorf("%d started, causes %v; want the handler running", w.count(EventStarted), ended.causes())
		}
		w.faults(func(seen) fault { return fault{} })
	})
}

// TestLostClaim: a claim that the cluster calls lost is neither finished nor released.
func TestLostClaim(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var ended endings
		w.start("a:1", ended.untilEnd)
		id := w.enqueue("a")
		w.mu.Lock()
		w.jobs[uint64(id)].fence, w.jobs[uint64(id)].State = 0, StateTimedOut
		w.mu.Unlock()
		advance(21 * time.Second)
		if len(ended.causes()) != 1 || !errors.Is(ended.causes()[0], ErrClaimLost) {
			t.Errorf("causes %v, want a lost claim", ended.causes())
		}
		if n := len(w.requests("Finish")) + len(w.requests("Release")); n != 0 {
			t.Errorf("%d requests about a lost claim", n)
		}
	})
}

// TestGhosts: a claim whose answer can no longer arrive is released, but not while an older unanswered call may bring it.
func TestGhosts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.enqueue("a")
		var lost uint64 // the number of the claim whose answer never arrives
		w.faults(func(s seen) fault {
			c, ok := s.req.(*fairlanev1.ClaimRequest)
			switch {
			case !ok || c.Lane != 0:
				return fault{}
			case lost == 0:
				lost = s.number
				return fault{after: true}
			case lost == s.number:
				return fault{refuse: ErrTooOld}
			}
			return fault{}
		})
		w.start("a:1 b:1", quick)
		advance(25 * time.Second)
		if j := w.job(id); j.State != StateRunning || j.released != 0 {
			t.Fatalf("after the first heartbeat: %v, released %d times; the other lane's claim might bring it", j.State, j.released)
		}
		advance(30 * time.Second)
		if j := w.job(id); j.released != 1 {
			t.Errorf("released %d times, want once", j.released)
		}
		w.faults(func(seen) fault { return fault{} })
		advance(20 * time.Second)
		w.wantState(id, StateSucceeded)
	})
}

// TestManyClaims: more claims than one heartbeat may name go in several, and none of them looks like one that we do not hold.
func TestManyClaims(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const many = fencesPerBeat + 200
		jobs := make([]NewJob, many)
		for i := range jobs {
			jobs[i] = NewJob{Kind: "k", Options: []EnqueueOption{To("a")}}
		}
		for len(jobs) > 0 {
			n := min(len(jobs), maxMany)
			if _, err := w.client.EnqueueMany(t.Context(), jobs[:n]); err != nil {
				t.Fatal(err)
			}
			jobs = jobs[n:]
		}
		var ended endings
		stop := w.start("a:2000", ended.untilEnd, Grace(0))
		advance(2 * time.Minute)
		if got := len(ended.causes()); got != 0 || w.count(EventStarted) != many {
			t.Errorf("%d started, %d ended; want %d and none", w.count(EventStarted), got, many)
		}
		for _, s := range w.requests("Heartbeat") {
			if n := len(s.req.(*fairlanev1.HeartbeatRequest).Fences); n > fencesPerBeat {
				t.Fatalf("a heartbeat with %d fences", n)
			}
		}
		if got := len(w.requests("Release")); got != 0 {
			t.Errorf("%d releases of claims that we hold", got)
		}
		wantErr(t, stop(), nil)
	})
}
