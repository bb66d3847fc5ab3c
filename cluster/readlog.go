package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// MostLogEntries that ReadLog gives at once.
	MostLogEntries = 1000
	// mostLogBytes of entries that ReadLog reads at once; the first is given whatever its size.
	mostLogBytes = 4 << 20
	// logLook is how often ReadLog looks whether the entry that it waits for is committed.
	logLook = 20 * time.Millisecond
)

// LogRecord is one entry of a node's log.
type LogRecord struct {
	Index, Term uint64
	// Type: commands, configuration, barrier or noop.
	Type string
	// At is when the leader of that time appended it, by its clock; zero: it is not known.
	At time.Time
	// Data of an entry of commands is an encoded batch, of a configuration raft's own. It must not be changed.
	Data []byte
	// Committed: it stands. Another entry may still take the place of one that is not.
	Committed bool
}

// LogPage is a part of a node's log, and how much there is of it.
type LogPage struct {
	Entries []LogRecord
	// First and Last index of the log; 0: it is empty. Commit is the index up to which this node knows that it stands.
	First, Last, Commit uint64
}

// NoEntryError says that the log does not hold the entry: it lies in a snapshot, or was not written yet.
type NoEntryError struct{ Index, First, Last uint64 }

func (e *NoEntryError) Error() string {
	return fmt.Sprintf("log entry %d is not in the log, which holds %d to %d", e.Index, e.First, e.Last)
}

// ReadLog gives entries of this node's own log from an index on, up to limit (1 to 1,000) of them and about 4 MiB; index 0: the last ones. It waits
// until the first is committed, but not longer than wait, and then gives what there is: perhaps nothing, or entries that are not committed.
// *NoEntryError: the first entry is compacted away, or, without wait, further ahead than the next. Disk reads; Apply is not held up.
func (n *Node) ReadLog(ctx context.Context, from uint64, limit int, wait time.Duration) (LogPage, error) {
	limit = max(1, min(limit, MostLogEntries))
	if err := n.waitCommitted(ctx, from, wait); err != nil {
		return LogPage{}, err
	}
	commit := n.raft.CommitIndex()
	first, err := n.stores.log.FirstIndex()
	if err != nil {
		return LogPage{}, n.logError(err)
	}
	last, err := n.stores.log.LastIndex()
	if err != nil {
		return LogPage{}, n.logError(err)
	}
	page := LogPage{First: first, Last: last, Commit: commit}
	switch {
	case from == 0:
		from = max(first, last-min(last, uint64(limit))+1)
	case from < first || from > last+1 && wait == 0:
		return LogPage{}, &NoEntryError{from, first, last}
	}
	page.Entries, err = readEntries(n.stores.log, from, last, limit, commit)
	return page, n.logError(err)
}

// readEntries from an index up to last. An entry that went meanwhile ends the list: the log was cut there.
func readEntries(log raft.LogStore, from, last uint64, limit int, commit uint64) (list []LogRecord, err error) {
	bytes := 0
	for at := from; at <= last && at > 0 && len(list) < limit && bytes < mostLogBytes; at++ {
		var entry raft.Log
		if err := log.GetLog(at, &entry); errors.Is(err, raft.ErrLogNotFound) && (len(list) > 0 || at > commit) {
			return list, nil
		} else if err != nil {
			return nil, err
		}
		bytes += len(entry.Data)
		list = append(list, record(&entry, commit))
	}
	return list, nil
}

func record(entry *raft.Log, commit uint64) LogRecord {
	return LogRecord{Index: entry.Index, Term: entry.Term, Type: entryType(entry.Type), At: entry.AppendedAt, Data: entry.Data, Committed: entry.Index <= commit}
}

func entryType(t raft.LogType) string {
	switch t {
	case raft.LogCommand:
		return "commands"
	case raft.LogConfiguration:
		return "configuration"
	case raft.LogBarrier:
		return "barrier"
	case raft.LogNoop:
		return "noop"
	}
	return fmt.Sprintf("type %d", t)
}

func (n *Node) waitCommitted(ctx context.Context, index uint64, wait time.Duration) error {
	look := time.NewTicker(logLook)
	defer look.Stop()
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for n.raft.CommitIndex() < index && wait > 0 {
		select {
		case <-look.C:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-n.closing:
			return ErrShutdown
		}
	}
	return nil
}

func (n *Node) logError(err error) error {
	switch {
	case err == nil:
		return nil
	case n.isClosing():
		return ErrShutdown
	}
	return fmt.Errorf("cluster: read the log: %w", err)
}

// Entry of the log; *NoEntryError when it does not hold it. Committed is false: only a running cluster knows.
func (o *Offline) Entry(index uint64) (LogRecord, error) {
	var entry raft.Log
	if index < o.First || index > o.Last || index == 0 {
		return LogRecord{}, &NoEntryError{index, o.First, o.Last}
	}
	if err := o.log.GetLog(index, &entry); err != nil {
		return LogRecord{}, fmt.Errorf("cluster: log entry %d: %w", index, err)
	}
	return record(&entry, 0), nil
}

// ConfigurationMembers decodes the data of an entry of the type configuration.
func ConfigurationMembers(data []byte) (members []Member, err error) {
	defer func() { // raft panics for what it cannot read
		if cause := recover(); cause != nil {
			err = fmt.Errorf("cluster: a configuration cannot be read: %v", cause)
		}
	}()
	for _, server := range raft.DecodeConfiguration(data).Servers {
		members = append(members, Member{ID: string(server.ID), RaftAddress: string(server.Address), Voter: isVoter(server)})
	}
	return members, nil
}
