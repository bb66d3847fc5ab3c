package fairlane

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestProducerContexts: a context that ends takes a waiting job out before it is sent; of a sent one nobody can say; a call for which nobody
// waits is given up.
func TestProducerContexts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.holdFirst(time.Hour)
		p := NewProducer(w.client)
		flying, endFlying := context.WithCancel(t.Context())
		first := p.Send(flying, NewJob{Kind: "first"})
		synctest.Wait()
		why := errors.New("no more use")
		queued, endQueued := context.WithCancelCause(t.Context())
		out := p.Send(queued, NewJob{Kind: "out"})
		var more []*Pending
		for range 20 {
			more = append(more, p.Send(queued, NewJob{Kind: "out"}))
		}
		stays := p.Send(t.Context(), NewJob{Kind: "stays"})
		endQueued(why)
		for range 2 {
			if _, err := out.Wait(queued); !errors.Is(err, why) || errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("taken out: %v", err)
			}
		}
		for _, one := range more { // the one who waits may go at the same moment
			_, err := one.Wait(queued)
			wantErr(t, err, why)
		}
		if _, err := p.Send(queued, NewJob{Kind: "late"}).Wait(t.Context()); !errors.Is(err, why) {
			t.Errorf("too late: %v", err)
		}
		short, endShort := context.WithTimeout(t.Context(), time.Second)
		defer endShort()
		if _, err := stays.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait that ends: %v", err)
		}
		endFlying()
		if _, err := first.Wait(t.Context()); !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
			t.Errorf("left on its way: %v", err)
		}
		if _, err := stays.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if got := w.requests("EnqueueMany"); len(got) != 2 || len(w.jobs) != 1 || w.jobs[1].Kind != "stays" {
			t.Errorf("requests %v", got)
		}
		w.idle(p)
	})
}

// TestProducerOneOfManyLeaves: the call goes on for the others.
func TestProducerOneOfManyLeaves(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.holdFirst(time.Second)
		p := NewProducer(w.client)
		p.Send(t.Context(), NewJob{Kind: "first"})
		synctest.Wait()
		w.faults(func(seen) fault { return fault{wait: 3 * time.Second} })
		short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		leaves := p.Send(short, NewJob{Kind: "leaves"})
		stays := p.Send(t.Context(), NewJob{Kind: "stays"})
		_, err := leaves.Wait(t.Context())
		wantErr(t, err, ErrUnknownOutcome)
		if _, err := stays.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if h, err := leaves.Wait(t.Context()); err != nil && !errors.Is(err, ErrUnknownOutcome) || h != nil && h.ID != 2 {
			t.Errorf("asked again: %v %v", h, err)
		}
		w.idle(p)
	})
}

// TestProducerOutage: callers that come and go while the cluster is away leave nothing behind.
func TestProducerOutage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults(func(seen) fault { return fault{refuse: ErrNoLeader} })
		p := NewProducer(w.client, QueueLimit(10, 1<<20))
		for range 100 {
			for range 20 {
				go func() {
					ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
					defer cancel()
					if _, err := p.Enqueue(ctx, "k", nil); !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				}()
			}
			advance(time.Second)
		}
		w.idle(p)
		if len(w.jobs) != 0 {
			t.Errorf("%d jobs", len(w.jobs))
		}
	})
}

// TestProducerBounds: who adds more than the queue takes waits for room; a call carries at most 1,000 jobs and about 900 KiB; what the
// cluster finds too large in one is halved.
func TestProducerBounds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.holdFirst(time.Second)
		p := NewProducer(w.client, QueueLimit(2500, 1<<30))
		began := time.Now()
		for range 2501 { // one flies, 2,500 wait
			p.Send(t.Context(), NewJob{Kind: "k"})
			synctest.Wait()
		}
		if time.Since(began) != 0 {
			t.Error("waited although there was room")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := p.Send(short, NewJob{Kind: "k"}).Wait(t.Context()); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("no room: %v", err)
		}
		p.Send(t.Context(), NewJob{Kind: "k"})
		if time.Since(began) != time.Second {
			t.Errorf("room after %v", time.Since(began))
		}
		if err := p.Flush(t.Context()); err != nil || len(w.jobs) != 2502 {
			t.Errorf("%v, %d jobs", err, len(w.jobs))
		}
		for i, want := range []int{1, 1000, 1000, 501} {
			if got := w.calls(); len(got) != 4 || got[i] != want {
				t.Errorf("calls of %v jobs", got)
			}
		}
		w.idle(p)
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.holdFirst(time.Second)
		p := NewProducer(w.client)
		first := p.Send(t.Context(), NewJob{Kind: "k"})
		synctest.Wait()
		for range 9 {
			p.Send(t.Context(), NewJob{Kind: "k", Args: Raw(make([]byte, 300<<10))})
		}
		large := p.Send(t.Context(), NewJob{Kind: "k", Args: Raw(make([]byte, 1<<20))})
		over := p.Send(t.Context(), NewJob{Kind: "k", Args: Raw(make([]byte, 1<<20+1))})
		_, _ = first.Wait(t.Context())
		if _, err := large.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		_, err := over.Wait(t.Context())
		wantErr(t, err, ErrTooLarge)
		if got := w.calls(); len(got) != 1+5+2 {
			t.Errorf("calls of %v jobs", got)
		}
		w.idle(p)
	})
}

