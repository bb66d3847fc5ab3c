package cluster

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/cluster/archive"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func enqueueIn(count int) *logv1.Command {
	enqueue := &logv1.Enqueue{}
	for range count {
		enqueue.Jobs = append(enqueue.Jobs, &logv1.NewJob{Kind: "k", Queue: "q"})
	}
	return &logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: enqueue}}
}

// save an archive of a node's state at a checkpoint of now.
func (w *world) save(n *Node) ([]byte, archive.Header) {
	w.t.Helper()
	capture, err := n.NewCapture()
	if err != nil {
		w.t.Fatal(err)
	}
	defer capture.Close()
	mark := w.propose(w.leader(), &logv1.Command{Op: &logv1.Command_Checkpoint{Checkpoint: &logv1.Checkpoint{}}})
	state, err := capture.At(w.limit(10*time.Second), mark.GetIndex())
	if err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	header, err := n.WriteArchive(&out, state, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	digest, err := n.Digest(w.limit(10*time.Second), mark.GetIndex())
	if err != nil || header.Index != mark.GetIndex() || header.StateDigest != hexOf(digest) {
		w.t.Fatalf("archive of index %d and digest %s; checkpoint %d has %x, %v", header.Index, header.StateDigest, mark.GetIndex(), digest, err)
	}
	return out.Bytes(), header
}

func hexOf(sum [32]byte) string {
	var out strings.Builder
	for _, b := range sum {
		out.WriteByte("0123456789abcdef"[b>>4])
		out.WriteByte("0123456789abcdef"[b&15])
	}
	return out.String()
}

func jobsOf(n *Node) (jobs int64, epoch uint32) {
	n.View(func(m *fsm.Machine) {
		epoch = m.Epoch()
		for _, q := range m.Queues() {
			jobs += q.GetCounts().GetPending() + q.GetCounts().GetRunning()
		}
	})
	return jobs, epoch
}

// TestRestore: the state of three nodes goes back to that of an archive, saved on a follower, in a higher epoch; then the cluster goes on,
// also after all nodes were closed and opened again.
func TestRestore(t *testing.T) {
	for _, store := range everyStore {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, store, 3, nil)
			w.propose(w.leader(), enqueueIn(5))
			whole, header := w.save(w.nodes[2])
			w.propose(w.leader(), enqueueIn(7))
			restored, err := w.leader().Restore(w.limit(20*time.Second), bytes.NewReader(whole), "")
			if err != nil {
				t.Fatal(err)
			}
			if restored.Header != header || restored.Epoch <= header.Epoch {
				t.Errorf("restored %+v, archive %+v", restored, header)
			}
			w.sameEverywhere(5, restored.Epoch)
			w.propose(w.leader(), enqueueIn(1))
			w.sameEverywhere(6, restored.Epoch)
			for _, n := range w.nodes {
				w.close(n)
			}
			for i, n := range w.nodes {
				w.nodes[i] = w.reopen(n)
			}
			w.propose(w.leader(), enqueueIn(1))
			w.sameEverywhere(7, restored.Epoch)
		})
	}
}

// sameEverywhere: every node has the same digest, so many jobs and the epoch.
func (w *world) sameEverywhere(jobs int64, epoch uint32) {
	w.t.Helper()
	var mark *logv1.Result
	w.until("a checkpoint", func() bool { // the leader's duties begin anew after a restore
		var err error
		mark, err = w.leader().Propose(w.limit(10*time.Second), &logv1.Command{Op: &logv1.Command_Checkpoint{Checkpoint: &logv1.Checkpoint{}}})
		return err == nil
	})
	var first [32]byte
	for i, n := range w.nodes {
		digest, err := n.Digest(w.limit(20*time.Second), mark.GetIndex())
		if err != nil {
			w.t.Fatalf("node %d: %v", i, err)
		}
		if i == 0 {
			first = digest
		}
		gotJobs, gotEpoch := jobsOf(n)
		if digest != first || gotJobs != jobs || gotEpoch != epoch {
			w.t.Fatalf("node %d: digest %x and %x, %d jobs of %d, epoch %d of %d", i, digest, first, gotJobs, jobs, gotEpoch, epoch)
		}
	}
}

