package fairlane

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestFinishBringsTheNextJob: a busy slot goes from job to job without a claim of its own, and never runs two at a time.
func TestFinishBringsTheNextJob(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 20 {
			w.enqueue("a")
		}
		var running, most atomic.Int32
		w.start("a:2", func(context.Context, *RawJob) ([]byte, error) {
			most.Store(max(most.Load(), running.Add(1)))
			advanceOnly(time.Second)
			running.Add(-1)
			return nil, nil
		})
		advance(11 * time.Second)
		if got := w.count(EventFinished); got != 20 {
			t.Errorf("%d jobs finished, want 20", got)
		}
		if most.Load() != 2 {
			t.Errorf("at most %d at a time, want 2", most.Load())
		}
		if got := len(w.requests("Claim")); got > 5 {
			t.Errorf("%d claims for 20 jobs in two slots; the answers to Finish should bring them", got)
		}
	})
}

// advanceOnly lets a handler take its time; tests that wait for it use advance.
func advanceOnly(d time.Duration) { time.Sleep(d) }

// TestSlowLaneDelaysNobody: a full lane, and one whose claims hang, leave the other alone. Over more jobs than numbers fit
// into the window, the waiting claim is nudged and does not hold up the others.
func TestSlowLaneDelaysNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.enqueue("slow")
		jobs := make([]NewJob, 1000)
		for i := range jobs {
			jobs[i] = NewJob{Kind: "k", Options: []EnqueueOption{To("fast")}}
		}
		for range 3 {
			if _, err := w.client.EnqueueMany(t.Context(), jobs); err != nil {
				t.Fatal(err)
			}
		}
		w.faults(func(s seen) fault {
			if c, ok := s.req.(*fairlanev1.ClaimRequest); ok && c.Lane == 2 && c.WaitMs > 0 {
				return fault{hang: true}
			}
			return fault{}
		})
		w.start("slow:1 empty:1 hangs:1 fast:4", func(ctx context.Context, job *RawJob) ([]byte, error) {
			if job.Queue == "slow" {
				advanceOnly(time.Hour)
			}
			return nil, nil
		})
		advance(20 * time.Second)
		if got := w.count(EventFinished); got != 3000 {
			t.Errorf("%d fast jobs finished beside a slow lane, want 3000", got)
		}
		w.faults(func(seen) fault { return fault{} })
		advance(2 * time.Hour)
	})
}

// TestLaneBackoff: after refusals 1 s, growing to 10 s; the end of one of the lane's jobs resets it.
func TestLaneBackoff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.enqueue("a")
		end := make(chan struct{})
		w.start("a:2", func(context.Context, *RawJob) ([]byte, error) { <-end; return nil, nil })
		w.faults(func(s seen) fault {
			if s.method == "Claim" {
				return fault{refuse: ErrUnknownLane}
			}
			return fault{}
		})
		w.breakStreams() // a claim that waits on one is sent again
		advance(5 * time.Minute)
		claims := w.requests("Claim")[2:] // one brought the job, one waited when this began
		want := time.Second
		for i := 1; i < len(claims); i++ {
			if got := claims[i].at.Sub(claims[i-1].at); got != want {
				t.Fatalf("pause %d is %v, want %v", i, got, want)
			}
			want = min(want*115/100, 10*time.Second)
		}
		if len(claims) < 30 || want != 10*time.Second {
			t.Fatalf("%d claims, pause now %v", len(claims), want)
		}
		before := len(w.requests("Claim"))
		close(end)
		advance(0)
		if got := len(w.requests("Claim")) - before; got != 1 {
			t.Errorf("%d claims at the end of a job, want one at once", got)
		}
		advance(time.Second)
		if got := len(w.requests("Claim")) - before; got != 2 {
			t.Errorf("%d claims a second later, want the back-off to begin anew", got)
		}
	})
}

// TestAtCapacityBacksOff: a server that counts a slot as taken is asked again later, not in a loop.
func TestAtCapacityBacksOff(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		id := w.enqueue("a")
		w.mu.Lock()
		w.jobs[uint64(id)].State, w.jobs[uint64(id)].fence = StateRunning, 99
		w.jobs[uint64(id)].session, w.jobs[uint64(id)].ends = 2, time.Now().Add(time.Hour)
		w.mu.Unlock()
		w.faults(func(s seen) fault { return fault{dial: s.method == "Release"} })
		w.start("a:1", quick)
		advance(10 * time.Second)
		if got := len(w.requests("Claim")); got < 6 || got > 8 {
			t.Errorf("%d claims in 10 s at capacity, want 1 s, 1.15 s, ...", got)
		}
		w.faults(func(seen) fault { return fault{} })
	})
}

// TestSilentNode: a node that froze keeps its connections; the heartbeats notice, and the claim that waits there goes elsewhere.
func TestSilentNode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.lease = 3 * time.Second
		w.faults(func(s seen) fault {
			return fault{hang: s.node == "n1:1" && s.method != "Register" && s.method != "OpenSession"}
		})
		w.start("a:1", quick)
		id := w.enqueue("a") // sent to n1 first, as the claim was
		began := time.Now()
		advance(2500 * time.Millisecond)
		w.wantState(id, StateSucceeded)
		if got := w.requests("Claim"); w.single && (len(got) < 2 || got[0].number != got[1].number || got[1].node == "n1:1") {
			t.Errorf("after %v: claims %v; want the same number at another node", time.Since(began), got)
		}
	})
}

