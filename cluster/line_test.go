package cluster

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// testLine is a line and what was taken from it.
type testLine struct {
	*Line
	w     *world
	ready chan struct{}
	got   []*Ticket
	err   error
}

func (w *world) line(n *Node) *testLine {
	w.t.Helper()
	x := &testLine{w: w, ready: make(chan struct{}, 1)}
	var err error
	if x.Line, err = n.OpenLine(x.ready); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(x.Close)
	return x
}

func (x *testLine) submit(waits bool, commands ...*logv1.Command) []*Ticket {
	var tickets []*Ticket
	for _, c := range commands {
		tickets = append(tickets, &Ticket{Command: c, Waits: waits})
	}
	x.Submit(x.w.limit(20*time.Second), tickets)
	return tickets
}

// take until so many answers are there, or the line has ended.
func (x *testLine) take(count int) {
	x.w.t.Helper()
	limit := x.w.limit(20 * time.Second)
	for len(x.got) < count && x.err == nil {
		select {
		case <-x.ready:
		case <-limit.Done():
			x.w.t.Fatalf("%d answers of %d", len(x.got), count)
		}
		x.got, x.err = x.Take(x.got)
	}
}

func claims(session uint64, count int) (out []*logv1.Command) {
	for range count {
		out = append(out, claim(session))
	}
	return out
}

// What is submitted together shares an entry; claims that wait cost none, and no goroutine either. They are woken in the entry of the enqueue.
func TestLineShares(t *testing.T) {
	const count = 500
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", count)
	x := w.line(n)
	before, goroutines := w.quiet(n), runtime.NumGoroutine()
	x.submit(true, claims(session, count)...)
	w.parked(n, count)
	if now := runtime.NumGoroutine(); now > goroutines+5 {
		t.Errorf("%d parked claims have %d goroutines", count, now-goroutines)
	}
	made := w.propose(n, enqueue(count))
	x.take(count)
	var finishes []*logv1.Command
	for _, ticket := range x.got {
		if ticket.Result.GetIndex() != made.GetIndex() || ticket.Parked <= 0 {
			t.Fatalf("a claim was answered at %v after %v, the enqueue is at %v", ticket.Result, ticket.Parked, made.GetIndex())
		}
		finishes = append(finishes, finish(session, ticket.Result.GetClaim().GetFence()))
	}
	x.got = nil
	x.submit(false, finishes...)
	x.take(count)
	for _, ticket := range x.got {
		if ticket.Result.GetFinish().GetState() != logv1.State_STATE_SUCCEEDED {
			t.Fatalf("finish: %v %v", ticket.Result, ticket.Err)
		}
	}
	if entries := n.raft.LastIndex() - before; entries > 4 {
		t.Errorf("%d jobs took %d log entries", count, entries)
	}
}

// A settled claim is answered now, with nothing if nothing is there; one that was answered stays so; the others wait on.
func TestLineSettles(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", 9)
	x := w.line(n)
	tickets := x.submit(true, claims(session, 5)...)
	w.parked(n, 5)
	x.Settle([]*Ticket{tickets[3], {}})
	x.take(1)
	if x.got[0] != tickets[3] || x.got[0].Result.GetClaim().GetEmpty() != logv1.Empty_EMPTY_NOTHING {
		t.Errorf("settled: %v", x.got[0].Result)
	}
	x.Settle(tickets[3:4])
	w.propose(n, enqueue(1))
	x.take(2)
	if x.got[1] != tickets[0] || x.got[1].Result.GetClaim().GetJob() == nil {
		t.Errorf("the oldest: %v", x.got[1].Result)
	}
	w.parked(n, 3)
	x.SettleAll()
	x.take(5)
	w.parked(n, 0)
	for _, ticket := range x.got {
		if ticket.Result == nil || ticket.Err != nil {
			t.Errorf("%v %v", ticket.Result, ticket.Err)
		}
	}
}

// A closed line leaves nothing behind: parked claims leave, and the wish of a woken one is passed on.
func TestLineCloses(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "w", 9)
	x := w.line(n)
	x.submit(true, claims(session, 3)...)
	w.parked(n, 3)
	other := w.claimLater(n, session, 20*time.Second)
	w.parked(n, 4)
	w.unseen(n, "default")
	l := n.leading.Load()
	l.mu.Lock()
	l.rouse(l.byAge[1], wish{queue: "default", user: "ana", count: 1})
	l.unlock()
	x.Close()
	x.Close()
	other.wait(t)
	if other.result.GetClaim().GetJob() == nil {
		t.Errorf("the other claim: %v %v", other.result, other.err)
	}
	w.parked(n, 0)
	x.submit(false, claim(session)) // nobody hears of it
	if got, err := x.Take(nil); len(got) > 0 || err != nil {
		t.Errorf("taken from a closed line: %v %v", got, err)
	}
	if len(l.lines) != 0 {
		t.Errorf("%d lines are left", len(l.lines))
	}
}

