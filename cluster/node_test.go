package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func TestThreeNodesDoAJob(t *testing.T) {
	for _, store := range everyStore {
		t.Run(store, func(t *testing.T) {
			w := newWorld(t, store, 3, nil)
			leader := w.leader()
			session := w.worker(leader, "worker", 1)
			job := w.propose(leader, enqueue(1)).GetEnqueue().GetOutcomes()[0].GetJob()
			claimed := w.propose(leader, claim(session)).GetClaim()
			if claimed.GetJob().GetId() != job {
				t.Fatalf("claimed %v, want job %d", claimed, job)
			}
			index := w.propose(leader, finish(session, claimed.GetFence())).GetIndex()
			for _, n := range w.nodes {
				if err := n.WaitApplied(w.limit(10*time.Second), index); err != nil {
					t.Fatal(err)
				}
				if got := w.stateOf(n, job); got != logv1.State_STATE_SUCCEEDED {
					t.Errorf("node %s has the job as %v", n.ID(), got)
				}
				if n == leader {
					continue
				}
				if _, err := n.Propose(w.limit(time.Second), enqueue(1)); !errors.Is(err, ErrNotLeader) {
					t.Errorf("a follower answered a command with %v", err)
				}
				w.until("the leader's API address", func() bool {
					id, api, ok := n.Leader()
					return ok && id == leader.ID() && api == leader.Status().APIAddress
				})
			}
			w.sameDigests()
		})
	}
}

// Callers go on while the leader hands over again and again. Each is told for every command that it was done, that it was
// not, or that nobody knows; what was done is there at the end, on every node.
func TestNothingAcknowledgedIsLostWhileLeadersChange(t *testing.T) {
	for _, store := range everyStore {
		t.Run(store, func(t *testing.T) {
			w := newWorld(t, store, 3, nil)
			ctx := w.limit(30 * time.Second)
			var stop atomic.Bool
			var jobs [8][]uint64
			var acknowledged atomic.Int32
			more := func() { // work goes on under each leader
				before := acknowledged.Load()
				w.until("jobs to be acknowledged", func() bool { return acknowledged.Load() >= before+100 })
			}
			changed := make(chan struct{})
			go func() {
				defer close(changed)
				defer stop.Store(true)
				for range 3 {
					more()
					before := w.leader()
					_ = await(ctx, before.raft.LeadershipTransfer())
					w.until("another leader", func() bool {
						for _, n := range w.nodes {
							if n != before && n.IsLeader() {
								return true
							}
						}
						return false
					})
				}
				more()
				w.close(w.leader())
				more()
			}()
			together(len(jobs), func(i int) {
				for !stop.Load() {
					for _, n := range w.nodes {
						if !n.IsLeader() {
							runtime.Gosched()
							continue
						}
						result, err := n.Propose(ctx, enqueue(1))
						switch {
						case err == nil:
							acknowledged.Add(1)
							jobs[i] = append(jobs[i], result.GetEnqueue().GetOutcomes()[0].GetJob())
						case errors.Is(err, ErrNotLeader), errors.Is(err, ErrUnknownOutcome), errors.Is(err, ErrShutdown):
						default:
							t.Error(err)
						}
					}
				}
			})
			<-changed
			index, err := w.leader().ReadBarrier(ctx)
			if err != nil {
				t.Fatal(err)
			}
			seen := map[uint64]bool{}
			for _, list := range jobs {
				for _, job := range list {
					if seen[job] {
						t.Fatalf("job %d was given to two callers", job)
					}
					seen[job] = true
				}
			}
			for _, n := range w.nodes {
				if n.isClosing() {
					continue
				}
				if err := n.WaitApplied(ctx, index); err != nil {
					t.Fatal(err)
				}
				for job := range seen {
					if w.stateOf(n, job) == 0 {
						t.Fatalf("job %d was acknowledged and is not on node %s", job, n.ID())
					}
				}
			}
			t.Logf("%d jobs acknowledged", len(seen))
		})
	}
}

