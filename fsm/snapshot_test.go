package fsm_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestSnapshotDamaged flips a bit at every position, and cuts at every length, of a snapshot: each is refused with *DamagedError.
// Long snapshots are sampled.
func TestSnapshotDamaged(t *testing.T) {
	whole := snapshotBytes(t, runHistory(7, 40))
	if _, err := fsm.Restore(bytes.NewReader(whole)); err != nil {
		t.Fatalf("the sound snapshot: %v", err)
	}
	step := 1 + len(whole)/6000
	refused := func(kind string, at int, data []byte) {
		t.Helper()
		_, err := fsm.Restore(bytes.NewReader(data))
		var damaged *fsm.DamagedError
		if !errors.As(err, &damaged) || damaged.Error() == "" {
			t.Fatalf("%s at %d of %d: %v", kind, at, len(whole), err)
		}
	}
	d := dice{1}
	for at := 0; at < len(whole); at += step {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << d.below(8)
		refused("bit flip", at, flipped)
		refused("cut", at, whole[:at])
	}
	refused("appended", len(whole), append(bytes.Clone(whole), 0))
	refused("twice", len(whole), append(bytes.Clone(whole), whole...))
	refused("zeros", 0, make([]byte, 4096))
	swapped := bytes.Clone(whole)
	copy(swapped[len(swapped)/3:], whole[len(whole)/2:len(whole)/2+64])
	refused("moved", len(whole)/3, swapped)
}

// TestSnapshotReaderFails passes the reader's own error on.
func TestSnapshotReaderFails(t *testing.T) {
	whole := snapshotBytes(t, runHistory(3, 20))
	broken := errors.New("disk gone")
	_, err := fsm.Restore(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), failingReader{broken}))
	if err == nil || !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// TestSnapshotIsOfOneMoment takes snapshots while the machine goes on and writes them on other goroutines: each holds the state of
// the moment it was taken, and -race sees no shared writing.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	for seed := uint64(100); seed < 110; seed++ {
		h, m := newHistory(seed), fsm.New()
		var writers sync.WaitGroup
		for range 60 {
			b := h.batch()
			h.observe(b, m.Apply(h.index, b))
			want := digest(t, m)
			snapshot, index := m.Snapshot(), h.index
			writers.Go(func() {
				var buf bytes.Buffer
				if _, err := snapshot.WriteTo(&buf); err != nil {
					t.Errorf("seed %d index %d: %v", seed, index, err)
					return
				}
				back, err := fsm.Restore(&buf)
				if err != nil {
					t.Errorf("seed %d index %d: %v", seed, index, err)
					return
				}
				if got, err := back.Snapshot().Digest(); err != nil || got != want || back.AppliedIndex() != index {
					t.Errorf("seed %d: the snapshot of index %d holds another state (index %d, %v)", seed, index, back.AppliedIndex(), err)
				}
			})
		}
		writers.Wait()
	}
}

// TestSnapshotVersions: a state that only batches of rules 1 made is written in version 1, which an old binary reads; one batch of rules 2,
// even an empty one, makes it version 2, one of rules 3 version 3, which old binaries refuse by name. A file whose version does not fit what it holds is damaged.
func TestSnapshotVersions(t *testing.T) {
	versionAt := 11 // the last byte of the version
	for _, c := range []struct {
		rules   uint32 // of the last batch
		version byte   // the highest rules of all
	}{{1, 1}, {2, 2}, {1, 2}, {3, 3}, {1, 3}} {
		m := runHistoryOf(7, 1, 20)
		m.Apply(m.AppliedIndex()+1, &logv1.Batch{Rules: uint32(c.version)})
		m.Apply(m.AppliedIndex()+1, &logv1.Batch{Rules: c.rules})
		whole := snapshotBytes(t, m)
		if whole[versionAt] != c.version {
			t.Errorf("rules %d: version %d, should be %d", c.rules, whole[versionAt], c.version)
		}
		back, err := fsm.Restore(bytes.NewReader(whole))
		if err != nil || !bytes.Equal(snapshotBytes(t, back), whole) {
			t.Errorf("rules %d: it does not come back: %v", c.rules, err)
		}
		for version := byte(0); version <= fsm.Rules+1; version++ {
			if version == c.version {
				continue
			}
			other := sealed(append(bytes.Clone(whole[:versionAt]), version), framesOf(whole))
			var damaged *fsm.DamagedError
			if _, err := fsm.Restore(bytes.NewReader(other)); !errors.As(err, &damaged) {
				t.Errorf("rules %d, written as version %d: %v", c.rules, version, err)
			}
		}
	}
}

// TestSnapshotSizes: WriteTo says how many bytes it wrote, and the same snapshot can be written twice.
func TestSnapshotSizes(t *testing.T) {
	snapshot := runHistory(5, 40).Snapshot()
	var one, two bytes.Buffer
	n, err := snapshot.WriteTo(&one)
	if err != nil || n != int64(one.Len()) {
		t.Fatalf("%d bytes of %d: %v", n, one.Len(), err)
	}
	if _, err := snapshot.WriteTo(&two); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Fatalf("the second writing differs: %v", err)
	}
}