// A line ends with the leadership, also one on which nothing is open; what was answered before is given first.
func TestLineEndsWithTheLeadership(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	n := w.leader()
	session := w.worker(n, "w", 9)
	idle, busy := w.line(n), w.line(n)
	busy.submit(true, claims(session, 3)...)
	w.parked(n, 3)
	if err := await(w.limit(10*time.Second), n.raft.LeadershipTransfer()); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*testLine{idle, busy} {
		x.take(1)
		if len(x.got) > 0 || !errors.Is(x.err, ErrNotLeader) {
			t.Errorf("%d answers, %v", len(x.got), x.err)
		}
	}
	w.until("another leads", func() bool { return !n.IsLeader() })
	if _, err := n.OpenLine(make(chan struct{}, 1)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a line on a follower: %v", err)
	}
}

func TestLineEndsWithTheNode(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	x := w.line(n)
	w.close(n)
	if x.take(1); !errors.Is(x.err, ErrShutdown) {
		t.Errorf("ended by %v", x.err)
	}
}

// A batch of which nobody knows ends the line, but not before its other commands that are in flight are answered. Busy is the command's own.
func TestLineOfARefusedBatch(t *testing.T) {
	l := blocked(t)
	x := &testLine{Line: &Line{l: l}, ready: make(chan struct{}, 1)}
	x.Line.ready = x.ready
	tickets := []*Ticket{{Command: finish(1, 1)}, {Command: finish(1, 2)}, {Command: finish(1, 3)}}
	x.Submit(t.Context(), tickets)
	b := l.pack()
	if len(b.pending) != 3 {
		t.Fatalf("%d commands in the batch", len(b.pending))
	}
	l.mu.Lock()
	l.answer(b.pending[0], answer{err: &BusyError{RetryAfter: time.Second}})
	l.answer(b.pending[1], answer{err: ErrNotLeader})
	l.unlock()
	got, err := x.Take(nil)
	if len(got) != 1 || got[0].Err == nil || err != nil {
		t.Errorf("%d answers, %v", len(got), err)
	}
	l.refuse(b, ErrUnknownOutcome)
	if got, err = x.Take(nil); len(got) != 0 || !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("%d answers, %v", len(got), err)
	}
}

// While the queue of urgent commands is full, a line waits; others go on.
func TestLineWaitsForRoom(t *testing.T) {
	l := blocked(t)
	l.urgent.list = make([]*pending, maxUrgent)
	for i := range l.urgent.list {
		l.urgent.list[i] = &pending{where: isAnswered}
	}
	x := &Line{l: l, ready: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.Submit(ctx, []*Ticket{{Command: finish(1, 1)}})
	}()
	waits := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.room != nil
	}
	for !waits() {
		runtime.Gosched()
	}
	select {
	case <-done:
		t.Error("it did not wait")
	default:
	}
	l.pack() // makes room
	<-done
	if _, err := x.Take(nil); err != nil {
		t.Error(err)
	}
	cancel()
}

// A line that has ended takes no more, and a claim of it that flies does not wait again: else its caller would not hear of the end.
func TestEndedLine(t *testing.T) {
	l := blocked(t)
	x := &Line{l: l, ready: make(chan struct{}, 1)}
	x.Submit(t.Context(), []*Ticket{{Command: claim(1), Waits: true}})
	b := l.pack()
	l.mu.Lock()
	x.end(ErrNotLeader)
	l.unlock()
	if got, err := x.Take(nil); len(got) > 0 || err != nil {
		t.Errorf("while the claim flies: %d answers, %v", len(got), err)
	}
	x.Submit(t.Context(), []*Ticket{{Command: finish(1, 1)}})
	if _, queued := l.counts(); queued != 0 {
		t.Errorf("%d commands of an ended line are queued", queued)
	}
	empty := &logv1.Result{Value: &logv1.Result_Claim{Claim: &logv1.ClaimResult{Empty: logv1.Empty_EMPTY_NOTHING}}}
	l.settle(b, fsm.Outcome{Results: []*logv1.Result{empty}})
	if got, err := x.Take(nil); len(got) != 1 || !errors.Is(err, ErrNotLeader) {
		t.Errorf("%d answers, %v", len(got), err)
	}
}
