package fairlane

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// calls gives how many jobs each request of EnqueueMany carried.
func (w *world) calls() (out []int) {
	for _, s := range w.requests("EnqueueMany") {
		out = append(out, len(s.req.(*fairlanev1.EnqueueManyRequest).Jobs))
	}
	return out
}

// holdFirst makes the first call take so long.
func (w *world) holdFirst(d time.Duration) {
	w.faults(func(s seen) fault {
		if s.method == "EnqueueMany" && s.nth == 1 {
			return fault{wait: d}
		}
		return fault{}
	})
}

// idle fails the test unless the producer holds nothing and no goroutine sends.
func (w *world) idle(p *Producer) {
	w.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running || p.flying != nil || len(p.queue) > 0 || p.jobs != 0 || p.bytes != 0 || len(p.waiting) > 0 {
		w.t.Errorf("left over: running %v, %d batches, %d jobs, %d bytes, %d waiting", p.running, len(p.queue), p.jobs, p.bytes, len(p.waiting))
	}
}

// TestProducerGathers: what comes while a call is on its way goes in the next one, and each gets a job of its own.
func TestProducerGathers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.holdFirst(time.Second)
		p := NewProducer(w.client)
		var all sync.WaitGroup
		var ids sync.Map
		add := func() {
			h, err := p.Enqueue(t.Context(), "k", 1)
			if err != nil {
				t.Error(err)
			} else if _, twice := ids.LoadOrStore(h.ID, true); twice {
				t.Errorf("job %d was given twice", h.ID)
			}
		}
		all.Go(add)
		synctest.Wait()
		for range 50 {
			all.Go(add)
		}
		all.Wait()
		if got := w.calls(); len(got) != 2 || got[0] != 1 || got[1] != 50 {
			t.Errorf("calls of %v jobs, want 1 and 50", got)
		}
		w.idle(p)
		if _, err := Define[int, int]("typed").Enqueue(t.Context(), p, 1); err != nil {
			t.Error(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// wrongs are the ways in which an attempt fails without an answer.
var wrongs = []fault{{dial: true}, {before: true}, {after: true}, {refuse: ErrUnknownOutcome}, {refuse: ErrNotLeader}, {refuse: ErrBusy},
	{refuse: ErrShuttingDown}, {refuse: errCallTimedOut}, {hang: true}}

// TestProducerAtRandom: through failovers, refused jobs and a queue that is full, each job that is good exists once, each that is not has
// its own error, and the ids of one goroutine rise.
func TestProducerAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				dice := rand.New(rand.NewPCG(seed, 1))
				w.faults(func(s seen) fault { // f.mu is held
					if s.method == "EnqueueMany" && dice.IntN(3) == 0 {
						return wrongs[dice.IntN(len(wrongs))]
					}
					return fault{wait: time.Duration(dice.IntN(3)) * time.Millisecond}
				})
				p := NewProducer(w.client, QueueLimit(1+dice.IntN(40), 1+dice.IntN(4<<10)))
				var all sync.WaitGroup
				for g := range 8 {
					mine := rand.New(rand.NewPCG(seed, uint64(g)+2))
					all.Go(func() { produceAtRandom(t, p, mine, fmt.Sprintf("u%d", g)) })
				}
				all.Wait()
				if err := p.Close(t.Context()); err != nil {
					t.Error(err)
				}
				w.idle(p)
				seen := map[string]bool{}
				for _, j := range w.jobs {
					name := j.User + "/" + j.GetJson()
					if seen[name] || j.Queue != "good" {
						t.Errorf("job %s in queue %q exists twice: %v", name, j.Queue, seen[name])
					}
					seen[name] = true
				}
			})
		})
	}
}

