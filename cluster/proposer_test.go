package cluster

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Commands that queue while a batch is in flight share the next one.
func TestCallersShareBatches(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	before := n.raft.LastIndex()
	const callers, each = 64, 20
	together(callers, func(int) {
		for range each {
			if _, err := n.Propose(t.Context(), enqueue(1)); err != nil {
				t.Error(err)
			}
		}
	})
	entries := n.raft.LastIndex() - before
	if entries > callers*each/4 {
		t.Errorf("%d commands of %d callers took %d log entries", callers*each, callers, entries)
	}
}

// blocked is a leadership whose proposer does not run, so that its queues fill.
func blocked(t *testing.T) *leadership {
	t.Helper()
	w := newWorld(t, StoreWAL, 1, nil)
	l := &leadership{node: w.nodes[0], work: make(chan struct{}, 1), gathered: make(chan struct{}, 1), parking: newParking()}
	l.rules.Store(fsm.Rules)
	l.ctx, l.cancel = context.WithCancel(t.Context())
	t.Cleanup(l.cancel)
	return l
}

func TestFullQueueSaysBusy(t *testing.T) {
	l := blocked(t)
	command := enqueue(1)
	var busy *BusyError
	for i := 0; ; i++ {
		err := l.submit(t.Context(), newPending(command))
		if errors.As(err, &busy) {
			if i != maxQueued || busy.RetryAfter <= 0 {
				t.Errorf("busy after %d commands, retry after %v", i, busy.RetryAfter)
			}
			break
		}
		if err != nil || i > maxQueued {
			t.Fatalf("command %d: %v", i, err)
		}
	}
	urgent := newPending(finish(1, 1))
	if err := l.submit(t.Context(), urgent); err != nil {
		t.Errorf("a finish was refused: %v", err)
	}
	b := l.pack()
	if len(b.pending) != packCommands || b.pending[0] != urgent {
		t.Errorf("the batch holds %d commands, the finish first: %v", len(b.pending), b.pending[0] == urgent)
	}
	l.close(ErrNotLeader)
	if a := l.abandon(urgent, context.Canceled); !errors.Is(a.err, ErrUnknownOutcome) {
		t.Errorf("a command in flight: %v", a.err)
	}
	if err := l.submit(t.Context(), newPending(command)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("after the end: %v", err)
	}
}

func TestPackBoundsAndOrder(t *testing.T) {
	l := blocked(t)
	big := enqueue(1)
	big.GetEnqueue().Jobs[0].Payload = make([]byte, packBytes)
	for _, c := range []*logv1.Command{claim(1), enqueue(1000), enqueue(1000), big, finish(1, 1), enqueue(1)} {
		if err := l.submit(t.Context(), newPending(c)); err != nil {
			t.Fatal(err)
		}
	}
	l.normal.list[0].waits = false
	var got []string
	for range 4 {
		b := l.pack()
		var line []string
		for _, c := range b.entry.GetCommands() {
			name := strings.TrimPrefix(string(c.ProtoReflect().WhichOneof(c.ProtoReflect().Descriptor().Oneofs().ByName("op")).Name()), "*")
			line = append(line, name)
		}
		got = append(got, strings.Join(line, " "))
	}
	want := []string{"finish enqueue claim", "enqueue", "enqueue", "enqueue"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("batches are %q, want %q", got, want)
	}
}

func TestCallerWhoLeavesKnowsWhatHappened(t *testing.T) {
	l := blocked(t)
	p := newPending(enqueue(1))
	if err := l.submit(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if a := l.abandon(p, context.Canceled); !errors.Is(a.err, context.Canceled) || errors.Is(a.err, ErrUnknownOutcome) {
		t.Errorf("a command that was never sent: %v", a.err)
	}
	l.nextTick = time.Now().Add(time.Hour)
	if b := l.pack(); b != nil {
		t.Errorf("an abandoned command was packed: %v", &b.entry)
	}
}

// A log entry that this version does not know ends the node, and the node does not go on after it.
func TestUnknownCommandEndsTheNode(t *testing.T) {
	var reasons atomic.Int32
	var reason atomic.Value
	w := newWorld(t, StoreWAL, 1, func(c *Config) {
		c.OnFatal = func(err error) {
			reasons.Add(1)
			reason.Store(err.Error())
		}
	})
	n := w.nodes[0]
	data, err := proto.Marshal(&logv1.Batch{Rules: fsm.Rules, Commands: []*logv1.Command{{}}})
	if err != nil {
		t.Fatal(err)
	}
	future := n.raft.Apply(data, 0)
	_ = await(w.limit(10*time.Second), future)
	w.until("the end", func() bool { return reasons.Load() > 0 && n.raft.State() == raft.Shutdown })
	if text := reason.Load().(string); !strings.Contains(text, "cannot be applied by this version") || reasons.Load() != 1 {
		t.Errorf("told %d times: %s", reasons.Load(), text)
	}
	if n.Status().NotReady == "" {
		t.Error("a node that has stopped says that it is ready")
	}
}

func TestReadBarrier(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	leader := w.leader()
	written := w.propose(leader, enqueue(1)).GetIndex()
	together(16, func(int) {
		index, err := leader.ReadBarrier(t.Context())
		if err != nil || index <= written {
			t.Errorf("a read after %d is at %d: %v", written, index, err)
		}
	})
	for _, n := range w.nodes {
		if _, err := n.ReadBarrier(t.Context()); n != leader && !errors.Is(err, ErrNotLeader) {
			t.Errorf("a follower's barrier: %v", err)
		}
	}
}

// Where callers never come back the proposer stops waiting for them, but for one time in vainProbe; it waits again once they do.
func TestGatherGivesUp(t *testing.T) {
	l := &leadership{ctx: t.Context(), gathered: make(chan struct{}, 1)}
	for range vainMost {
		l.gather(2, time.Millisecond)
	}
	for l.gathers%vainProbe != vainProbe-1 {
		l.gather(2, time.Hour) // returns at once
	}
	l.normal.push(&pending{})
	l.normal.push(&pending{})
	l.gather(2, time.Hour) // looks, and finds both
	if l.vain != 0 {
		t.Errorf("after callers came back, %d waits still count as vain", l.vain)
	}
}
