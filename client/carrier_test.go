package fairlane

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// onStream runs the body with a worker that uses the stream.
func onStream(t *testing.T, body func(*testing.T, *world)) {
	t.Helper()
	inOneWorld(t, false, body)
}

// numbers gives those of the requests of a method, in order.
func (w *world) numbers(method string) (out []uint64) {
	for _, s := range w.requests(method) {
		out = append(out, s.number)
	}
	return out
}

func (w *world) seenMessages() []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.messages)
}

// TestStreamFailover: whatever ends the stream, and whether the call took place or not, it is sent again with its number at another node, each job runs once,
// and its handler notices nothing.
func TestStreamFailover(t *testing.T) {
	for name, wrong := range map[string]fault{
		"broken before": {before: true}, "broken after": {after: true}, "not the leader": {refuse: ErrNotLeader, leader: "http://n3:1"},
		"shutting down": {refuse: ErrShuttingDown}, "unknown outcome": {refuse: ErrUnknownOutcome},
	} {
		for _, method := range []string{"Claim", "Finish"} {
			t.Run(method+" "+name, func(t *testing.T) {
				onStream(t, func(t *testing.T, w *world) {
					w.faults(func(s seen) fault {
						if s.method == method && s.nth == 1 {
							return wrong
						}
						return fault{}
					})
					w.enqueue("a")
					var broken atomic.Int32
					w.start("a:1", func(ctx context.Context, _ *RawJob) ([]byte, error) {
						advanceOnly(5 * time.Second)
						if ctx.Err() != nil {
							broken.Add(1)
						}
						return nil, nil
					})
					advance(20 * time.Second)
					w.wantState(1, StateSucceeded)
					if got := w.requests(method); len(got) < 2 || got[0].number != got[1].number || got[0].node == got[1].node || got[1].lowest > got[1].number {
						t.Fatalf("seen %v; want the same number again at another node", got)
					}
					if wrong.leader != "" && w.requests(method)[1].node != "n3:1" {
						t.Errorf("again at %s, want the leader", w.requests(method)[1].node)
					}
					if w.count(EventStarted) != 1 || w.count(EventFinished) != 1 || w.count(EventLost) != 0 || broken.Load() != 0 || w.job(1).Attempt != 1 {
						t.Errorf("%d started, %d finished, %d lost, %d noticed, attempt %d", w.count(EventStarted), w.count(EventFinished), w.count(EventLost),
							broken.Load(), w.job(1).Attempt)
					}
				})
			})
		}
	}
}

// TestCredit: over a stream a claim waits for each free slot of each lane, sent together; of very many slots only so many that other calls keep
// their numbers.
func TestCredit(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		var ended endings
		stop := w.start("a:3 b:2", ended.untilEnd, Grace(0))
		if got := len(w.requests("Claim")); got != 5 {
			t.Errorf("%d claims for 5 free slots", got)
		}
		if m := w.seenMessages(); len(m) > 3 {
			t.Errorf("messages %v, want the claims together", m)
		}
		for range 3 {
			w.enqueue("a")
		}
		advance(0)
		if got := w.count(EventStarted); got != 3 || len(w.requests("Claim")) != 5 {
			t.Errorf("%d jobs run and %d claims, want 3 jobs without another claim", got, len(w.requests("Claim")))
		}
		wantErr(t, stop(), nil)
	})
	onStream(t, func(t *testing.T, w *world) {
		w.start("a:10000 b:10000", quick)
		// The second lane has at least one, and two lanes may count to the bound at the same moment.
		if got := len(w.requests("Claim")); got < creditMost || got > creditMost+2 {
			t.Errorf("%d claims wait, want about %d", got, creditMost)
		}
		w.enqueue("b")
		w.wantState(1, StateSucceeded)
	})
}

// TestFinishesTogether: outcomes that are ready together go together.
func TestFinishesTogether(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		const many = 64
		for range many {
			w.enqueue("a")
		}
		end := make(chan struct{})
		w.start("a:64", func(context.Context, *RawJob) ([]byte, error) { <-end; return nil, nil })
		if got := w.count(EventStarted); got != many {
			t.Fatalf("%d started", got)
		}
		before := len(w.seenMessages())
		close(end)
		advance(0)
		messages, finishes := 0, 0
		for _, m := range w.seenMessages()[before:] {
			if m.finishes > 0 {
				messages, finishes = messages+1, finishes+m.finishes
			}
		}
		if finishes != many || messages > many/4 {
			t.Errorf("%d outcomes in %d messages", finishes, messages)
		}
	})
}

