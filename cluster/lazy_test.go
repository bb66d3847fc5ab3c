package cluster

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func output(session, fence, offset uint64, data string) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Output{Output: &logv1.Output{
		Session: session, Parts: []*logv1.OutputPart{{Fence: fence, Offset: offset, Data: []byte(data)}},
	}}}
}

// TestOutputSharesEntries: many streams make few entries, each piece is stored once, and a finish finds what was appended before.
func TestOutputSharesEntries(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	const streams, each = 100, 20
	session := w.worker(n, "worker", streams)
	w.propose(n, enqueue(streams))
	fences := make([]uint64, streams)
	together(streams, func(i int) { fences[i] = w.propose(n, claim(session)).GetClaim().GetFence() })
	before, began := n.raft.LastIndex(), time.Now()
	together(streams, func(i int) {
		for piece := range uint64(each) {
			r := w.propose(n, output(session, fences[i], piece*4, "abc "))
			if status := r.GetOutput().GetStatuses()[0]; status.GetEnd() != piece*4+4 || status.GetRefusal() != nil {
				t.Errorf("piece %d: %v", piece, status)
			}
		}
	})
	entries, took := n.raft.LastIndex()-before, time.Since(began)
	if most := uint64(took/coalesceTime) + 3; entries > most {
		t.Errorf("%d appends took %d log entries in %v, want at most %d", streams*each, entries, took, most)
	}
	t.Logf("%d appends of %d streams: %d entries in %v", streams*each, streams, entries, took)
}

// TestOutputRides: with other commands going out, output waits no longer than they do.
func TestOutputRides(t *testing.T) {
	l := blocked(t)
	l.nextTick = time.Now().Add(noTick)
	submit := func(c *logv1.Command) *pending {
		t.Helper()
		p := newPending(c)
		if err := l.submit(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := submit(output(1, 1, 0, "x"))
	first.since = time.Now().Add(time.Hour) // never due in this test
	if now, wait := l.hasWork(); now || wait <= 0 {
		t.Errorf("output alone asks for an entry: %v %v", now, wait)
	}
	if b := l.pack(); b != nil {
		t.Errorf("output alone made a batch of %d", len(b.pending))
	}
	done := submit(finish(1, 1))
	b := l.pack()
	if b == nil || len(b.pending) != 2 || b.pending[0] != first || b.pending[1] != done {
		t.Fatalf("a finish took no output along, or stands before it: %+v", b)
	}
	// Due: it goes alone.
	second := submit(output(1, 1, 1, "y"))
	second.since = time.Now().Add(-coalesceTime)
	if b := l.pack(); b == nil || len(b.pending) != 1 || b.pending[0] != second {
		t.Fatalf("output that is due: %+v", b)
	}
	// Much: it does not wait.
	third := submit(output(1, 1, 2, string(make([]byte, coalesceBytes))))
	third.since = time.Now().Add(time.Hour)
	if now, _ := l.hasWork(); !now {
		t.Error("much output waits")
	}
	if b := l.pack(); b == nil || len(b.pending) != 1 {
		t.Fatalf("much output: %+v", b)
	}
	// What would crowd out the rest goes with nothing but the first of it.
	large := submit(output(1, 1, 2, string(make([]byte, packBytes))))
	submit(finish(1, 1))
	submit(finish(1, 1))
	if b := l.pack(); b == nil || len(b.pending) != 2 || b.pending[0] != large {
		t.Fatalf("large output: %d commands", len(b.pending))
	}
	// The answers of output do not make the proposer wait for their callers.
	if b.riders != 1 {
		t.Errorf("%d of a batch are output", b.riders)
	}
}

// TestOutputIsBounded: beyond a number of bytes callers are told, and one that left makes room.
func TestOutputIsBounded(t *testing.T) {
	l := blocked(t)
	full := func() error {
		for range 100 {
			if err := l.submit(t.Context(), newPending(output(1, 1, 0, string(make([]byte, 1<<20))))); err != nil {
				return err
			}
		}
		return nil
	}
	var busy *BusyError
	if err := full(); !errors.As(err, &busy) || l.lazy.bytes > maxLazyBytes+2<<20 {
		t.Errorf("%d bytes wait: %v", l.lazy.bytes, err)
	}
	// Others are not turned away for it.
	if err := l.submit(t.Context(), newPending(enqueue(1))); err != nil {
		t.Error(err)
	}
	p := l.lazy.list[0]
	if a := l.abandon(p, context.Canceled); !errors.Is(a.err, context.Canceled) {
		t.Errorf("a caller that left: %v", a.err)
	}
	l.close(ErrNotLeader)
	for _, p := range l.lazy.list {
		if <-p.answered; !errors.Is(p.outcome.err, ErrNotLeader) {
			t.Error(p.outcome.err)
		}
	}
}

func TestWeights(t *testing.T) {
	many := &logv1.Output{}
	for range 64 {
		many.Parts = append(many.Parts, &logv1.OutputPart{})
	}
	for want, c := range map[int]*logv1.Command{
		1: output(1, 1, 0, ""),
		4: {Op: &logv1.Command_Output{Output: many}},
		7: {Op: &logv1.Command_CancelMany{CancelMany: &logv1.CancelMany{Jobs: make([]uint64, 7)}}},
		8: {Op: &logv1.Command_RetryMany{RetryMany: &logv1.RetryMany{Jobs: make([]uint64, 8)}}},
	} {
		if p := newPending(c); p.weight != want || p.bytes != proto.Size(c) {
			t.Errorf("%T weighs %d, want %d", c.GetOp(), p.weight, want)
		}
	}
}

// BenchmarkOutput: appends of many streams, and the entries that they take.
func BenchmarkOutput(b *testing.B) {
	w := newWorld(b, StoreWAL, 3, nil)
	n := w.leader()
	const streams = 1000
	session := w.worker(n, "worker", streams)
	w.propose(n, enqueue(streams))
	fences, offsets := make([]uint64, streams), make([]uint64, streams)
	for i := range fences {
		fences[i] = w.propose(n, claim(session)).GetClaim().GetFence()
	}
	before := n.raft.LastIndex()
	var stream atomic.Int64
	own := make(chan int, streams)
	for range streams {
		own <- int(stream.Add(1) - 1)
	}
	race(b, streams, func(ctx context.Context) error {
		i := <-own
		defer func() { own <- i }()
		_, err := n.Propose(ctx, output(session, fences[i], offsets[i], "token "))
		offsets[i] += 6
		return err
	})
	b.ReportMetric(float64(n.raft.LastIndex()-before)/float64(b.N)*1000, "entries/1000")
	b.ReportMetric(float64(n.raft.LastIndex()-before)/b.Elapsed().Seconds(), "entries/s")
}
