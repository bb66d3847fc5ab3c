package cluster

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// agreeing keeps the log in agreement with an installed snapshot. raft keeps a log that contradicts the snapshot at its index, and then
// refuses every entry that follows: the leader sends the snapshot again, for ever (hashicorp/raft #697). With raft-wal raft throws the whole log away
// but still believes in its former end, with the same effect. Here a log that contradicts is thrown away (rule 7 of figure 13 of the Raft
// paper), and raft is answered as if there were entries of no term up to the end that it believes in: they lose against any real one.
type agreeing struct {
	raft.LogStore

	mu          sync.Mutex
	index, term uint64 // of the newest snapshot
	believed    uint64 // raft may ask for entries up to here that are gone; not above index: none
}

// snapshotKept is told of every snapshot that was written wholly, before raft uses it.
func (a *agreeing) snapshotKept(index, term uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if index < a.index {
		return nil
	}
	last, err := a.LogStore.LastIndex()
	if err != nil {
		return err
	}
	a.index, a.term, a.believed = index, term, max(last, a.believed)
	var entry raft.Log
	switch err := a.LogStore.GetLog(index, &entry); {
	case errors.Is(err, raft.ErrLogNotFound), err == nil && entry.Term == term:
		return nil
	case err != nil:
		return err
	}
	first, err := a.LogStore.FirstIndex()
	if err != nil {
		return err
	}
	return a.LogStore.DeleteRange(first, last)
}

func (a *agreeing) GetLog(index uint64, log *raft.Log) error {
	err := a.LogStore.GetLog(index, log)
	if !errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case index == a.index && a.believed >= index:
		*log = raft.Log{Index: index, Term: a.term, Type: raft.LogNoop}
	case index > a.index && index <= a.believed:
		*log = raft.Log{Index: index, Type: raft.LogNoop} // no entry has term 0
	default:
		return err
	}
	return nil
}

func (a *agreeing) StoreLog(log *raft.Log) error { return a.StoreLogs([]*raft.Log{log}) }

func (a *agreeing) StoreLogs(logs []*raft.Log) error {
	err := a.LogStore.StoreLogs(logs)
	if err == nil {
		a.mu.Lock()
		a.believed = 0 // raft has a new end
		a.mu.Unlock()
	}
	return err
}

// DeleteRange of entries that are gone already is done.
func (a *agreeing) DeleteRange(lowest, highest uint64) error {
	last, err := a.LogStore.LastIndex()
	if err != nil {
		return err
	}
	if last == 0 || lowest > last {
		return nil
	}
	return a.LogStore.DeleteRange(lowest, highest)
}

// IsMonotonic passes on what the store says.
func (a *agreeing) IsMonotonic() bool {
	store, ok := a.LogStore.(raft.MonotonicLogStore)
	return ok && store.IsMonotonic()
}

// agreeingSnapshots tells the log of each snapshot.
type agreeingSnapshots struct {
	raft.SnapshotStore
	log *agreeing
}

func (s *agreeingSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, wire raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, wire)
	if err != nil {
		return nil, err
	}
	return &agreeingSink{SnapshotSink: sink, log: s.log, index: index, term: term}, nil
}

type agreeingSink struct {
	raft.SnapshotSink
	log         *agreeing
	index, term uint64
}

func (s *agreeingSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		return err
	}
	if err := s.log.snapshotKept(s.index, s.term); err != nil {
		return fmt.Errorf("cluster: the log does not agree with a snapshot: %w", err)
	}
	return nil
}

// agreeAtStart heals a log that an older version, or a crash between the two, left in contradiction to the newest snapshot.
func agreeAtStart(log *agreeing, snapshots raft.SnapshotStore) error {
	list, err := snapshots.List()
	if err != nil || len(list) == 0 {
		return err
	}
	if err := log.snapshotKept(list[0].Index, list[0].Term); err != nil {
		return fmt.Errorf("cluster: the log does not agree with the newest snapshot: %w", err)
	}
	log.believed = 0 // raft reads the end of the log anew
	return nil
}
