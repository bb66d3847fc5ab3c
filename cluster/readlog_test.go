package cluster

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestReadLog: the log of a running node and of a stopped one say the same, from the first entry, a configuration, to the last.
func TestReadLog(t *testing.T) {
	for _, store := range everyStore {
		t.Run(store, func(t *testing.T) {
			w := newWorld(t, store, 1, nil)
			n := w.nodes[0]
			ctx := w.limit(20 * time.Second)
			at := w.propose(n, checkpoint()).GetIndex()
			page, err := n.ReadLog(ctx, 1, MostLogEntries, 0)
			if err != nil || page.First != 1 || page.Last < at || page.Commit < at || uint64(len(page.Entries)) != page.Last {
				t.Fatalf("%v: %d entries, %+v", err, len(page.Entries), page)
			}
			types := map[string]int{}
			for i, e := range page.Entries {
				types[e.Type]++
				if e.Index != uint64(i+1) || !e.Committed && e.Index <= at || e.Term == 0 {
					t.Fatalf("entry %d is %+v", i, e)
				}
			}
			if members, err := ConfigurationMembers(page.Entries[0].Data); err != nil || len(members) != 1 || members[0].ID != n.ID() || !members[0].Voter {
				t.Fatal(members, err)
			}
			if _, err := ConfigurationMembers([]byte{1, 2, 3}); err == nil {
				t.Fatal("a configuration of nonsense was read")
			}
			batch := &logv1.Batch{}
			entry := page.Entries[at-1]
			err = proto.Unmarshal(entry.Data, batch)
			marked := slices.ContainsFunc(batch.GetCommands(), func(c *logv1.Command) bool { return c.GetCheckpoint() != nil })
			if err != nil || !marked || time.Since(entry.At) > time.Minute {
				t.Fatal(batch, entry.At, err)
			}
			if types["configuration"] == 0 || types["noop"] == 0 || types["barrier"] == 0 || types["commands"] == 0 {
				t.Fatal(types)
			}
			tail, err := n.ReadLog(ctx, 0, 2, 0)
			if err != nil || len(tail.Entries) != 2 || tail.Entries[1].Index != tail.Last {
				t.Fatalf("%v %+v", err, tail)
			}
			readLogWaits(t, w, n)
			w.close(n)
			readOffline(t, n.config.DataDir, at, entry)
		})
	}
}

func readLogWaits(t *testing.T, w *world, n *Node) {
	t.Helper()
	ctx := w.limit(20 * time.Second)
	var gone *NoEntryError
	if _, err := n.ReadLog(ctx, 1<<40, 1, 0); !errors.As(err, &gone) || gone.Index != 1<<40 || gone.Last == 0 {
		t.Fatal(err)
	}
	if page, err := n.ReadLog(ctx, 1<<40, 1, time.Millisecond); err != nil || len(page.Entries) != 0 {
		t.Fatal(page, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := n.ReadLog(ended, 1<<40, 1, time.Minute); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	next := n.Status().LastIndex + 1
	got := make(chan LogPage, 1)
	go func() {
		page, err := n.ReadLog(ctx, next, 10, 20*time.Second)
		if err != nil {
			t.Error(err)
		}
		got <- page
	}()
	w.propose(n, checkpoint())
	if page := <-got; len(page.Entries) == 0 || page.Entries[0].Index != next || !page.Entries[0].Committed {
		t.Fatalf("%+v", page)
	}
}

func readOffline(t *testing.T, dir string, at uint64, want LogRecord) {
	t.Helper()
	o, err := OpenOffline(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got, err := o.Entry(at)
	if err != nil || got.Index != at || got.Term != want.Term || got.Type != want.Type || string(got.Data) != string(want.Data) || got.Committed {
		t.Fatal(got, err)
	}
	var gone *NoEntryError
	for _, index := range []uint64{0, o.Last + 1} {
		if _, err := o.Entry(index); !errors.As(err, &gone) {
			t.Fatal(index, err)
		}
	}
}

// TestReadLogCompacted: what is only in a snapshot is said to be so.
func TestReadLogCompacted(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.Timing.TrailingLogs = 2 })
	n := w.nodes[0]
	for range 10 {
		w.propose(n, checkpoint())
	}
	if err := await(w.limit(10*time.Second), n.raft.Snapshot()); err != nil {
		t.Fatal(err)
	}
	var gone *NoEntryError
	if _, err := n.ReadLog(w.limit(time.Second), 1, 5, 0); !errors.As(err, &gone) || gone.First < 5 {
		t.Fatal(err)
	}
	if page, err := n.ReadLog(w.limit(time.Second), 0, 500, 0); err != nil || len(page.Entries) == 0 || page.Entries[0].Index != page.First {
		t.Fatal(page, err)
	}
}
