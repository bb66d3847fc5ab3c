package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Recovered says what a recovery made.
type Recovered struct {
	// Copy is the directory to which the data were copied before.
	Copy  string
	Epoch uint32
	// Index up to which the state goes.
	Index uint64
}

// RecoverOffline makes a cluster of one node out of the data directory of a node that does not run, after a majority was lost for good. The
// directory is copied first, beside itself. All entries of its log count, committed or not; all claims and sessions end, and the epoch rises.
// The other nodes must not come back with their data: they would form a second cluster.
func RecoverOffline(dir string, logger hclog.Logger) (_ Recovered, err error) {
	survey, err := SurveyOffline(dir)
	if err != nil {
		return Recovered{}, err
	}
	if survey.LastIndex == 0 || len(survey.Members) == 0 {
		return Recovered{}, fmt.Errorf("cluster: %s holds no state of a cluster: there is nothing to recover", dir)
	}
	now := time.Now().UTC()
	dir = filepath.Clean(dir)
	out := Recovered{Copy: fmt.Sprintf("%s.before-recover-%s", dir, now.Format("20060102T150405Z"))}
	if err := copyDirectory(dir, out.Copy); err != nil {
		return out, fmt.Errorf("cluster: copy the data before: %w. Nothing was changed", err)
	}
	var broken error // of a store: raft is told too, and gives up
	c, err := Config{DataDir: dir, LogStore: survey.LogStore, RaftListen: "unused", Logger: logger}.complete()
	if err != nil {
		return out, err
	}
	stores, err := openStores(c, newDisk(c), func(err error) { broken = errors.Join(broken, err) })
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, stores.close()) }()
	r := &recovery{replica: newReplica(), survey: survey, nowMs: now.UnixMilli()}
	alone := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(survey.NodeID), Address: r.address()}}}
	_, wire := raft.NewInmemTransport(alone.Servers[0].Address)
	err = raft.RecoverCluster(c.raft(survey.NodeID), r, stores.log, stores.stable, stores.snapshots, wire, alone)
	if err = errors.Join(err, broken, r.err, wire.Close()); err != nil {
		return out, fmt.Errorf("cluster: recover %s: %w. The data as they were are in %s", dir, err, out.Copy)
	}
	if err := os.Remove(filepath.Join(dir, restoringFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, err
	}
	out.Epoch, out.Index = r.epoch, survey.StateIndex
	return out, syncDirectory(dir)
}

// recovery is a machine whose snapshot is its state in a higher epoch, with one node.
type recovery struct {
	*replica
	survey Survey
	nowMs  int64
	epoch  uint32
}

// address of the node in the last configuration. The node corrects it when it starts elsewhere.
func (r *recovery) address() raft.ServerAddress {
	for _, m := range r.survey.Members {
		if m.ID == r.survey.NodeID {
			return raft.ServerAddress(m.RaftAddress)
		}
	}
	return "127.0.0.1:0" // it was no member any longer
}

// Restore implements raft.FSM; raft tries older snapshots when it fails.
func (r *replica) Restore(source io.ReadCloser) (err error) {
	defer source.Close()
	state, err := fsm.Restore(source)
	if err != nil {
		return fmt.Errorf("cluster: the snapshot: %w", err)
	}
	r.state = state
	return nil
}

// Snapshot implements raft.FSM.
func (r *replica) Snapshot() (raft.FSMSnapshot, error) {
	return nil, errors.New("cluster: a replay is not written")
}

func (r *recovery) Snapshot() (raft.FSMSnapshot, error) {
	if r.err != nil {
		return nil, r.err
	}
	o := fsm.Reopening{Epoch: fsm.NextEpoch(r.state.Epoch(), r.nowMs)}
	o.ClusterID, o.ClusterName = r.state.ClusterID()
	if own := nodeOf(r.state.Nodes(), r.survey.NodeID); own != nil {
		o.Nodes = []*logv1.SetNode{own}
	}
	// The others are gone with their data: should one come back with them, it is told so.
	for _, id := range r.state.RemovedNodes() {
		if id != r.survey.NodeID {
			o.Removed = append(o.Removed, id)
		}
	}
	if r.state.Rules() >= namingRules {
		o.Removed = withOthers(o.Removed, r.survey)
	}
	state, err := fsm.Reopen(r.state, o)
	if err != nil {
		return nil, err
	}
	r.epoch = state.Epoch()
	return persistent{Snapshot: state.Snapshot()}, nil
}

// mostRemoved nodes are remembered.
const mostRemoved = 1024

// withOthers adds the other members to the removed nodes, and lets the oldest go when they are too many.
func withOthers(removed []string, s Survey) []string {
	known := make(map[string]bool)
	for _, id := range removed {
		known[id] = true
	}
	for _, m := range s.Members {
		if m.ID != s.NodeID && !known[m.ID] {
			removed = append(removed, m.ID)
		}
	}
	return removed[max(0, len(removed)-mostRemoved):]
}

// copyDirectory with everything in it, durably. The target must not be there.
func copyDirectory(from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case path == from:
			return nil
		case entry.IsDir():
			return os.Mkdir(target, 0o700)
		case entry.Type().IsRegular():
			return copyFile(path, target)
		}
		return nil // sockets and the like are not data
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
