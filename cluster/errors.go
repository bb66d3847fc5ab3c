package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

var (
	// ErrNotLeader says that this attempt did nothing, because this node does not lead (any longer).
	ErrNotLeader = errors.New("this node is not the leader")
	// ErrUnknownOutcome says that the command may have been done or not. Repeat it under the same number or key.
	ErrUnknownOutcome = errors.New("the outcome of the command is unknown")
	// ErrShutdown says that this attempt did nothing, because this node is shutting down.
	ErrShutdown = errors.New("this node is shutting down")
	// ErrNoDigest says that this node has no digest of the index: no checkpoint lies there, or it is too old.
	ErrNoDigest = errors.New("no digest is kept for this log index")
)

// BusyError says that this attempt did nothing, because the queue of commands is full.
type BusyError struct {
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("the leader's queue of commands is full: retry after %v", e.RetryAfter)
}

// RulesError says that nothing was done, because not every node can apply it yet.
type RulesError struct {
	// Needs are the rules that are needed, Rules those in force.
	Needs, Rules uint32
	// Node that cannot apply them; empty: they are about to be raised.
	Node string
}

func (e *RulesError) Error() string {
	return fmt.Sprintf("this needs rules %d of the cluster, which has %d (node %q): upgrade every node first", e.Needs, e.Rules, e.Node)
}

// proposalError sorts what raft says of a batch: it surely did nothing, or nobody knows.
func proposalError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
}