func TestRestartKeepsState(t *testing.T) {
	for _, store := range everyStore {
		for _, snapshot := range []bool{false, true} {
			t.Run(store, func(t *testing.T) {
				w := newWorld(t, store, 1, nil)
				node := w.nodes[0]
				var last uint64
				for range 20 {
					last = w.propose(node, enqueue(10)).GetEnqueue().GetOutcomes()[9].GetJob()
				}
				if snapshot {
					if err := await(w.limit(10*time.Second), node.raft.Snapshot()); err != nil {
						t.Fatal(err)
					}
					last = w.propose(node, enqueue(1)).GetEnqueue().GetOutcomes()[0].GetJob()
				}
				id, dir := node.ID(), node.config.DataDir
				w.close(node)
				w.nodes[0] = w.open(dir, true)
				node = w.leader()
				if node.ID() != id {
					t.Errorf("the node is %s after its restart, was %s", node.ID(), id)
				}
				w.until("the node's own new address", func() bool {
					m := node.Status().Members
					return len(m) == 1 && m[0].RaftAddress == node.Status().RaftAddress && m[0].Voter
				})
				if w.stateOf(node, last) != logv1.State_STATE_PENDING {
					t.Error("the last job is gone")
				}
			})
		}
	}
}

func TestSnapshotByBytes(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.Timing.SnapshotBytes = 2000 })
	for range 50 {
		w.propose(w.nodes[0], enqueue(10))
	}
	w.until("a snapshot", func() bool {
		list, err := w.nodes[0].stores.snapshots.List()
		return err == nil && len(list) > 0
	})
}

// A node that was away while the log was cut gets a snapshot and ends with the same state.
func TestFollowerCatchesUpBySnapshot(t *testing.T) {
	for _, store := range everyStore {
		t.Run(store, func(t *testing.T) {
			w := newWorld(t, store, 1, func(c *Config) { c.Timing.TrailingLogs = 1 })
			for range 30 {
				w.propose(w.nodes[0], enqueue(10))
			}
			if err := await(w.limit(10*time.Second), w.nodes[0].raft.Snapshot()); err != nil {
				t.Fatal(err)
			}
			w.nodes = append(w.nodes, w.open(t.TempDir(), false))
			w.join(w.nodes[1])
			w.until("the node to vote", func() bool {
				m := w.nodes[0].Status().Members
				return len(m) == 2 && m[1].Voter
			})
			w.sameDigests()
		})
	}
}

func TestOtherStoresLogIsRefused(t *testing.T) {
	for i, store := range everyStore {
		w := newWorld(t, store, 1, nil)
		dir := w.nodes[0].config.DataDir
		w.close(w.nodes[0])
		c := w.config(dir)
		c.LogStore = everyStore[1-i]
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), store) {
			t.Errorf("a log of %s opened with the other store: %v", store, err)
		}
	}
}

func TestDataDirectoryHasOneNode(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	if _, err := Open(w.config(w.nodes[0].config.DataDir)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second node opened the directory: %v", err)
	}
	dir := w.nodes[0].config.DataDir
	w.close(w.nodes[0])
	if err := os.Remove(filepath.Join(dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(w.config(dir)); err == nil {
		t.Error("a state without its node's id was taken for a new node's")
	}
}

// A known node that comes back with other addresses keeps its vote.
func TestNodeMoves(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	var follower int
	for i, n := range w.nodes {
		if !n.IsLeader() {
			follower = i
		}
	}
	old := w.nodes[follower]
	w.close(old)
	moved := w.open(old.config.DataDir, false)
	w.nodes[follower] = moved
	w.join(moved)
	for _, m := range w.leader().Status().Members {
		if m.ID == moved.ID() && (m.RaftAddress != moved.Status().RaftAddress || !m.Voter) {
			t.Errorf("the cluster knows the node as %+v", m)
		}
	}
	w.sameDigests()
}