// TestOldClaimsSettle: a claim that waits holds up the numbers of the others; it is asked to settle before the window is full, and asks again.
func TestOldClaimsSettle(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		jobs := make([]NewJob, 1000)
		for i := range jobs {
			jobs[i] = NewJob{Kind: "k", Options: []EnqueueOption{To("busy")}}
		}
		if _, err := w.client.EnqueueMany(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
		w.start("idle:20 busy:2", quick)
		advance(time.Second)
		if got := w.count(EventFinished); got != len(jobs) {
			t.Errorf("%d jobs finished beside claims that wait, want %d", got, len(jobs))
		}
		settles := 0
		for _, m := range w.seenMessages() {
			settles += m.settles
		}
		if settles < 20 || settles > 60 {
			t.Errorf("%d claims settled; want each of twenty, each time that it was half a window old", settles)
		}
		for _, s := range append(w.requests("Finish"), w.requests("Claim")...) {
			if s.number >= s.lowest+bookWindow {
				t.Fatalf("number %d with lowest %d", s.number, s.lowest)
			}
		}
	})
}

// TestStreamOfASilentNode: a heartbeat that gets no answer ends the stream, and what waits there goes elsewhere.
func TestStreamOfASilentNode(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		w.lease = 3 * time.Second
		w.start("a:2", quick)
		advance(500 * time.Millisecond)
		w.faults(func(s seen) fault { return fault{hang: s.node == "n1:1"} })
		advance(1500 * time.Millisecond) // a heartbeat after a second, which has three quarters of one
		w.mu.Lock()
		nodes := map[string]int{}
		for s := range w.works {
			nodes[s.x.node]++
		}
		w.mu.Unlock()
		if len(nodes) != 1 || nodes["n1:1"] != 0 {
			t.Errorf("streams at %v", nodes)
		}
		w.enqueue("a")
		w.wantState(1, StateSucceeded)
		// One may be answered, and its slot claim anew, before the other is sent again.
		if n := w.numbers("Claim"); !slices.Contains(n[2:], n[0]) || !slices.Contains(n[2:], n[1]) {
			t.Errorf("claims %v, want both numbers again", n)
		}
	})
}

// TestLateAnswer: a call that gets no answer although the heartbeats do ends the stream too.
func TestLateAnswer(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault { return fault{hang: s.method == "Finish" && s.nth == 1} })
		w.enqueue("a")
		w.start("a:1", quick)
		advance(attemptLimit + 2*lateLook)
		w.wantState(1, StateSucceeded)
		if n := w.numbers("Finish"); len(n) != 2 || n[0] != n[1] {
			t.Errorf("finishes %v", n)
		}
	})
}

// TestLeaderDirectly: a node that only passes on names the leader, and the worker goes there. When it cannot, or another cluster answers there, it
// stays, tries no more for a minute, and nothing else goes there either; when the leadership has moved on, it soon looks again.
func TestLeaderDirectly(t *testing.T) {
	for name, c := range map[string]struct {
		far   fault
		at    string
		tried int
	}{
		"reached":         {fault{}, "far:1", 2},
		"not reached":     {fault{dial: true}, "n1:1", 1},
		"silent":          {fault{hang: true}, "n1:1", 1},
		"another cluster": {fault{other: true}, "n1:1", 1},
		"does not lead":   {fault{led: true}, "n1:1", 2},
	} {
		t.Run(name, func(t *testing.T) {
			onStream(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					switch {
					case s.method == "Work" && s.node != "far:1":
						return fault{direct: "http://far:1"}
					case s.node == "far:1":
						return c.far
					}
					return fault{}
				})
				w.start("a:1", quick)
				w.enqueue("a")
				advance(2 * directLimit)
				w.wantState(1, StateSucceeded)
				if at := w.requests("Claim")[0].node; at != c.at {
					t.Errorf("claimed at %s, want %s", at, c.at)
				}
				if known := len(w.client.nodes.list); (known == 4) != (c.at == "far:1") {
					t.Errorf("%d addresses are known", known)
				}
				w.breakStreams()
				advance(10 * time.Second)
				tried, streams := 0, 0
				for _, s := range append(w.requests("Status"), w.requests("Work")...) {
					switch {
					case s.node == "far:1" && s.method == "Status":
						tried++
					case s.node == "far:1":
						streams++
					}
				}
				if c.at != "far:1" && (streams > 0 || tried != c.tried) {
					t.Errorf("%d visits to the leader and %d streams there, want %d and none", tried, streams, c.tried)
				}
			})
		})
	}
}

