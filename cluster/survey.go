package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

var keyCurrentTerm = []byte("CurrentTerm") // raft's own

// Survey says what lies in the data directory of a node that does not run.
type Survey struct {
	Dir, NodeID, LogStore string
	// Term that the node had seen, and that of the last entry.
	Term, LastTerm uint64
	// LastIndex of log or snapshot, whichever is later. How much of the log was committed only a running cluster knows.
	LastIndex, FirstIndex, SnapshotIndex uint64
	// ConfigurationIndex of the members below; 0: none is known.
	ConfigurationIndex uint64
	Members            []Member
	// StateIndex of the last batch. The rest is of the state with the whole log.
	StateIndex             uint64
	Epoch, Rules           uint32
	ClusterID, ClusterName string
	Jobs                   int64 // that wait or run
}

// SurveyOffline looks at the data directory of a node that does not run, and applies its log in memory. It changes nothing.
func SurveyOffline(dir string) (_ Survey, err error) {
	o, err := OpenOffline(dir)
	if err != nil {
		return Survey{}, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	s := Survey{Dir: dir, LogStore: o.LogStore, FirstIndex: o.First, SnapshotIndex: o.Snapshot, LastIndex: max(o.Last, o.Snapshot)}
	if s.NodeID, err = nodeID(dir); err != nil {
		return s, err
	}
	if s.Term, err = o.term(); err != nil {
		return s, err
	}
	if err := o.members(&s); err != nil {
		return s, err
	}
	state, err := o.State()
	if err != nil {
		return s, err
	}
	s.StateIndex, s.Epoch, s.Rules = state.AppliedIndex(), state.Epoch(), state.Rules()
	s.ClusterID, s.ClusterName = state.ClusterID()
	for _, q := range state.Queues() {
		c := q.GetCounts()
		s.Jobs += c.GetScheduled() + c.GetPending() + c.GetRunning()
	}
	for i := range s.Members {
		known := nodeOf(state.Nodes(), s.Members[i].ID)
		s.Members[i].APIAddress, s.Members[i].Rules = known.GetApiAddress(), known.GetRules()
	}
	return s, nil
}

// nodeID of a data directory, which is not made if there is none.
func nodeID(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		return "", fmt.Errorf("cluster: read the node id: %w", err)
	}
	id, err := uuid.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("cluster: %s holds no node id: %w", filepath.Join(dir, identityFile), err)
	}
	return id.String(), nil
}

func (o *Offline) term() (uint64, error) {
	term, err := o.stable.GetUint64(keyCurrentTerm)
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return 0, nil
	}
	return term, err
}

// members of the latest configuration, committed or not, and the term of the last entry.
func (o *Offline) members(s *Survey) error {
	configuration := o.snapshot.Configuration
	s.ConfigurationIndex, s.LastTerm = o.snapshot.ConfigurationIndex, o.snapshot.Term
	for index := max(o.First, o.Snapshot+1); o.Last > 0 && index <= o.Last; index++ {
		var entry raft.Log
		if err := o.log.GetLog(index, &entry); err != nil {
			return fmt.Errorf("cluster: log entry %d: %w", index, err)
		}
		s.LastTerm = entry.Term
		if entry.Type == raft.LogConfiguration {
			configuration, s.ConfigurationIndex = raft.DecodeConfiguration(entry.Data), index
		}
	}
	for _, server := range configuration.Servers {
		s.Members = append(s.Members, Member{ID: string(server.ID), RaftAddress: string(server.Address), Voter: isVoter(server)})
	}
	return nil
}

// State with the whole log: entries at its end may never have been committed.
func (o *Offline) State() (_ *fsm.Machine, err error) {
	replay := newReplica()
	snapshot, err := o.OpenSnapshot()
	if err != nil {
		return nil, err
	}
	if snapshot != nil {
		if err := replay.Restore(snapshot); err != nil {
			return nil, err
		}
	}
	err = o.Batches(max(o.Last, o.Snapshot), func(index uint64, data []byte) error {
		replay.Apply(&raft.Log{Index: index, Type: raft.LogCommand, Data: data})
		return replay.err
	})
	return replay.state, err
}

// replica is a machine that nobody serves. The first error stays.
type replica struct {
	state *fsm.Machine
	err   error
}

func newReplica() *replica { return &replica{state: fsm.New()} }

// Apply implements raft.FSM.
func (r *replica) Apply(log *raft.Log) any {
	if r.err != nil || log.Type != raft.LogCommand {
		return nil
	}
	defer func() {
		if cause := recover(); cause != nil {
			r.err = fmt.Errorf("cluster: log entry %d cannot be applied by this version of fairlane: %v", log.Index, cause)
		}
	}()
	batch := &logv1.Batch{}
	if err := proto.Unmarshal(log.Data, batch); err != nil {
		r.err = fmt.Errorf("cluster: log entry %d cannot be read: %w", log.Index, err)
		return nil
	}
	r.state.Apply(log.Index, batch)
	return nil
}