// TestRestoreRefused: what is damaged or foreign, what comes while a voter is away or to a follower changes nothing.
func TestRestoreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, StoreWAL, 3, nil)
	other := newWorld(t, StoreWAL, 1, nil)
	w.named()
	w.propose(w.leader(), enqueueIn(3))
	whole, _ := w.save(w.leader())
	other.named()
	foreign, foreignHeader := other.save(other.leader())
	_, epoch := jobsOf(w.leader())
	ctx := w.limit(time.Minute)
	var bad *archive.Error
	var strange *ForeignError
	var refused *RestoreError
	leader := w.leader()
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 4
	if _, err := leader.Restore(ctx, bytes.NewReader(flipped), ""); !errors.As(err, &bad) {
		t.Errorf("damaged: %v", err)
	}
	if _, err := leader.Restore(ctx, bytes.NewReader(foreign), ""); !errors.As(err, &strange) || strange.Archive != foreignHeader.ClusterID {
		t.Errorf("foreign: %v", err)
	}
	if _, err := leader.Restore(ctx, bytes.NewReader(foreign), "another"); !errors.As(err, &strange) {
		t.Errorf("foreign under a wrong name: %v", err)
	}
	for _, n := range w.nodes {
		if n != leader {
			if _, err := n.Restore(ctx, bytes.NewReader(whole), ""); !errors.Is(err, ErrNotLeader) {
				t.Errorf("at a follower: %v", err)
			}
		}
	}
	leader.restoring.Lock()
	if _, err := leader.Restore(ctx, bytes.NewReader(whole), ""); !errors.As(err, &refused) {
		t.Errorf("a second one at the same time: %v", err)
	}
	leader.restoring.Unlock()
	w.sameEverywhere(3, epoch)
	for i, n := range w.nodes {
		if n != leader {
			w.close(n)
			w.nodes = append(w.nodes[:i], w.nodes[i+1:]...)
			break
		}
	}
	w.until("the leader misses a voter", func() bool { return w.leader().votersAnswer() != nil })
	leader = w.leader()
	if _, err := leader.Restore(ctx, bytes.NewReader(whole), ""); !errors.As(err, &refused) || !strings.Contains(refused.Why, "1 voters do not answer") {
		t.Errorf("while a voter is away: %v", err)
	}
	w.sameEverywhere(3, epoch)
	if _, err := leader.Restore(ctx, bytes.NewReader(nil), ""); !errors.As(err, &bad) {
		t.Errorf("empty: %v", err)
	}
	if _, there := firstOf(leader.config.DataDir, restoringFile); there {
		t.Error("a mark was left by a refused restore")
	}
}

// named waits until the cluster has an id; where nothing names it, the test does.
func (w *world) named() {
	w.t.Helper()
	known := func() (id string) {
		w.leader().View(func(m *fsm.Machine) { id, _ = m.ClusterID() })
		return id
	}
	w.until("the cluster has an id", func() bool {
		if known() == "" {
			_, _ = w.leader().Propose(w.limit(5*time.Second), &logv1.Command{Op: &logv1.Command_NameCluster{
				NameCluster: &logv1.NameCluster{Id: uuid.NewString(), Name: "fairlane"}}})
		}
		return known() != ""
	})
}

// TestForeignRestore: an archive of another cluster is taken when it is named. The cluster keeps its own id.
func TestForeignRestore(t *testing.T) {
	t.Parallel()
	from, to := newWorld(t, StoreWAL, 1, nil), newWorld(t, StoreBolt, 1, nil)
	from.named()
	to.named()
	from.propose(from.leader(), enqueueIn(4))
	whole, header := from.save(from.leader())
	to.propose(to.leader(), enqueueIn(9))
	var before, after string
	to.leader().View(func(m *fsm.Machine) { before, _ = m.ClusterID() })
	restored, err := to.leader().Restore(to.limit(20*time.Second), bytes.NewReader(whole), header.ClusterID)
	if err != nil {
		t.Fatal(err)
	}
	to.sameEverywhere(4, restored.Epoch)
	to.leader().View(func(m *fsm.Machine) { after, _ = m.ClusterID() })
	if before != after || before == header.ClusterID {
		t.Errorf("the id was %s, is %s; that of the archive is %s", before, after, header.ClusterID)
	}
	again, err := to.leader().Restore(to.limit(20*time.Second), bytes.NewReader(whole), header.ClusterID)
	if err != nil || again.Epoch <= restored.Epoch {
		t.Errorf("the same archive again: %+v, %v; the epoch was %d", again, err, restored.Epoch)
	}
}

