package fairlane

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestSameNumberOverFailover: whatever goes wrong with an attempt, the next one carries the same number, and the job exists once.
func TestSameNumberOverFailover(t *testing.T) {
	cases := map[string]fault{
		"node down":         {dial: true},
		"broken before":     {before: true},
		"answer lost":       {after: true},
		"hangs":             {hang: true},
		"unknown outcome":   {refuse: ErrUnknownOutcome},
		"not the leader":    {refuse: ErrNotLeader},
		"no leader":         {refuse: ErrNoLeader},
		"queue full":        {refuse: ErrBusy},
		"shutting down":     {refuse: ErrShuttingDown},
		"too many are open": {refuse: ErrTooManyOpen},
		"out of time":       {refuse: errCallTimedOut},
	}
	for name, wrong := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					if s.method == "Enqueue" && s.nth <= 4 {
						return wrong
					}
					return fault{}
				})
				if _, err := w.client.Enqueue(t.Context(), "k", nil); err != nil {
					t.Fatal(err)
				}
				got := w.requests("Enqueue")
				if len(got) != 5 || len(w.jobs) != 1 {
					t.Errorf("%d requests made %d jobs, want 5 and 1", len(got), len(w.jobs))
				}
				for _, s := range got {
					if s.number != 1 || s.session != 1 {
						t.Errorf("attempt with session %d number %d, want 1 and 1", s.session, s.number)
					}
				}
			})
		})
	}
}

// TestUnknownOutcome: a call that ends after an attempt of which nobody knows says so; one whose attempts all did nothing does not.
func TestUnknownOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		first, later fault
		unknown      bool
	}{
		"lost, then busy":      {fault{after: true}, fault{refuse: ErrBusy}, true},
		"lost, then down":      {fault{before: true}, fault{dial: true}, true},
		"lost, then too old":   {fault{before: true}, fault{refuse: ErrTooOld}, true},
		"lost, session ended":  {fault{before: true}, fault{refuse: ErrSessionEnded}, true},
		"busy all the time":    {fault{refuse: ErrBusy}, fault{refuse: ErrBusy}, false},
		"no node at all":       {fault{dial: true}, fault{dial: true}, false},
		"lost, then a refusal": {fault{before: true}, fault{refuse: ErrUnknownQueue}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					switch {
					case s.method != "Enqueue":
						return fault{}
					case s.nth == 1:
						return c.first
					}
					return c.later
				})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err := w.client.Enqueue(ctx, "k", nil)
				if err == nil || errors.Is(err, ErrUnknownOutcome) != c.unknown {
					t.Errorf("got %v, want unknown outcome: %v", err, c.unknown)
				}
			})
		})
	}
}

// TestLeaderIsLearnt: the next attempt goes to the leader that the refusal names, and so do the calls after it.
func TestLeaderIsLearnt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			if s.node != "n9:1" {
				return fault{refuse: ErrNotLeader, leader: "http://n9:1"}
			}
			return fault{}
		})
		for range 2 {
			if _, err := w.client.Enqueue(t.Context(), "k", nil); err != nil {
				t.Fatal(err)
			}
		}
		got := w.requests("Enqueue")
		if len(got) != 2 || got[0].node != "n9:1" || got[1].node != "n9:1" {
			t.Errorf("requests %v, want two at n9", got)
		}
	})
}

// TestRetryDelayIsKept: a cluster that asks for time gets it; a node that only points elsewhere does not hold the call up.
func TestRetryDelayIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		wrong       fault
		least, most time.Duration
	}{
		"busy":           {fault{refuse: ErrBusy, retry: 3 * time.Second}, 3 * time.Second, 3100 * time.Millisecond},
		"not the leader": {fault{refuse: ErrNotLeader, retry: 3 * time.Second}, 0, 0},
		"node down":      {fault{dial: true}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					if s.method == "Enqueue" && s.nth == 1 {
						return c.wrong
					}
					return fault{}
				})
				began := time.Now()
				if _, err := w.client.Enqueue(t.Context(), "k", nil); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < c.least || took > c.most {
					t.Errorf("took %v, want %v to %v", took, c.least, c.most)
				}
			})
		})
	}
}

