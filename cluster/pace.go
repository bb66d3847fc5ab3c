package cluster

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// paceSlice of a snapshot is written without a pause: about a millisecond of work.
	paceSlice = 256 << 10
	// paceMost is the longest pause after a slice. It bounds how much a pause adds to a snapshot: 20 ms for each 256 KiB.
	paceMost = 20 * time.Millisecond
	// paceFlush bytes are handed to the disk at once.
	paceFlush = 4 << 20
)

// paced writes a snapshot beside the node's other work: after every slice it rests as long as the slice took, so that it has at most half of one
// core, and less while others want it; once the node closes it rests no more. What it wrote goes to the disk bit by bit: written out in one go at the end, hundreds of megabytes would stand
// before the next write of the log. One caller at a time.
type paced struct {
	io.Writer
	flush func(offset, size int64) // hands a part of what was written to the disk
	rest  func(time.Duration)

	written, flushed int64
	slice            int64     // bytes since the last rest
	begun            time.Time // when the slice began; zero: at the next write
}

func (p *paced) Write(data []byte) (int, error) {
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	n, err := p.Writer.Write(data)
	p.written += int64(n)
	p.slice += int64(n)
	if p.slice < paceSlice || err != nil {
		return n, err
	}
	if size := p.written - p.flushed; size >= paceFlush {
		p.flush(p.flushed, size)
		p.flushed = p.written
	}
	p.rest(min(time.Since(p.begun), paceMost))
	p.slice, p.begun = 0, time.Now()
	return n, nil
}

// newPaced writes to the sink of a snapshot in the directory of raft's store. It rests no more once closing is closed: the end of
// the node waits for the snapshot. done gives back what it opened.
func newPaced(sink raft.SnapshotSink, dir string, closing <-chan struct{}) (p *paced, done func()) {
	p = &paced{Writer: sink, flush: func(int64, int64) {}}
	p.rest = func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-closing:
		}
	}
	file, err := os.OpenFile(sinkPath(dir, sink.ID()), os.O_WRONLY, 0)
	if err != nil {
		return p, func() {} // the sink's own fsync is what makes it durable
	}
	p.flush = func(offset, size int64) { writeOut(file, offset, size) }
	return p, func() { _ = file.Close() }
}

// sinkPath is where raft's file store writes a snapshot that is not finished.
func sinkPath(dir, id string) string { return filepath.Join(dir, "snapshots", id+".tmp", "state.bin") }
