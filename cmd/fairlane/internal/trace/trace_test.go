package trace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// write a small history, its first batches as a snapshot if asked for, and give its bytes.
func write(t *testing.T, snapshot, digest bool) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "trace")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Discard() }()
	m := fsm.New()
	for i := uint64(1); i <= 8; i++ {
		b := batch(i)
		data, err := proto.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		m.Apply(2*i, b) // the log has holes
		if snapshot && i == 4 {
			if _, err := m.Snapshot().WriteTo(w); err != nil {
				t.Fatal(err)
			}
		}
		if !snapshot || i > 4 {
			if err := w.Entry(2*i, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum, err := m.Snapshot().Digest()
	if err != nil {
		t.Fatal(err)
	}
	var end []byte
	if digest {
		end = sum[:]
	}
	if err := w.Finish(m.AppliedIndex(), end); err != nil {
		t.Fatal(err)
	}
	return path
}

func batch(i uint64) *logv1.Batch {
	return &logv1.Batch{Rules: fsm.Rules, NowMs: 1000 * int64(i), MonotonicMs: 1000 * int64(i), Leadership: 1, Commands: []*logv1.Command{
		{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{
			{Kind: "k", User: fmt.Sprint("u", i), Payload: bytes.Repeat([]byte{'p'}, 40)}}}}},
	}}
}

func TestReplay(t *testing.T) {
	for _, snapshot := range []bool{false, true} {
		for _, digest := range []bool{false, true} {
			s, err := Replay(write(t, snapshot, digest), Visitor{})
			if err != nil {
				t.Fatal(err)
			}
			from, batches := uint64(0), uint64(8)
			if snapshot {
				from, batches = 8, 4
			}
			if s.From != from || s.To != 16 || s.Batches != batches || s.Commands != batches || s.ToMs != 8000 || (s.Recorded != nil) != digest {
				t.Errorf("snapshot %v, digest %v: %+v", snapshot, digest, s)
			}
		}
	}
}

// TestPlainSnapshot: a snapshot as it lies on a node's disk is a trace without entries.
func TestPlainSnapshot(t *testing.T) {
	m := fsm.New()
	m.Apply(7, batch(1))
	path := filepath.Join(t.TempDir(), "state.bin")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Snapshot().WriteTo(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Replay(path, Visitor{})
	if err != nil || s.From != 7 || s.To != 7 || s.Batches != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestDamage: no bit can be changed and no byte be missing without being noticed.
func TestDamage(t *testing.T) {
	whole, err := os.ReadFile(write(t, true, true))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "damaged")
	refused := func(what string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Replay(path, Visitor{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range whole {
		text := bytes.Clone(whole)
		text[i] ^= 1 << (i % 8)
		refused(fmt.Sprint("bit flipped in byte ", i), text)
		if i%4 == 0 {
			refused(fmt.Sprint("cut to ", i, " bytes"), whole[:i])
		}
	}
	refused("a byte too much", append(bytes.Clone(whole), 0))
}

// TestMissingEntry: a file whose frames are whole, but one of which is missing, and one whose digest is of another state.
func TestMissingEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	make := func(count uint64, digest []byte) error {
		w, err := Create(path)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := proto.Marshal(batch(1))
		if err := w.Entry(3, data); err != nil {
			t.Fatal(err)
		}
		w.entries = count
		if err := w.Finish(3, digest); err != nil {
			t.Fatal(err)
		}
		_, err = Replay(path, Visitor{})
		return err
	}
	var damaged *DamagedError
	if err := make(2, nil); !errors.As(err, &damaged) {
		t.Errorf("an entry is missing: %v", err)
	}
	var mismatch *MismatchError
	if err := make(1, bytes.Repeat([]byte{1}, 32)); !errors.As(err, &mismatch) || mismatch.Index != 3 {
		t.Errorf("another digest: %v", err)
	}
	if err := make(1, nil); err != nil {
		t.Errorf("whole: %v", err)
	}
}

// TestLaterVersion: a batch of rules that this binary does not know is an error, not the end of the process.
func TestLaterVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := proto.Marshal(&logv1.Batch{Rules: 1000})
	if err := errors.Join(w.Entry(1, data), w.Finish(1, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := Replay(path, Visitor{}); err == nil || !strings.Contains(err.Error(), "log entry 1 ") {
		t.Errorf("got %v", err)
	}
}

// TestBrokenOff: a recording that is thrown away, or whose end does not fit, leaves no file.
func TestBrokenOff(t *testing.T) {
	dir := t.TempDir()
	for _, finish := range []bool{false, true} {
		w, err := Create(filepath.Join(dir, "trace"))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Entry(5, nil); err != nil {
			t.Fatal(err)
		}
		if finish {
			err = w.Finish(4, nil)
		}
		if (err != nil) != finish {
			t.Errorf("finish at the wrong index: %v", err)
		}
		if err := errors.Join(w.Discard(), w.Discard()); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEventNames(t *testing.T) {
	for kind, want := range map[fsm.EventKind]string{fsm.JobEnqueued: "job_enqueued", fsm.RunLimit: "run_limit", fsm.NodeChanged: "node_changed"} {
		if got := PublicEvent(&fsm.Outcome{Epoch: 1, Index: 2}, &fsm.Event{Kind: kind, Place: 3}); got.GetKind() != want || got.GetId() != "1.2.3" {
			t.Errorf("%v is %v", kind, got)
		}
	}
}
