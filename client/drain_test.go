package fairlane

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestDrain: at the end of Run's context running handlers finish, nothing new begins, and the session is closed.
func TestDrain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		stop := w.start("a:1 b:1", func(ctx context.Context, _ *RawJob) ([]byte, error) {
			select {
			case <-time.After(10 * time.Second):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		first, second := w.enqueue("a"), w.enqueue("a")
		began := time.Now()
		wantErr(t, stop(), nil)
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("drained in %v, want when the handler was done", took)
		}
		w.wantState(first, StateSucceeded)
		w.wantState(second, StatePending)
		if j := w.job(second); j.Attempt != 0 {
			t.Errorf("%d attempts of a job that never ran", j.Attempt)
		}
		if len(w.requests("Drain")) != 1 || len(w.requests("Deregister")) != 1 {
			t.Error("want one Drain and one Deregister")
		}
	})
}

// TestDrainReleases: what is not done within the grace time is told so and given back.
func TestDrainReleases(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var ended endings
		stop := w.start("a:3", ended.untilEnd, Grace(7*time.Second))
		ids := []JobID{w.enqueue("a"), w.enqueue("a")}
		began := time.Now()
		wantErr(t, stop(), nil)
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("took %v, want the grace time", took)
		}
		for _, id := range ids {
			if j := w.job(id); j.State != StatePending || j.released != 1 {
				t.Errorf("job %d is %v, released %d times; want pending, once", id, j.State, j.released)
			}
		}
		if len(ended.causes()) != 2 || !errors.Is(ended.causes()[0], ErrDraining) {
			t.Errorf("causes %v, want draining", ended.causes())
		}
	})
}

// TestDrainWithoutCluster: Run returns although no node answers.
func TestDrainWithoutCluster(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var ended endings
		stop := w.start("a:3", ended.untilEnd, Grace(time.Second))
		w.enqueue("a")
		w.faults(func(seen) fault { return fault{dial: true} })
		wantErr(t, stop(), nil)
		if len(ended.causes()) != 1 {
			t.Errorf("causes %v, want one", ended.causes())
		}
	})
}

// TestHandlersLeft: a handler that ignores its context is named, and Run returns all the same.
func TestHandlersLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		end := make(chan struct{})
		stop := w.start("a:1", func(context.Context, *RawJob) ([]byte, error) { <-end; return nil, nil }, Grace(time.Second))
		id := w.enqueue("a")
		wantErr(t, stop(), ErrHandlersLeft)
		w.wantState(id, StatePending) // Deregister gave it back
		close(end)
		advance(0)
		w.wantState(id, StatePending)
	})
}

// TestSessionEnded: the handlers of a session that the cluster has ended are lost, and the worker registers again.
func TestSessionEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var ended endings
		stop := w.start("a:1", ended.untilEnd)
		w.enqueue("a")
		w.mu.Lock()
		w.sessions[1].ended = ErrSessionEnded
		w.mu.Unlock()
		advance(21 * time.Second)
		if len(ended.causes()) != 1 || !errors.Is(ended.causes()[0], ErrClaimLost) {
			t.Errorf("causes %v, want a lost claim", ended.causes())
		}
		if got := w.count(EventRegistered); got != 2 {
			t.Errorf("registered %d times, want twice", got)
		}
		advance(time.Minute)
		if got := w.count(EventStarted); got != 2 {
			t.Errorf("%d runs, want the job again in the new session", got)
		}
		wantErr(t, stop(), nil)
	})
}

// TestSessionReplaced: another process took the name; that is final.
func TestSessionReplaced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		worker := NewWorker(w.client, Lanes("a:1"), WorkerName("w"))
		var ended endings
		worker.HandleRest(ended.untilEnd)
		out := make(chan error, 1)
		go func() { out <- worker.Run(ctx) }()
		advance(0)
		w.enqueue("a")
		w.mu.Lock()
		w.sessions[1].ended = ErrSessionReplaced
		w.mu.Unlock()
		wantErr(t, <-out, ErrSessionReplaced)
		if len(ended.causes()) != 1 || !errors.Is(ended.causes()[0], ErrClaimLost) {
			t.Errorf("causes %v, want a lost claim", ended.causes())
		}
		if got := len(w.requests("Register")); got != 1 {
			t.Errorf("registered %d times, want once", got)
		}
	})
}

// TestClose: a closed client ends its calls and its workers.
func TestClose(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		worker := NewWorker(w.client, Lanes("a:1"))
		worker.HandleRest(quick)
		out := make(chan error, 1)
		go func() { out <- worker.Run(t.Context()) }()
		advance(0)
		w.client.Close()
		wantErr(t, <-out, ErrClosed)
		_, err := w.client.Get(t.Context(), 1)
		wantErr(t, err, ErrClosed)
	})
}

// TestBadRegistration: a refusal of the registration is the end.
func TestBadRegistration(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault { return fault{refuse: ErrBadLanes} })
		wantErr(t, NewWorker(w.client, Lanes("x")).Run(t.Context()), ErrBadLanes)
	})
}