// TestSessionIsOpenedAgain: a call that finds its session ended is sent in a new one; with an unknown attempt only when its key protects it.
func TestSessionIsOpenedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.enqueue("a")
		w.mu.Lock()
		w.sessions[1].ended = ErrSessionEnded
		w.mu.Unlock()
		w.enqueue("a")
		got := w.requests("Enqueue")
		if last := got[len(got)-1]; len(got) != 3 || last.session != 2 || last.number != 1 {
			t.Errorf("%d requests, the last in session %d with number %d; want 3, 2, 1", len(got), last.session, last.number)
		}
		w.faults(func(s seen) fault {
			if s.method == "Enqueue" && s.session == 2 {
				if s.nth%2 == 0 {
					return fault{before: true}
				}
				return fault{refuse: ErrSessionEnded}
			}
			return fault{}
		})
		if _, err := w.client.Enqueue(t.Context(), "k", nil, IdempotencyKey("x")); err != nil {
			t.Errorf("with a key: %v", err)
		}
	})
}

// TestLowestAndWindow: the lowest unanswered number travels with every call, and no number runs more than 1,024 ahead of it.
func TestLowestAndWindow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := newBook(1)
		first, _ := b.begin(t.Context(), false)
		for range bookWindow - 1 {
			other, err := b.begin(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			other.end()
		}
		if low := b.low(); low != 1 {
			t.Errorf("lowest %d, want 1", low)
		}
		select {
		case <-first.nudge():
		default:
			t.Error("the call that holds up the others was not nudged")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.begin(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("number 1025 beside an open number 1: %v, want a wait", err)
		}
		first.end()
		if next, err := b.begin(t.Context(), false); err != nil || next.number != bookWindow+1 || b.low() != bookWindow+1 {
			t.Errorf("after the end of 1: %v, lowest %d", err, b.low())
		}
	})
}

// TestTypedWait: arguments and result keep their types, and an end without success is an error with the state.
func TestTypedWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		type args struct{ N int }
		double := Define[args, int]("double")
		worker := NewWorker(w.client, Lanes("*:2"), WorkerName("w"))
		double.Handle(worker, func(_ context.Context, job *Job[args]) (int, error) {
			if job.Args.N < 0 {
				return 0, Discard(errors.New("negative"))
			}
			return 2 * job.Args.N, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- worker.Run(ctx) }()
		for n, want := range map[int]int{21: 42, -1: 0} {
			h, err := double.Enqueue(t.Context(), w.client, args{n})
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.Wait(t.Context())
			if got != want || n < 0 != errors.Is(err, ErrFailed) {
				t.Errorf("double(%d) = %d, %v", n, got, err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestEnqueueMany: each job has its own outcome.
func TestEnqueueMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		got, err := w.client.EnqueueMany(t.Context(), []NewJob{{Kind: "a", Args: 1}, {Kind: ""}, {Kind: "b", Args: Raw{0}}})
		if err != nil || len(got) != 3 {
			t.Fatal(got, err)
		}
		if got[0].Handle == nil || got[2].Handle == nil {
			t.Errorf("got %+v", got)
		}
		wantErr(t, got[1].Err, ErrInvalidArgument)
	})
}

// TestRefusedConnection: over real sockets a refused connection is known to have done nothing.
func TestRefusedConnection(t *testing.T) {
	c, err := Connect("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n, _ := c.nodes.pick()
	_, err = n.jobs.Get(t.Context(), &fairlanev1.GetRequest{Id: 1})
	if e := fromWire(err); e.judge() != verdictNothing {
		t.Errorf("%v is judged %d", err, e.judge())
	}
	if tr, ok := c.nodes.client.(*http.Client).Transport.(*http.Transport); !ok || tr.ForceAttemptHTTP2 {
		t.Error("unary calls go over HTTP/1.1")
	}
}

// TestEndpoints: what is not an address is refused at once, with words.
func TestEndpoints(t *testing.T) {
	for _, bad := range []string{"", "ftp://x", "http://", "a b"} {
		if c, err := Connect(bad); err == nil {
			t.Errorf("%q was accepted: %v", bad, c.nodes.list[0].url)
		}
	}
	t.Setenv("FAIRLANE_ENDPOINTS", " a:1, https://b:2/ ,")
	c, err := Connect()
	if err != nil || len(c.nodes.list) != 2 || c.nodes.list[0].url != "http://a:1" || c.nodes.list[1].url != "https://b:2" {
		t.Errorf("got %v", err)
	}
}

// TestErrorWithoutReason: a call that nobody answered says why, and nothing else.
func TestErrorWithoutReason(t *testing.T) {
	if got := (&Error{cause: errors.New("connection refused")}).Error(); got != "fairlane: connection refused" {
		t.Errorf("got %q", got)
	}
}