// TestHalfRestored: a node that ended between raft's taking a restore and a majority's does not start again.
func TestHalfRestored(t *testing.T) {
	t.Parallel()
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.leader()
	w.close(n)
	if err := os.WriteFile(filepath.Join(n.config.DataDir, restoringFile), []byte("epoch 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(n.config); err == nil || !strings.Contains(err.Error(), "was not confirmed") {
		t.Fatalf("opened: %v", err)
	}
}

// TestRecover: of three nodes two are lost; the third goes on alone with all it has, in a higher epoch, and its data before are kept.
func TestRecover(t *testing.T) {
	for _, store := range everyStore {
		for _, snapshots := range []bool{false, true} {
			t.Run(store+map[bool]string{false: " log alone", true: " after a snapshot"}[snapshots], func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, store, 3, nil)
				w.named()
				w.propose(w.leader(), enqueueIn(5))
				survivor := w.nodes[1]
				if snapshots {
					w.until("a snapshot", func() bool { return survivor.raft.Snapshot().Error() == nil }) // not while the members change
					w.propose(w.leader(), enqueueIn(1))
				} else {
					w.propose(w.leader(), enqueueIn(1))
				}
				if err := survivor.WaitApplied(w.limit(10*time.Second), w.leader().machine.applied()); err != nil {
					t.Fatal(err)
				}
				_, epoch := jobsOf(survivor)
				if _, err := RecoverOffline(survivor.config.DataDir, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "in use") {
					t.Fatalf("while the node runs: %v", err)
				}
				for _, n := range w.nodes {
					w.close(n)
				}
				before, err := SurveyOffline(survivor.config.DataDir)
				if err != nil {
					t.Fatal(err)
				}
				if before.NodeID != survivor.ID() || len(before.Members) != 3 || before.Jobs != 6 || before.Epoch != epoch || before.ClusterID == "" ||
					before.Term == 0 || before.LastTerm == 0 || before.LastIndex == 0 || before.LogStore != store || before.ConfigurationIndex == 0 {
					t.Errorf("survey %+v", before)
				}
				out, err := RecoverOffline(survivor.config.DataDir, hclog.NewNullLogger())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(out.Copy) })
				if kept, err := SurveyOffline(out.Copy); err != nil || len(kept.Members) != 3 || kept.LastIndex != before.LastIndex {
					t.Errorf("the copy: %+v, %v", kept, err)
				}
				alone := &world{t: t, store: store}
				alone.nodes = []*Node{alone.reopen(survivor)}
				alone.sameEverywhere(6, out.Epoch)
				if out.Epoch <= epoch {
					t.Errorf("epoch %d became %d", epoch, out.Epoch)
				}
				for _, n := range w.nodes {
					if removed := false; n != survivor {
						alone.leader().View(func(m *fsm.Machine) { removed = m.Removed(n.ID()) })
						if !removed {
							t.Errorf("node %s is not known as removed", n.ID())
						}
					}
				}
				fresh := alone.open(t.TempDir(), false)
				alone.nodes = append(alone.nodes, fresh)
				alone.join(fresh)
				alone.propose(alone.leader(), enqueueIn(1))
				alone.sameEverywhere(7, out.Epoch)
			})
		}
	}
}

// TestBackups: a node writes archives by itself, keeps the newest ones and touches nothing else.
func TestBackups(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backups")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	others := []string{"fairlane-mine.archive", "notes.txt", ".fairlane-backup-x.new"}
	for _, name := range append(others, ".fairlane-backup-1.new") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, StoreWAL, 1, func(c *Config) {
		c.Backup = BackupConfig{Dir: dir, Every: 30 * time.Millisecond, Keep: 3, Version: "test"}
	})
	w.propose(w.leader(), enqueueIn(3))
	seen := map[string]bool{}
	w.until("more than are kept", func() bool {
		names, err := namesLike(dir, backupName)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			seen[name] = true
		}
		if len(names) > 4 { // the newest comes before the oldest goes
			t.Fatalf("%d archives lie there", len(names))
		}
		return len(seen) > 6
	})
	status, on := w.leader().Backups()
	if !on || time.Since(status.LastSuccess) > 20*time.Second || status.Failures != 0 {
		t.Errorf("status %+v", status)
	}
	w.close(w.leader())
	names, err := namesLike(dir, backupName)
	if err != nil || len(names) != 3 {
		t.Fatalf("kept %v, %v", names, err)
	}
	file, err := os.Open(filepath.Join(dir, names[2]))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if header, _, err := archive.Read(file); err != nil || header.Version != "test" {
		t.Errorf("%+v, %v", header, err)
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".fairlane-backup-1.new")); err == nil {
		t.Error("what a former process left half written is still there")
	}
}

// TestBackupFails: a directory that cannot be made is counted, and the node goes on.
func TestBackupFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, StoreWAL, 1, func(c *Config) {
		c.Backup = BackupConfig{Dir: filepath.Join(file, "sub"), Every: 20 * time.Millisecond}
		c.Logger = hclog.NewNullLogger()
	})
	w.until("two failures", func() bool {
		status, _ := w.leader().Backups()
		return status.Failures >= 2 && status.LastSuccess.IsZero()
	})
	w.propose(w.leader(), enqueueIn(1))
}