// TestOutcomes: what a handler returns becomes the outcome; panics and lost goroutines are failures.
func TestOutcomes(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		handle RawHandler
		check  func(*fairlanev1.FinishRequest) bool
	}{
		"success": {quick, func(r *fairlanev1.FinishRequest) bool { return string(r.GetSuccess().GetResult()) == `"ok"` }},
		"error": {fails(broken), func(r *fairlanev1.FinishRequest) bool {
			return r.GetFailure().GetError() == "broken" && !r.GetFailure().Discard
		}},
		"discard":  {fails(Discard(broken)), func(r *fairlanev1.FinishRequest) bool { return r.GetFailure().GetDiscard() }},
		"retry":    {fails(RetryAfter(3*time.Second, broken)), func(r *fairlanev1.FinishRequest) bool { return r.GetFailure().GetRetryAfterMs() == 3000 }},
		"at once":  {fails(RetryAfter(0, broken)), func(r *fairlanev1.FinishRequest) bool { return r.GetFailure().RetryAfterMs != nil }},
		"snooze":   {fails(Snooze(time.Minute)), func(r *fairlanev1.FinishRequest) bool { return r.GetSnooze().GetDelayMs() == 60000 }},
		"too long": {fails(errors.New(strings.Repeat("ü", 20000))), func(r *fairlanev1.FinishRequest) bool { return len(r.GetFailure().GetError()) == maxErrorBytes }},
		"panic": {func(context.Context, *RawJob) ([]byte, error) { panic("boom") }, func(r *fairlanev1.FinishRequest) bool {
			return strings.Contains(r.GetFailure().GetError(), "boom") && strings.Contains(r.GetFailure().GetError(), "worker_test.go")
		}},
		"goexit": {func(context.Context, *RawJob) ([]byte, error) { runtime.Goexit(); return nil, nil }, func(r *fairlanev1.FinishRequest) bool {
			return strings.Contains(r.GetFailure().GetError(), "Goexit")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				stop := w.start("*:1", c.handle)
				w.enqueue("a")
				got := w.requests("Finish")
				if len(got) != 1 || !c.check(got[0].req.(*fairlanev1.FinishRequest)) {
					t.Errorf("got %v", got)
				}
				wantErr(t, stop(), nil)
			})
		})
	}
}

func fails(err error) RawHandler {
	return func(context.Context, *RawJob) ([]byte, error) { return nil, err }
}

// TestNoHandler: a job that nobody here can run is a failed attempt, so that another worker gets it.
func TestNoHandler(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start("*:1", nil)
		id := w.enqueue("a")
		if j := w.job(id); j.State != StateFailed || !strings.Contains(j.Error, `kind "k"`) {
			t.Errorf("got %v %q", j.State, j.Error)
		}
	})
}

// TestRefusedResult: a result that the cluster does not take ends the job with the reason instead of running it for ever.
func TestRefusedResult(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			if r, ok := s.req.(*fairlanev1.FinishRequest); ok && r.GetSuccess() != nil {
				return fault{refuse: ErrTooLarge}
			}
			return fault{}
		})
		w.start("*:1", quick)
		id := w.enqueue("a")
		if j := w.job(id); j.State != StateFailed || !strings.Contains(j.Error, "result refused") {
			t.Errorf("got %v %q", j.State, j.Error)
		}
	})
}

// TestLostAnswers: a claim and a finish whose answers are lost are repeated under their numbers; each job runs once.
func TestLostAnswers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			return fault{after: (s.method == "Claim" || s.method == "Finish") && s.nth%3 != 0}
		})
		for range 10 {
			w.enqueue("a")
		}
		w.start("a:3", quick)
		advance(10 * time.Minute)
		if got := w.count(EventStarted); got != 10 {
			t.Errorf("%d runs of 10 jobs", got)
		}
		if got := w.count(EventFinished); got != 10 {
			t.Errorf("%d outcomes of 10 jobs", got)
		}
		w.faults(func(seen) fault { return fault{} })
	})
}

// TestCancel: the handler of a cancelled job is told so, and whatever it returns frees the slot without changing the state.
func TestCancel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var ended endings
		w.start("a:1", ended.untilEnd)
		id := w.enqueue("a")
		if did, err := w.client.Cancel(t.Context(), id); !did || err != nil {
			t.Fatal(did, err)
		}
		advance(21 * time.Second)
		if len(ended.causes()) != 1 || !errors.Is(ended.causes()[0], ErrCancelled) {
			t.Errorf("causes %v, want cancelled", ended.causes())
		}
		if j := w.job(id); j.State != StateCancelled || j.fence != 0 {
			t.Errorf("job is %v with fence %d, want cancelled without claim", j.State, j.fence)
		}
		next := w.enqueue("a")
		wantRunning(t, w, next)
	})
}

func wantRunning(t *testing.T, w *world, id JobID) {
	t.Helper()
	advance(0)
	w.wantState(id, StateRunning)
}

// TestOperatorDrain: a worker that an operator drains keeps what it runs, takes nothing, and goes on when that is undone.
func TestOperatorDrain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start("a:1", quick)
		set := func(draining bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sessions[1].draining = draining
			w.signal()
		}
		set(true)
		id := w.enqueue("a")
		advance(time.Minute)
		w.wantState(id, StatePending)
		if got := len(w.requests("Claim")); got > 5 {
			t.Errorf("%d claims in a minute while drained", got)
		}
		set(false)
		advance(25 * time.Second)
		w.wantState(id, StateSucceeded)
	})
}
