package cluster

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

const (
	// mostRecordings of one node at a time.
	mostRecordings = 2
	// mostRecordedBytes wait in one recording for its reader; beyond it the recording ends.
	mostRecordedBytes = 64 << 20
)

var (
	// ErrRecordings refuses one more recording.
	ErrRecordings = errors.New("cluster: this node records as often as it can already")
	// ErrRecordingSlow ends a recording whose reader is too slow.
	ErrRecordingSlow = errors.New("cluster: the reader of the recording is too slow")
	// ErrRecordingRestored ends a recording when the state of this node is replaced: what follows does not follow on what was recorded.
	ErrRecordingRestored = errors.New("cluster: this node got the state of another one while it recorded")
)

// RecordedEntry is one batch that this node applied.
type RecordedEntry struct {
	Index uint64
	// Batch as it lies in the log. It must not be changed.
	Batch []byte
}

// Recording is this node's state at one index and every batch that it applied since. One goroutine reads it; Stop may be called by
// another one, and must be called once the recording is not needed.
type Recording struct {
	start   *fsm.Snapshot
	machine *machine
	closing <-chan struct{}

	// more has room for one signal.
	more chan struct{}

	// machine.mu is held by whoever changes end or adds to the queue; mu guards both against the reader.
	mu    sync.Mutex
	queue []RecordedEntry
	bytes int
	// end is set once: what Next answers when the queue is empty.
	end error
}

// recordings of a machine. Guarded by machine.mu.
type recordings []*Recording

// Record begins a recording of this node: a snapshot in no time, and from exactly that index on every batch that it applies. Apply is
// never held up: a recording whose reader is more than 64 MiB behind ends with ErrRecordingSlow. At most two run at a time.
func (n *Node) Record() (*Recording, error) {
	if n.isClosing() {
		return nil, ErrShutdown
	}
	m := n.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.recordings) >= mostRecordings {
		return nil, ErrRecordings
	}
	r := &Recording{start: m.state.Snapshot(), machine: m, closing: n.closing, more: make(chan struct{}, 1)}
	m.recordings = append(m.recordings, r)
	return r, nil
}

// Start is the state before the first entry.
func (r *Recording) Start() *fsm.Snapshot { return r.start }

// Next entry; waits for one. After Stop, and what was recorded until then, it is io.EOF. Other errors end the recording too:
// ErrRecordingSlow, ErrRecordingRestored, ErrShutdown, and those of ctx.
func (r *Recording) Next(ctx context.Context) (RecordedEntry, error) {
	for {
		r.mu.Lock()
		if len(r.queue) > 0 && (r.end == nil || r.end == io.EOF) {
			e := r.queue[0]
			r.queue[0] = RecordedEntry{}
			r.queue = r.queue[1:]
			r.bytes -= costOf(e)
			r.mu.Unlock()
			return e, nil
		}
		end := r.end
		r.mu.Unlock()
		if end != nil {
			return RecordedEntry{}, end
		}
		select {
		case <-r.more:
		case <-ctx.Done():
			return RecordedEntry{}, ctx.Err()
		case <-r.closing:
			return RecordedEntry{}, ErrShutdown
		}
	}
}

// Stop the recording and give the state after its last entry; nil if it had ended with an error. It may be repeated; only the
// first call gives the state.
func (r *Recording) Stop() *fsm.Snapshot {
	m := r.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if !r.finish(io.EOF) {
		return nil
	}
	for i, one := range m.recordings {
		if one == r {
			m.recordings = append(m.recordings[:i:i], m.recordings[i+1:]...)
			break
		}
	}
	return m.state.Snapshot()
}

// finish tells whether this call ended the recording.
func (r *Recording) finish(end error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end != nil {
		return false
	}
	if r.end = end; end != io.EOF {
		r.queue, r.bytes = nil, 0
	}
	poke(r.more)
	return true
}

// add one applied entry. False: the recording has ended.
func (r *Recording) add(e RecordedEntry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes += costOf(e); r.bytes > mostRecordedBytes {
		r.end, r.queue, r.bytes = ErrRecordingSlow, nil, 0
		poke(r.more)
		return false
	}
	r.queue = append(r.queue, e)
	poke(r.more)
	return true
}

// costOf an entry, with what Go needs beside its data.
func costOf(e RecordedEntry) int { return len(e.Batch) + 64 }

// add an applied entry to all recordings; the batch is kept, not copied: raft does not change what it handed out. The caller holds
// machine.mu.
func (rs *recordings) add(index uint64, batch []byte) {
	kept := (*rs)[:0]
	for _, r := range *rs {
		if r.add(RecordedEntry{Index: index, Batch: batch}) {
			kept = append(kept, r)
		}
	}
	clear((*rs)[len(kept):])
	*rs = kept
}

// cut all recordings: the state was replaced. The caller holds machine.mu.
func (rs *recordings) cut() {
	for _, r := range *rs {
		r.finish(ErrRecordingRestored)
	}
	*rs = nil
}
