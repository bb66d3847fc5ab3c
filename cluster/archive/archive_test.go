package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/cluster/archive"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// sample is an archive of a state with some jobs, and its header.
func sample(t *testing.T) ([]byte, archive.Header) {
	t.Helper()
	m := fsm.New()
	jobs := &logv1.Enqueue{}
	for range 20 {
		jobs.Jobs = append(jobs.Jobs, &logv1.NewJob{Kind: "k", Queue: "q", Payload: bytes.Repeat([]byte("p"), 200)})
	}
	m.Apply(7, &logv1.Batch{Rules: 1, NowMs: 1, Commands: []*logv1.Command{{Op: &logv1.Command_Enqueue{Enqueue: jobs}}}})
	var out bytes.Buffer
	h, err := archive.Write(&out, headerOf(m), m.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), h
}

func headerOf(m *fsm.Machine) archive.Header {
	h := archive.Header{Index: m.AppliedIndex(), Epoch: m.Epoch(), Rules: m.Rules(), NodeID: "n", Version: "test", MadeMs: 1}
	h.ClusterID, h.ClusterName = m.ClusterID()
	return h
}

func TestReadBack(t *testing.T) {
	whole, want := sample(t)
	got, state, err := archive.Read(bytes.NewReader(whole))
	if err != nil || got != want {
		t.Fatalf("%v: %+v, want %+v", err, got, want)
	}
	digest, err := state.Snapshot().Digest()
	if err != nil || got.StateDigest != hexOf(digest) || state.AppliedIndex() != 7 {
		t.Errorf("digest %x, header %s, index %d, %v", digest, got.StateDigest, state.AppliedIndex(), err)
	}
}

func hexOf(sum [32]byte) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for _, b := range sum {
		out.WriteByte(digits[b>>4])
		out.WriteByte(digits[b&15])
	}
	return out.String()
}

// TestDamaged: any bit that is flipped, any end that is missing and anything that follows is refused.
func TestDamaged(t *testing.T) {
	whole, _ := sample(t)
	for at := range whole {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		refused(t, "a flipped bit", at, flipped)
		refused(t, "cut", at, whole[:at])
	}
	refused(t, "appended", 0, append(bytes.Clone(whole), 0))
	refused(t, "twice", 0, append(bytes.Clone(whole), whole...))
}

func refused(t *testing.T, what string, at int, data []byte) {
	t.Helper()
	_, _, err := archive.Read(bytes.NewReader(data))
	var bad *archive.Error
	if !errors.As(err, &bad) || bad.Why == "" {
		t.Fatalf("%s at %d: %v", what, at, err)
	}
}

// TestOtherFiles: tar with a path out of the directory, a gzip bomb and others are refused by their first bytes, and say what they are.
func TestOtherFiles(t *testing.T) {
	var tarred, bomb bytes.Buffer
	w := tar.NewWriter(&tarred)
	_ = w.WriteHeader(&tar.Header{Name: "../../etc/cron.d/x", Mode: 0o600, Size: 3})
	_, _ = w.Write([]byte("hey"))
	_ = w.Close()
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 16<<20))
	_ = z.Close()
	var bare bytes.Buffer
	_, _ = fsm.New().Snapshot().WriteTo(&bare)
	for want, data := range map[string][]byte{
		"tar": tarred.Bytes(), "gzip": bomb.Bytes(), "zip": []byte("PK\x03\x04rest of it"), "bare snapshot": bare.Bytes(),
		"empty": nil, "another version": []byte("fairlane archive 2\n\x00\x00\x00\x02{}"),
	} {
		_, _, err := archive.Read(bytes.NewReader(data))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// TestLies: lengths that are not true cost nothing, and a header that does not fit its state is refused although all check sums are right.
func TestLies(t *testing.T) {
	head := binary.BigEndian.AppendUint32([]byte("fairlane archive 1\n"), 1<<31)
	refused(t, "a long header", 0, head)

	_, h := sample(t)
	h.StateBytes = 60 << 30
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refused(t, "a long state", 0, build(t, h, []byte("FAIRLANE\x00\x00\x00\x01")))
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated for a length that is a lie", grown)
	}

	m := fsm.New()
	var state bytes.Buffer
	_, _ = m.Snapshot().WriteTo(&state)
	_, right := writeOf(t, m)
	sound := build(t, right, state.Bytes())
	if _, _, err := archive.Read(bytes.NewReader(sound)); err != nil {
		t.Fatalf("the sound one: %v", err)
	}
	for what, lie := range map[string]func(*archive.Header){
		"index": func(h *archive.Header) { h.Index++ }, "epoch": func(h *archive.Header) { h.Epoch++ }, "rules": func(h *archive.Header) { h.Rules++ },
		"cluster": func(h *archive.Header) { h.ClusterID = "other" }, "digest": func(h *archive.Header) { h.StateDigest = "00" },
		"short": func(h *archive.Header) { h.StateBytes-- }, "format": func(h *archive.Header) { h.Format = 9 },
		"negative": func(h *archive.Header) { h.StateBytes = -1 },
	} {
		lying := right
		lie(&lying)
		refused(t, what, 0, build(t, lying, state.Bytes()))
	}
}

func writeOf(t *testing.T, m *fsm.Machine) ([]byte, archive.Header) {
	t.Helper()
	var out bytes.Buffer
	h, err := archive.Write(&out, headerOf(m), m.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), h
}

// build an archive by hand, with a right check sum over all of it.
func build(t *testing.T, h archive.Header, state []byte) []byte {
	t.Helper()
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.BigEndian.AppendUint32([]byte("fairlane archive 1\n"), uint32(len(text)))
	out = append(append(out, text...), state...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// TestReaderFails: the reader's own error is passed on, it says nothing of the archive.
func TestReaderFails(t *testing.T) {
	whole, _ := sample(t)
	for _, at := range []int{0, 10, 60, len(whole) / 2, len(whole) - 5} {
		broken := errors.New("connection lost")
		_, _, err := archive.Read(io.MultiReader(bytes.NewReader(whole[:at]), failing{broken}))
		if !errors.Is(err, broken) {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzRead(f *testing.F) {
	f.Add([]byte("fairlane archive 1\n\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, state, err := archive.Read(bytes.NewReader(data)); err == nil && state == nil {
			t.Fatal("neither a state nor an error")
		}
	})
}
