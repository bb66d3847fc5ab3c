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

// Exit codes of a node that must not go on: supervisors are told not to restart after exitFatal; after exitRestart they may.
const (
	exitFatal   = 70
	exitRestart = 75
)

// RestartError ends this process, which may start again: another start can find the cause gone (a disk that stalled or was full).
type RestartError struct{ Err error }

func (e *RestartError) Error() string { return e.Err.Error() }
func (e *RestartError) Unwrap() error { return e.Err }

// ExitCode for a process whose node ended by err.
func ExitCode(err error) int {
	var again *RestartError
	if errors.As(err, &again) {
		return exitRestart
	}
	return exitFatal
}

// UnknownNodeError says that nothing was done, because the cluster has no such node.
type UnknownNodeError struct{ ID string }

func (e *UnknownNodeError) Error() string {
	return fmt.Sprintf("there is no node %s in the cluster", e.ID)
}

// ConfigurationError says that nothing was done, because the members are not those that the caller saw.
type ConfigurationError struct{ Expected, Now uint64 }

func (e *ConfigurationError) Error() string {
	return fmt.Sprintf("the configuration of the members is %d, not %d", e.Now, e.Expected)
}

// UnsafeChangeError says that nothing was done, because the change would endanger the cluster.
type UnsafeChangeError struct {
	Change string // removal, demotion, promotion
	ID     string
	Why    string
	Todo   string // what the operator can do, a sentence
}

func (e *UnsafeChangeError) Error() string {
	return fmt.Sprintf("%s of node %s is refused: %s. %s", e.Change, e.ID, e.Why, e.Todo)
}

// RemovedError says that a node was removed from the cluster, and that its data must not come back.
type RemovedError struct{ ID string }

func (e *RemovedError) Error() string {
	return fmt.Sprintf("node %s was removed from the cluster", e.ID)
}

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
