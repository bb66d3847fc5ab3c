package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/cluster/archive"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// restoreContact is how old the last answer of a voter may be when a restore begins.
	restoreContact = 3 * time.Second
	// restoringFile lies in the data directory from before raft is given the archive until a majority has it.
	restoringFile = "restoring"
	// Unnamed stands for a cluster that has no id yet.
	Unnamed = "unnamed"
)

// RestoreError says that nothing was restored and nothing was changed.
type RestoreError struct {
	Why  string
	Todo string // what the operator can do, a sentence
}

func (e *RestoreError) Error() string { return "nothing was restored: " + e.Why + ". " + e.Todo }

// ForeignError says that an archive is of another cluster, which the caller did not name. Nothing was changed.
type ForeignError struct{ Archive, Cluster string }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("the archive is of cluster %s, this is %s", e.Archive, e.Cluster)
}

// Restored says what a restore made.
type Restored struct {
	Header archive.Header
	Epoch  uint32
}

// Restore replaces the state of the cluster by that of an archive, on the leader. All of in is read and verified before anything changes. from is
// the id of the cluster that the archive must be of; empty: this one. All claims and sessions end, and the epoch rises, so no former fence counts
// any longer. Errors after which nothing is changed: *archive.Error, *ForeignError, *RestoreError, ErrNotLeader, those of in.
// ErrUnknownOutcome: this node no longer knows, and has stopped if it is not sure to agree with the others.
func (n *Node) Restore(ctx context.Context, in io.Reader, from string) (Restored, error) {
	if !n.restoring.TryLock() {
		return Restored{}, &RestoreError{"another restore is going on", "Wait until it has ended."}
	}
	defer n.restoring.Unlock()
	if !n.IsLeader() {
		return Restored{}, ErrNotLeader
	}
	header, state, err := archive.Read(in)
	if err != nil {
		return Restored{}, err
	}
	if state, err = n.reopen(header, state, from); err != nil {
		return Restored{}, err
	}
	if err := n.votersAnswer(); err != nil {
		return Restored{}, err
	}
	if err := n.replaceState(ctx, state); err != nil {
		return Restored{}, err
	}
	n.log.Warn("the state was replaced by that of an archive", "cluster", header.ClusterID, "index", header.Index, "epoch", state.Epoch())
	return Restored{Header: header, Epoch: state.Epoch()}, nil
}

// reopen the state of an archive for this cluster, if it may be restored here.
func (n *Node) reopen(h archive.Header, state *fsm.Machine, from string) (*fsm.Machine, error) {
	var epoch uint32
	var nodes []*logv1.SetNode
	o := fsm.Reopening{}
	n.View(func(m *fsm.Machine) {
		epoch, nodes, o.Removed = m.Epoch(), m.Nodes(), slices.Clone(m.RemovedNodes())
		o.ClusterID, o.ClusterName = m.ClusterID()
	})
	if l := n.leading.Load(); o.ClusterID == "" && l != nil && l.rules.Load() >= namingRules {
		return nil, &RestoreError{"the cluster is just getting its id", "Try again in a few seconds."}
	}
	own, archived := named(o.ClusterID), named(h.ClusterID)
	if wanted := from; archived != wanted && (wanted != "" || archived != own) {
		return nil, &ForeignError{Archive: archived, Cluster: own}
	}
	for _, server := range n.servers() {
		if can := n.rulesOf(nodes, string(server.ID)); can < h.Rules {
			return nil, &RestoreError{fmt.Sprintf("the archive needs rules %d, node %s can apply %d", h.Rules, server.ID, can), "Upgrade every node first."}
		}
	}
	o.Nodes = nodes
	o.Epoch = fsm.NextEpoch(max(epoch, state.Epoch()), n.config.Clock.WallMillis())
	reopened, err := fsm.Reopen(state, o)
	if err != nil {
		return nil, &archive.Error{Why: err.Error()}
	}
	return reopened, nil
}

