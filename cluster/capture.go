package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster/archive"
	"github.com/fairlane-scheduler/fairlane/fsm"
)

const (
	// maxCaptures at the same time: each keeps a state in memory while others change.
	maxCaptures = 4
	// maxCaptured states of one capture: those of the last checkpoints, one of which is its own.
	maxCaptured = 16
)

// ErrNotCaptured says that this node passed the index without applying it: a snapshot was installed. Try again.
var ErrNotCaptured = errors.New("this node was so far behind that it got a snapshot instead of the log entry")

// Capture waits for the state right after a checkpoint. Make it before the checkpoint is proposed.
type Capture struct {
	node   *Node
	states []Captured // guarded by machine.mu; rising indexes
}

// Captured is the state at one index, with what an archive says of it.
type Captured struct {
	state  *fsm.Snapshot
	header archive.Header
}

// captures in progress. Guarded by machine.mu.
type captures []*Capture

// take the state of a checkpoint for every capture.
func (c captures) take(state *fsm.Machine, snapshot *fsm.Snapshot) {
	for _, one := range c {
		if len(one.states) == maxCaptured {
			one.states = one.states[1:]
		}
		one.states = append(one.states, captured(state, snapshot))
	}
}

// captured state of now. The caller holds the lock that Apply takes.
func captured(state *fsm.Machine, snapshot *fsm.Snapshot) Captured {
	c := Captured{state: snapshot, header: archive.Header{Index: state.AppliedIndex(), Epoch: state.Epoch(), Rules: state.Rules()}}
	c.header.ClusterID, c.header.ClusterName = state.ClusterID()
	return c
}

// NewCapture begins to keep the states of checkpoints; *BusyError when too many do. Close it.
func (n *Node) NewCapture() (*Capture, error) {
	m := n.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.captures) >= maxCaptures {
		return nil, &BusyError{RetryAfter: time.Second}
	}
	c := &Capture{node: n}
	m.captures = append(m.captures, c)
	return c, nil
}

// At waits until this node has applied the checkpoint at index and gives the state right after it. ErrNotCaptured: it never will.
func (c *Capture) At(ctx context.Context, index uint64) (Captured, error) {
	if err := c.node.WaitApplied(ctx, index); err != nil {
		return Captured{}, err
	}
	m := c.node.machine
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, one := range c.states {
		if one.header.Index == index {
			return one, nil
		}
	}
	return Captured{}, ErrNotCaptured
}

// Close lets the states go. It may be repeated.
func (c *Capture) Close() {
	m := c.node.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	m.captures = slices.DeleteFunc(m.captures, func(other *Capture) bool { return other == c })
}

// WriteArchive of a captured state.
func (n *Node) WriteArchive(w io.Writer, c Captured, version string) (archive.Header, error) {
	h := c.header
	h.NodeID, h.Version, h.Term, h.MadeMs = n.id, version, n.raft.CurrentTerm(), n.config.Clock.WallMillis()
	if h.ClusterID == "" {
		h.ClusterName = n.config.ClusterName
	}
	h, err := archive.Write(w, h, c.state)
	if err != nil {
		return h, fmt.Errorf("cluster: write an archive: %w", err)
	}
	return h, nil
}