// produceAtRandom adds 30 jobs, some of them bad, and checks their answers.
func produceAtRandom(t *testing.T, p *Producer, dice *rand.Rand, user string) {
	var sent []*Pending
	var want []Reason
	for i := range 30 {
		job, reason := NewJob{Kind: "k", Args: i, Options: []EnqueueOption{To("good"), AsUser(user)}}, Reason("")
		switch dice.IntN(8) {
		case 0:
			job.Options[0], reason = To("not good"), ErrInvalidArgument
		case 1:
			job.Kind, reason = "", ErrInvalidArgument // refused inside the answer
		case 2:
			job.Kind, reason = "\xff", ErrInvalidArgument
		}
		sent, want = append(sent, p.Send(t.Context(), job)), append(want, reason)
	}
	last := JobID(0)
	for i, one := range sent {
		h, err := one.Wait(t.Context())
		switch {
		case want[i] != "":
			if e, ok := errors.AsType[*Error](err); !ok || e.Reason != want[i] || strings.Contains(err.Error()+e.Metadata["field"], "jobs[") {
				t.Errorf("bad job: %v, want %s about one job", err, want[i])
			}
		case err != nil:
			t.Error(err)
		case h.ID <= last:
			t.Errorf("job %d after %d", h.ID, last)
		default:
			last = h.ID
		}
	}
}

// TestProducerSameNumber: a call that is made again has the same number and the same jobs.
func TestProducerSameNumber(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.faults(func(s seen) fault {
			if s.method == "EnqueueMany" && s.nth <= len(wrongs) {
				return wrongs[s.nth-1]
			}
			return fault{}
		})
		p := NewProducer(w.client)
		first := p.Send(t.Context(), NewJob{Kind: "a"})
		synctest.Wait()
		for range 5 {
			p.Send(t.Context(), NewJob{Kind: "b"})
		}
		if _, err := first.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if err := p.Flush(t.Context()); err != nil || len(w.jobs) != 6 {
			t.Errorf("%v, %d jobs, want 6", err, len(w.jobs))
		}
		for i, s := range w.requests("EnqueueMany") {
			if want := min(uint64(i/(len(wrongs)+1)+1), 2); s.number != want {
				t.Errorf("request %d has number %d, want %d", i, s.number, want)
			}
		}
		w.idle(p)
	})
}

// TestProducerKeys: when the session ends and nobody knows what the call did, the jobs with a key are sent again and the others say so.
func TestProducerKeys(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.holdFirst(time.Second)
		p := NewProducer(w.client)
		p.Send(t.Context(), NewJob{Kind: "first"})
		synctest.Wait()
		keyed := p.Send(t.Context(), NewJob{Kind: "k", Options: []EnqueueOption{IdempotencyKey("x")}})
		bare := p.Send(t.Context(), NewJob{Kind: "k"})
		w.faults(func(s seen) fault {
			if s.method == "EnqueueMany" && s.session == 1 {
				return []fault{{before: true}, {refuse: ErrSessionEnded}}[s.nth%2]
			}
			return fault{}
		})
		if _, err := keyed.Wait(t.Context()); err != nil {
			t.Errorf("with a key: %v", err)
		}
		_, err := bare.Wait(t.Context())
		wantErr(t, err, ErrUnknownOutcome)
		w.idle(p)
	})
}

// TestProducerUnknownStays: a job with a key of which nobody knows does not become a certain failure when the second session fails too.
func TestProducerUnknownStays(t *testing.T) {
	for name, other := range map[string][]EnqueueOption{"alone": {IdempotencyKey("y")}, "among others": nil} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.faults(func(s seen) fault {
					switch {
					case s.method != "EnqueueMany":
						return fault{}
					case s.session > 1:
						return fault{refuse: ErrBusy}
					case s.nth == 1: // while it is held, the jobs under test gather in one batch
						return fault{wait: time.Second}
					case s.nth == 2:
						return fault{after: true}
					}
					return fault{refuse: ErrSessionEnded}
				})
				p := NewProducer(w.client)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				p.Send(t.Context(), NewJob{Kind: "first"})
				synctest.Wait()
				p.Send(t.Context(), NewJob{Kind: "k", Options: other})
				keyed := p.Send(t.Context(), NewJob{Kind: "k", Options: []EnqueueOption{IdempotencyKey("x")}})
				wantErr(t, p.Close(ctx), context.DeadlineExceeded)
				_, err := keyed.Wait(t.Context())
				wantErr(t, err, ErrUnknownOutcome)
				w.idle(p)
			})
		})
	}
}