func named(clusterID string) string {
	if clusterID == "" {
		return Unnamed
	}
	return clusterID
}

// votersAnswer refuses a restore while a voter is away: it would come back with a log of which nobody knows what it is worth.
func (n *Node) votersAnswer() error {
	var silent []string
	for _, server := range n.servers() {
		if isVoter(server) && string(server.ID) != n.id && time.Since(n.wire.contact(server.ID).at) > restoreContact {
			silent = append(silent, string(server.ID))
		}
	}
	if len(silent) > 0 {
		return &RestoreError{fmt.Sprintf("%d voters do not answer: %s", len(silent), strings.Join(silent, ", ")),
			"Start them, or remove those that are gone, and try again."}
	}
	return nil
}

// replaceState hands a verified state to raft, which ends this process if it cannot be read again.
//
// Between raft's taking it and its reaching a majority this node alone has it. Were it to end or lose its leadership there, it would come back with
// a state that the others may not have, and raft would not notice. So a file says in the meantime that this node must not start again.
func (n *Node) replaceState(ctx context.Context, state *fsm.Machine) error {
	snapshot := state.Snapshot()
	size, err := snapshot.WriteTo(io.Discard)
	if err != nil {
		return err
	}
	mark := filepath.Join(n.config.DataDir, restoringFile)
	alone := len(n.servers()) == 1
	if !alone {
		if err := writeDurably(mark, fmt.Sprintf("epoch %d\n", state.Epoch())); err != nil {
			return fmt.Errorf("cluster: restore: %w", err)
		}
	}
	read, write := io.Pipe()
	written := make(chan struct{})
	go func() {
		_, err := snapshot.WriteTo(write)
		write.CloseWithError(err) // nil: the end
		close(written)
	}()
	done := make(chan error, 1)
	go func() {
		meta := &raft.SnapshotMeta{Version: raft.SnapshotVersionMax, Index: state.AppliedIndex(), Term: n.raft.CurrentTerm(), Size: size}
		done <- n.raft.Restore(meta, read, 0)
	}()
	select {
	case err = <-done:
	case <-n.life.Done(): // raft may never answer; what it began is judged at the next start
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, ErrShutdown)
	}
	read.Close()
	<-written
	if err != nil {
		return n.notRestored(mark, state.Epoch(), err)
	}
	if alone {
		return nil
	}
	return errors.Join(os.Remove(mark), syncDirectory(n.config.DataDir), ctx.Err())
}

// notRestored sorts an error of raft: either its state is the former one and nothing happened, or this node must not go on.
func (n *Node) notRestored(mark string, epoch uint32, err error) error {
	if errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	var now uint32
	n.View(func(m *fsm.Machine) { now = m.Epoch() })
	if now < epoch {
		if e := errors.Join(os.Remove(mark), syncDirectory(n.config.DataDir)); e != nil && !errors.Is(e, os.ErrNotExist) {
			return e
		}
		if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
			return ErrNotLeader
		}
		return &RestoreError{"raft did not take it: " + err.Error(), "Try again when the members no longer change."}
	}
	if len(n.servers()) > 1 {
		n.fatal(unconfirmed(n.config.DataDir))
	}
	return fmt.Errorf("%w: the leader changed before a majority had the restored state: %w", ErrUnknownOutcome, err)
}

// UnconfirmedError says that a node may hold a state that the others do not have: it must not start on these data.
type UnconfirmedError struct{ File string }

func (e *UnconfirmedError) Error() string {
	return "cluster: a restore began on this node and was not confirmed by the others (" + e.File + "): its state may differ from theirs. " +
		"Remove this node from the cluster and start it with an empty data directory"
}

func unconfirmed(dir string) error { return &UnconfirmedError{filepath.Join(dir, restoringFile)} }

// checkRestored refuses to start where a restore was left half done.
func checkRestored(dir string) error {
	if _, there := firstOf(dir, restoringFile); there {
		return unconfirmed(dir)
	}
	return nil
}
