package cluster

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// TestPaced: what is written arrives whole; every slice is followed by a rest that is bounded; all but the newest part goes to the disk, each byte once, in
// order.
func TestPaced(t *testing.T) {
	var out bytes.Buffer
	var rests []time.Duration
	var flushed int64
	p := &paced{Writer: &out, rest: func(d time.Duration) { rests = append(rests, d) }}
	p.flush = func(offset, size int64) {
		if offset != flushed || size < paceFlush {
			t.Errorf("%d bytes at %d go to the disk, after %d", size, offset, flushed)
		}
		flushed = offset + size
	}
	var want bytes.Buffer
	for n := 0; want.Len() < 3*paceFlush+paceSlice/2; n++ {
		piece := bytes.Repeat([]byte{byte(n)}, 60_000+n)
		want.Write(piece)
		if wrote, err := p.Write(piece); wrote != len(piece) || err != nil {
			t.Fatal(wrote, err)
		}
	}
	if !bytes.Equal(out.Bytes(), want.Bytes()) {
		t.Error("what arrived is not what was written")
	}
	if left := int64(want.Len()) - flushed; left < 0 || left >= paceFlush+paceSlice {
		t.Errorf("%d bytes of %d are left for the end", left, want.Len())
	}
	if most := want.Len() / paceSlice; len(rests) == 0 || len(rests) > most || len(rests) < most/2 {
		t.Errorf("%d rests for %d bytes", len(rests), want.Len())
	}
	for _, d := range rests {
		if d < 0 || d > paceMost {
			t.Errorf("a rest of %v", d)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 7, errors.New("no room") }

// TestPacedError: the error comes back at once, without a rest.
func TestPacedError(t *testing.T) {
	p := &paced{Writer: failing{}, rest: func(time.Duration) { t.Error("it rests after an error") }}
	if n, err := p.Write(make([]byte, paceSlice)); n != 7 || err == nil {
		t.Error(n, err)
	}
}

// TestWriteOut goes through the system's call; what it does shows in benchmarks alone.
func TestWriteOut(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	writeOut(file, 0, 1<<20)
	writeOut(file, 1<<20, 2<<20)
}

// sinkOf a snapshot that raft's store does not know.
type sinkOf struct{ bytes.Buffer }

func (*sinkOf) ID() string    { return "none" }
func (*sinkOf) Close() error  { return nil }
func (*sinkOf) Cancel() error { return nil }

// TestPacedWhileClosing: the end of a node waits for its snapshot, so that does not rest any longer.
func TestPacedWhileClosing(t *testing.T) {
	closing := make(chan struct{})
	close(closing)
	m := newMachine(Config{Logger: hclog.NewNullLogger(), DataDir: t.TempDir()}, nil)
	m.closing = closing
	snapshot, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	w, done := snapshot.(persistent).writer(&sinkOf{})
	defer done()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.(*paced).rest(time.Minute)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it rests")
	}
}
