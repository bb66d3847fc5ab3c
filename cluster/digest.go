package cluster

import (
	"context"
	"sync"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// keptDigests is how many of the last checkpoints have their digest kept.
const keptDigests = 64

// digests are those of the state at checkpoints. They are computed beside Apply, one after the other.
type digests struct {
	computing sync.WaitGroup
	one       sync.Mutex // held by the goroutine that computes

	mu    sync.Mutex
	byIdx map[uint64]*digest
	order []uint64
}

type digest struct {
	done chan struct{}
	sum  [32]byte
	err  error
}

func newDigests() *digests { return &digests{byIdx: make(map[uint64]*digest)} }

// compute the digest of the state at index in the background.
func (d *digests) compute(index uint64, snapshot *fsm.Snapshot) {
	entry := &digest{done: make(chan struct{})}
	d.mu.Lock()
	if _, known := d.byIdx[index]; !known {
		d.order = append(d.order, index)
	}
	d.byIdx[index] = entry
	if len(d.order) > keptDigests {
		delete(d.byIdx, d.order[0])
		d.order = d.order[1:]
	}
	d.mu.Unlock()
	d.computing.Add(1)
	go func() {
		defer d.computing.Done()
		d.one.Lock()
		defer d.one.Unlock()
		entry.sum, entry.err = snapshot.Digest()
		close(entry.done)
	}()
}

// at waits for the digest of a checkpoint that was applied.
func (d *digests) at(ctx context.Context, index uint64) ([32]byte, error) {
	d.mu.Lock()
	entry := d.byIdx[index]
	d.mu.Unlock()
	if entry == nil {
		return [32]byte{}, ErrNoDigest
	}
	select {
	case <-entry.done:
		return entry.sum, entry.err
	case <-ctx.Done():
		return [32]byte{}, ctx.Err()
	}
}

// Digest of this node's whole state right after the log entry at index, which must hold a Checkpoint. It waits until
// the entry is applied here. The last 64 are kept while the process runs; others are ErrNoDigest.
func (n *Node) Digest(ctx context.Context, index uint64) ([32]byte, error) {
	if err := n.WaitApplied(ctx, index); err != nil {
		return [32]byte{}, err
	}
	return n.machine.digests.at(ctx, index)
}
