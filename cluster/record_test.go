package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// load enqueues, claims and finishes through a node until stop is closed, and waits for its end.
func (w *world) load(n *Node, stop <-chan struct{}) (wait func()) {
	session := w.worker(n, "load", 4)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := n.Propose(ctx, enqueue(3)); err != nil {
					return
				}
				if r, err := n.Propose(ctx, claim(session)); err == nil && r.GetClaim().GetFence() != 0 {
					_, _ = n.Propose(ctx, finish(session, r.GetClaim().GetFence()))
				}
			}
		})
	}
	go func() {
		<-stop
		cancel()
	}()
	return all.Wait
}

// replay a recording and give the machine after it.
func replay(t *testing.T, start io.WriterTo, entries []RecordedEntry) *fsm.Machine {
	t.Helper()
	var file bytes.Buffer
	if _, err := start.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	m, err := fsm.Restore(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b := &logv1.Batch{}
		if err := proto.Unmarshal(e.Batch, b); err != nil {
			t.Fatal(err)
		}
		m.Apply(e.Index, b)
	}
	return m
}

func digestOf(t *testing.T, s *fsm.Snapshot) (sum [32]byte) {
	t.Helper()
	sum, err := s.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestRecording: what a follower records while it applies is whole: the replay gives the digest of the index at which it was stopped.
func TestRecording(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	leader := w.leader()
	follower := w.nodes[slices.IndexFunc(w.nodes, func(n *Node) bool { return n != leader })]
	stop := make(chan struct{})
	wait := w.load(leader, stop)
	defer wait()
	defer close(stop)
	for round := range 3 {
		before := follower.machine.applied()
		w.until("the follower applies", func() bool { return follower.machine.applied() > before+20 })
		r, err := follower.Record()
		if err != nil {
			t.Fatal(err)
		}
		begun := r.Start().Index()
		w.until("the recording holds something", func() bool { return follower.machine.applied() > begun+50 })
		end := r.Stop()
		var entries []RecordedEntry
		for {
			e, err := r.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
		if len(entries) < 50 || entries[len(entries)-1].Index != end.Index() || r.Stop() != nil {
			t.Fatalf("%d entries from %d to %d, stopped at %d", len(entries), begun, entries[len(entries)-1].Index, end.Index())
		}
		m := replay(t, r.Start(), entries)
		if digestOf(t, m.Snapshot()) != digestOf(t, end) {
			t.Errorf("round %d: the replay of %d entries gives another state", round, len(entries))
		}
		follower.machine.view(func(*fsm.Machine) {
			if len(follower.machine.recordings) != 0 {
				t.Error("a stopped recording is still fed")
			}
		})
	}
}

// TestRecordingEnds: a reader that is too slow, a state from elsewhere and the end of the node end a recording; a third one is refused.
func TestRecordingEnds(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.leader()
	slow, err := n.Record()
	if err != nil {
		t.Fatal(err)
	}
	second, err := n.Record()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Record(); !errors.Is(err, ErrRecordings) {
		t.Errorf("third recording: %v", err)
	}
	big := enqueue(1)
	big.GetEnqueue().Jobs[0].Payload = make([]byte, 1<<20)
	n.machine.mu.Lock()
	for i := range uint64(mostRecordedBytes>>20 + 1) { // what Apply does with each batch
		n.machine.recordings.add(1000+i, big.GetEnqueue().GetJobs()[0].GetPayload())
		for e := (RecordedEntry{}); e.Index != 1000+i; {
			if e, err = second.Next(t.Context()); err != nil {
				t.Fatalf("the reader that keeps up: %v", err)
			}
		}
	}
	n.machine.mu.Unlock()
	if _, err := slow.Next(t.Context()); !errors.Is(err, ErrRecordingSlow) || slow.Stop() != nil {
		t.Errorf("too slow: %v", err)
	}
	var state bytes.Buffer
	if _, err := n.Snapshot().WriteTo(&state); err != nil {
		t.Fatal(err)
	}
	meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Size: int64(state.Len())}
	if err := n.raft.Restore(meta, &state, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Next(t.Context()); !errors.Is(err, ErrRecordingRestored) || second.Stop() != nil {
		t.Errorf("restored: %v", err)
	}
	last, err := n.Record()
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for err == nil { // ticks may come
		_, err = last.Next(short)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing came: %v", err)
	}
	w.close(n)
	for err = nil; err == nil; {
		_, err = last.Next(t.Context())
	}
	if !errors.Is(err, ErrShutdown) {
		t.Errorf("shut down: %v", err)
	}
	if _, err := n.Record(); !errors.Is(err, ErrShutdown) {
		t.Errorf("record of a node that ended: %v", err)
	}
}

// TestOffline: the disk of a stopped node replays to the state that it had, on both stores, with and without a snapshot, and is not changed.
func TestOffline(t *testing.T) {
	for _, store := range everyStore {
		for _, snapshot := range []bool{false, true} {
			name := store + " without a snapshot"
			if snapshot {
				name = store + " with a snapshot"
			}
			t.Run(name, func(t *testing.T) { testOffline(t, store, snapshot) })
		}
	}
}

func testOffline(t *testing.T, store string, snapshot bool) {
	w := newWorld(t, store, 1, nil)
	n := w.leader()
	dir := n.config.DataDir
	locks := store == StoreWAL && !snapshot // each look at a lock takes seconds
	if locks {
		if _, err := OpenOffline(dir); err == nil {
			t.Fatal("the disk of a running node was opened")
		}
	}
	session := w.worker(n, "w", 4)
	work := func() {
		w.propose(n, enqueue(20))
		for range 3 {
			w.propose(n, finish(session, w.propose(n, claim(session)).GetClaim().GetFence()))
		}
	}
	work()
	if snapshot {
		if err := n.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
	}
	work()
	w.close(n)
	want, before := digestOf(t, n.Snapshot()), contents(t, dir)

	o, err := OpenOffline(dir)
	if err != nil {
		t.Fatal(err)
	}
	if o.LogStore != store || (o.Snapshot > 0) != snapshot {
		t.Errorf("log store %s, snapshot %d", o.LogStore, o.Snapshot)
	}
	if locks {
		if _, err := Open(w.config(dir)); err == nil {
			t.Error("a node started on a disk that is being read")
		}
	}
	if got := digestOf(t, restored(t, o, o.Last).Snapshot()); got != want {
		t.Error("the disk replays to another state than the node had")
	}
	if m := restored(t, o, o.Last-3); m.AppliedIndex() > o.Last-3 {
		t.Errorf("read up to index %d, not %d", m.AppliedIndex(), o.Last-3)
	}
	if err := o.Batches(o.Last+1, nil); err == nil {
		t.Error("an index behind the end of the log was taken")
	}
	if err := errors.Join(o.Close(), o.Close()); err != nil {
		t.Error(err)
	}
	if after := contents(t, dir); !equalFiles(before, after) {
		t.Error("reading changed the data directory")
	}
	reopened := w.open(dir, false) // and the node goes on
	w.until("the node leads again", reopened.IsLeader)
}

func restored(t *testing.T, o *Offline, to uint64) *fsm.Machine {
	t.Helper()
	m := fsm.New()
	file, err := o.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	if file != nil {
		defer file.Close()
		if m, err = fsm.Restore(file); err != nil {
			t.Fatal(err)
		}
	}
	err = o.Batches(to, func(index uint64, data []byte) error {
		b := &logv1.Batch{}
		if err := proto.Unmarshal(data, b); err != nil {
			return err
		}
		m.Apply(index, b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// contents of all files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func equalFiles(a, b map[string]string) bool {
	for path, text := range a {
		if b[path] != text {
			return false
		}
	}
	return len(a) == len(b)
}

// TestOfflineRefuses what is not the disk of a node.
func TestOfflineRefuses(t *testing.T) {
	if _, err := OpenOffline(t.TempDir()); err == nil {
		t.Error("an empty directory was opened")
	}
	if _, err := OpenOffline(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a directory that does not exist was opened")
	}
}