// TestProducerRoomInTurn: a small job does not pass a larger one that waits for room.
func TestProducerRoomInTurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.holdFirst(time.Second)
		p := NewProducer(w.client, QueueLimit(100, 1000))
		for _, bytes := range []int{1, 500, 900, 1} {
			go p.Send(context.Background(), NewJob{Kind: "k", Args: Raw(make([]byte, bytes))})
			synctest.Wait()
		}
		advance(time.Minute)
		if got := len(w.jobs[3].GetData()); got != 900 {
			t.Errorf("the third job has %d bytes, want 900", got)
		}
		w.idle(p)
	})
}

// TestProducerHalves: a call that the cluster finds too large as a whole is made in two.
func TestProducerHalves(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			switch {
			case s.method != "EnqueueMany" || s.nth > 3:
				return fault{}
			case s.nth == 1:
				return fault{wait: time.Second}
			}
			return fault{refuse: ErrTooLarge} // all nine, and their first half
		})
		p := NewProducer(w.client)
		var sent []*Pending
		for range 10 {
			sent = append(sent, p.Send(t.Context(), NewJob{Kind: "k"}))
			synctest.Wait()
		}
		for i, one := range sent {
			if h, err := one.Wait(t.Context()); err != nil || h.ID != JobID(i+1) {
				t.Errorf("job %d: %v %v", i+1, h, err)
			}
		}
		w.idle(p)
	})
}

// TestProducerClose: while the queue is full, Close answers who waits for room, sends what was accepted and takes no more.
func TestProducerClose(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.holdFirst(time.Second)
		p := NewProducer(w.client, QueueLimit(3, 1<<20))
		var accepted []*Pending
		for range 4 {
			accepted = append(accepted, p.Send(t.Context(), NewJob{Kind: "k"}))
			synctest.Wait()
		}
		refused := make(chan error, 5)
		for range 5 {
			go func() {
				_, err := p.Enqueue(context.Background(), "k", nil)
				refused <- err
			}()
		}
		synctest.Wait()
		for range 2 {
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for range 5 {
			wantErr(t, <-refused, ErrClosed)
		}
		for _, one := range accepted {
			if _, err := one.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		_, err := p.Enqueue(t.Context(), "k", nil)
		wantErr(t, err, ErrClosed)
		if len(w.jobs) != 4 {
			t.Errorf("%d jobs, want 4", len(w.jobs))
		}
		w.idle(p)
	})
}

// TestProducerCloseInHaste: when Close may wait no longer, or the client is closed, everybody is answered at once and truly.
func TestProducerCloseInHaste(t *testing.T) {
	for _, client := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			w.faults(func(s seen) fault { return fault{hang: s.method == "EnqueueMany"} })
			p := NewProducer(w.client)
			flying := p.Send(t.Context(), NewJob{Kind: "k"})
			synctest.Wait()
			queued := p.Send(t.Context(), NewJob{Kind: "k"})
			advance(10 * time.Second)
			if client {
				w.client.Close()
			} else {
				short, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				wantErr(t, p.Close(short), context.DeadlineExceeded)
			}
			_, err := flying.Wait(t.Context())
			wantErr(t, err, ErrUnknownOutcome)
			_, err = queued.Wait(t.Context())
			wantErr(t, err, ErrClosed)
			if errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("what was not sent: %v", err)
			}
			w.idle(p)
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