// TestNoStreamForAWhile: when no stream comes to stand, the calls are sent alone, until one does.
func TestNoStreamForAWhile(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault { return fault{mute: s.method == "Work"} })
		w.start("a:2", quick)
		w.enqueue("a")
		advance(4 * attemptLimit)
		w.wantState(1, StateSucceeded)
		if m := w.seenMessages(); len(m) > 0 {
			t.Errorf("messages %v", m)
		}
		w.faults(func(seen) fault { return fault{} })
		advance(5 * time.Minute)
		before := len(w.seenMessages())
		w.enqueue("a")
		w.wantState(2, StateSucceeded)
		if len(w.seenMessages()) == before {
			t.Error("no stream although one can be had")
		}
	})
}

// TestLeasesWithoutAStream: heartbeats wait for no stream, so that no lease ends while streams alone cannot be had.
func TestLeasesWithoutAStream(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		w.lease = 8 * time.Second
		w.enqueue("a")
		var ended endings
		stop := w.start("a:1", ended.untilEnd, Grace(0))
		w.faults(func(s seen) fault { return fault{mute: s.method == "Work"} })
		w.breakStreams()
		advance(patience - time.Second)
		if w.count(EventStarted) != 1 || w.count(EventLost) != 0 || len(ended.causes()) != 0 {
			t.Errorf("%d started, %d lost, handlers ended for %v", w.count(EventStarted), w.count(EventLost), ended.causes())
		}
		wantErr(t, stop(), nil)
	})
}

// TestDrainOnStream: at the end claims are answered before they are given up, nothing is left unanswered, and the stream is gone.
func TestDrainOnStream(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		stop := w.start("a:100 b:100", quick)
		w.enqueue("a")
		began := time.Now()
		wantErr(t, stop(), nil)
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v of nothing to do", took)
		}
		advance(0)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.works) > 0 {
			t.Errorf("%d streams are left", len(w.works))
		}
	})
}

// TestRefusedOnStream: a claim that is refused pauses its lane, and the lane begins again with one claim.
func TestRefusedOnStream(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			if s.method == "Claim" && s.at.Second() < 5 {
				return fault{refuse: ErrUnknownLane}
			}
			return fault{}
		})
		w.start("a:50", quick)
		advance(4900 * time.Millisecond)
		// The first refusal may come before every slot has claimed.
		if got := len(w.requests("Claim")); got < 5 || got > 55 {
			t.Errorf("%d claims, want at most one for each slot and then one at a time", got)
		}
		for range 10 {
			w.enqueue("a")
		}
		advance(10 * time.Second)
		if got := w.count(EventFinished); got != 10 {
			t.Errorf("%d jobs finished", got)
		}
	})
}

// TestBusyOnStream: a call that a node has no room for is sent again after the time that it asked for, with its number.
func TestBusyOnStream(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			if s.method == "Finish" && s.nth == 1 {
				return fault{refuse: ErrBusy, retry: 2 * time.Second}
			}
			return fault{}
		})
		w.enqueue("a")
		w.start("a:1", quick)
		advance(3 * time.Second)
		got := w.requests("Finish")
		if len(got) != 2 || got[0].number != got[1].number || got[1].at.Sub(got[0].at) < 2*time.Second {
			t.Errorf("finishes %v", got)
		}
	})
}

// TestLargeOutcome: an outcome that is too large for a message is refused alone, and the stream of the others goes on.
func TestLargeOutcome(t *testing.T) {
	onStream(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			if f, ok := s.req.(*fairlanev1.FinishRequest); ok && len(f.GetSuccess().GetResult()) > streamMost {
				return fault{refuse: ErrTooLarge}
			}
			return fault{}
		})
		w.enqueue("a")
		w.start("a:2", func(context.Context, *RawJob) ([]byte, error) { return make([]byte, streamMost+1), nil })
		w.wantState(1, StateFailed)
		finishes := 0
		for _, m := range w.seenMessages() {
			finishes += m.finishes
		}
		if streams := len(w.requests("Work")); streams != 1 || finishes != 1 || len(w.requests("Finish")) != 2 {
			t.Errorf("%d streams, %d outcomes in them of %d; want one stream, and in it the failure only", streams, finishes, len(w.requests("Finish")))
		}
	})
}
