package rpc

import (
	"context"
	"errors"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/rpc/logwords"
)

const (
	// logEntries that ReadLog gives when it is not told how many.
	logEntries = 20
	// maxLogWaitMs for an entry that is not there yet.
	maxLogWaitMs = 30_000
	// maxLogText bytes of words in one answer; the first entry is given whatever its size (256 KiB of commands, so some MiB of words).
	maxLogText = 1 << 20
)

func checkReadLog(r *v1.ReadLogRequest) error {
	var f fields
	f.between("limit", int64(r.GetLimit()), 0, cluster.MostLogEntries, "entries (0: 20)")
	f.between("wait_ms", r.GetWaitMs(), 0, maxLogWaitMs, "ms")
	return f.result()
}

// ReadLog is of this node alone and never forwarded. It may give fewer entries than were asked for; who wants more asks from the next one on.
func (s *clusterService) ReadLog(ctx context.Context, r *v1.ReadLogRequest) (*v1.ReadLogResponse, error) {
	if err := checkReadLog(r); err != nil {
		return nil, err
	}
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = logEntries
	}
	page, err := s.node.ReadLog(ctx, r.GetFrom(), limit, time.Duration(r.GetWaitMs())*time.Millisecond)
	var none *cluster.NoEntryError
	if errors.As(err, &none) {
		return nil, problem(LogCompacted, "index", number(none.Index), "node_id", s.node.ID(), "first", number(none.First), "last", number(none.Last))
	}
	if err != nil {
		return nil, s.failure(err)
	}
	out := &v1.ReadLogResponse{FirstIndex: page.First, LastIndex: page.Last, CommitIndex: page.Commit}
	text := 0
	for _, record := range page.Entries {
		entry := LogEntryOf(record)
		for _, line := range entry.GetLines() {
			text += len(line)
		}
		if text > maxLogText && len(out.Entries) > 0 {
			break
		}
		out.Entries = append(out.Entries, entry)
	}
	return out, nil
}

// LogEntryOf puts an entry of the log into words.
func LogEntryOf(record cluster.LogRecord) *v1.LogEntry {
	entry := &v1.LogEntry{Index: record.Index, Term: record.Term, Type: record.Type, Bytes: int32(len(record.Data)), Committed: record.Committed}
	if !record.At.IsZero() {
		entry.AtMs = record.At.UnixMilli()
	}
	switch record.Type {
	case "commands":
		entry.Rules, entry.Lines = logwords.Read(record.Data)
	case "configuration":
		entry.Lines = configurationWords(record.Data)
	}
	return entry
}

func configurationWords(data []byte) (lines []string) {
	members, err := cluster.ConfigurationMembers(data)
	if err != nil {
		return []string{"this configuration cannot be read by this version"}
	}
	for _, m := range members {
		voter := "only follows"
		if m.Voter {
			voter = "votes"
		}
		lines = append(lines, "member "+m.ID+" at "+m.RaftAddress+" "+voter)
	}
	return lines
}
