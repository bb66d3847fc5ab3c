package cluster

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// workerOf registers a worker with one lane of this chain and so many slots.
func (w *world) workerOf(n *Node, name string, slots uint32, chain ...string) uint64 {
	w.t.Helper()
	lanes := []*logv1.Lane{{Chain: chain, Slots: slots}}
	r := w.propose(n, &logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: name, Nonce: 1, Lanes: lanes}}})
	return r.GetSession().GetSession()
}

func numbered(c *logv1.Command, session, number uint64) *logv1.Command {
	c.Repeat = &logv1.Repeat{Session: session, Number: number, Lowest: 1}
	return c
}

func (w *world) later(n *Node, c *logv1.Command, wait time.Duration) *parkedClaim {
	p := &parkedClaim{done: make(chan struct{})}
	ctx := w.limit(30 * time.Second)
	go func() {
		defer close(p.done)
		p.result, p.parked, p.err = n.Claim(ctx, c, wait)
	}()
	return p
}

// The repeat of a claim that was answered gets its answer from the log at once, though nothing is there for a new claim.
func TestRepeatOfAnAnsweredClaimIsNotParked(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", 5)
	w.propose(n, enqueue(1))
	first := w.later(n, numbered(claim(session), session, 1), time.Minute)
	first.wait(t)
	again := w.later(n, numbered(claim(session), session, 1), time.Minute)
	again.wait(t)
	if first.err != nil || first.result.GetClaim().GetFence() == 0 || !proto.Equal(first.result, again.result) {
		t.Errorf("first %v %v, again %v %v", first.result, first.err, again.result, again.err)
	}
}

// A caller whose connection broke asks again while its first call is still parked: both get the one answer.
func TestParkedRepeatsGetOneAnswer(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", 5)
	first := w.later(n, numbered(claim(session), session, 1), time.Minute)
	w.parked(n, 1)
	again := w.later(n, numbered(claim(session), session, 1), time.Minute)
	w.parked(n, 2)
	w.propose(n, enqueue(1))
	first.wait(t)
	again.wait(t)
	if first.err != nil || first.result.GetClaim().GetFence() == 0 || !proto.Equal(first.result, again.result) {
		t.Errorf("first %v %v, again %v %v", first.result, first.err, again.result, again.err)
	}
}

// unseen puts jobs into the state past the proposer, so that it wakes nobody for them.
func (w *world) unseen(n *Node, queues ...string) {
	w.t.Helper()
	e := &logv1.Enqueue{}
	for _, queue := range queues {
		e.Jobs = append(e.Jobs, &logv1.NewJob{Kind: "k", Queue: queue, User: "ana"})
	}
	clock := n.config.Clock
	data, err := proto.Marshal(&logv1.Batch{
		Rules: fsm.Rules, NowMs: clock.WallMillis(), MonotonicMs: clock.MonotonicMillis(), Leadership: n.leading.Load().id,
		Commands: []*logv1.Command{{Op: &logv1.Command_Enqueue{Enqueue: e}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := n.raft.Apply(data, 0).Error(); err != nil {
		w.t.Fatal(err)
	}
}

// A claim that is woken for one job and takes another, which its chain prefers, leaves the first to the next parked claim.
func TestAWishIsPassedOn(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	both := w.later(n, claim(w.workerOf(n, "both", 1, "two", "one")), time.Minute)
	w.parked(n, 1)
	one := w.later(n, claim(w.workerOf(n, "one", 1, "one")), time.Minute)
	w.parked(n, 2)
	w.unseen(n, "one", "two")
	l := n.leading.Load()
	l.mu.Lock()
	l.rouse(l.byAge[1], wish{queue: "one", user: "ana", count: 1})
	poke(l.work)
	l.mu.Unlock()
	both.wait(t)
	one.wait(t)
	if got := both.result.GetClaim().GetJob().GetQueue(); got != "two" {
		t.Errorf("the chain two>one got a job of %q", got)
	}
	if got := one.result.GetClaim().GetJob().GetQueue(); got != "one" {
		t.Errorf("the lane of queue one got a job of %q", got)
	}
}

// A woken claim whose caller leaves before the next batch does not take the wake with it.
func TestAnAbandonedWishIsPassedOn(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", 1)
	waits := w.later(n, claim(session), time.Minute)
	w.parked(n, 1)
	w.unseen(n, "default")
	l := n.leading.Load()
	gone := newPending(claim(session))
	gone.where, gone.wish = isWoken, wish{queue: "default", user: "ana", count: 1}
	l.abandon(gone, context.Canceled)
	waits.wait(t)
	if waits.result.GetClaim().GetJob() == nil {
		t.Errorf("the claim behind it got %v %v", waits.result, waits.err)
	}
}

// Of the jobs of one coordinator only the first wakes a claim; the next one does when the first is done.
func TestJobsBehindACoordinatorsHeadWakeNobody(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	type held struct {
		*parkedClaim
		session uint64
	}
	answers := make(chan held, 3)
	for _, name := range []string{"a", "b", "c"} {
		c := held{session: w.worker(n, name, 1)}
		c.parkedClaim = w.later(n, claim(c.session), time.Minute)
		go func() {
			<-c.done
			answers <- c
		}()
	}
	w.parked(n, 3)
	recording, err := n.Record()
	if err != nil {
		t.Fatal(err)
	}
	const count = 3
	jobs := enqueue(count)
	for _, job := range jobs.GetEnqueue().GetJobs() {
		job.Coordinator = "ledger"
	}
	first := w.propose(n, jobs).GetEnqueue().GetOutcomes()[0].GetJob()
	for i := range uint64(count) {
		if i == 1 { // one more, while one of them runs
			w.propose(n, enqueueOf("ledger"))
		}
		c := <-answers
		got := c.result.GetClaim()
		if c.err != nil || got.GetJob().GetId() != first+i {
			t.Fatalf("claim %v %v, want job %d", c.result, c.err, first+i)
		}
		w.propose(n, finish(c.session, got.GetFence()))
	}
	_, claims := claimsLogged(t, recording)
	if claims != count {
		t.Errorf("%d claims went through the log for %d jobs that run one after the other", claims, count)
	}
}

func enqueueOf(coordinator string) *logv1.Command {
	c := enqueue(1)
	c.GetEnqueue().Jobs[0].Coordinator = coordinator
	return c
}
