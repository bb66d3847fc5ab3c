package cluster

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A node comes back with a long tail of entries that the others never had, and gets a snapshot of an index inside that tail: it follows on
// (hashicorp/raft #697).
func TestSnapshotInsideADivergentTail(t *testing.T) {
	for _, store := range everyStore {
		t.Run(store, func(t *testing.T) {
			w := newWorld(t, store, 3, func(c *Config) { c.Timing.TrailingLogs = 1 })
			old := w.leader()
			w.propose(old, enqueue(1))
			var others []*Node
			for _, n := range w.nodes {
				if n != old {
					others = append(others, n)
					w.close(n)
				}
			}
			var tail []raft.ApplyFuture
			for range 200 {
				tail = append(tail, old.raft.Apply([]byte("nobody else has this"), time.Second))
			}
			for _, entry := range tail {
				if entry.Error() == nil {
					t.Fatal("an entry without a majority was committed")
				}
			}
			end := old.raft.LastIndex()
			w.close(old)
			w.nodes = []*Node{w.reopen(others[0]), w.reopen(others[1])}
			leader := w.leader()
			for range 20 {
				w.propose(leader, enqueue(1))
			}
			if err := await(w.limit(10*time.Second), leader.raft.Snapshot()); err != nil {
				t.Fatal(err)
			}
			if index := w.propose(leader, checkpoint()).GetIndex(); index >= end {
				t.Fatalf("the others are at %d, the tail ends at %d: it is not inside", index, end)
			}
			back := w.reopen(old)
			w.nodes = append(w.nodes, back)
			w.propose(leader, enqueue(1))
			w.sameDigests()
			w.close(back) // and it is whole on its disk
			w.nodes[2] = w.reopen(back)
			w.propose(w.leader(), enqueue(1))
			w.sameDigests()
		})
	}
}
