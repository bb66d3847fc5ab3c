package trace

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Summary of a replay.
type Summary struct {
	// From and To are the log indexes of the state before the first and after the last entry.
	From, To uint64
	// FromMs and ToMs are the machine's wall clock at both.
	FromMs, ToMs      int64
	Batches, Commands uint64
	// Digest of the state at To, and what the trace says of it; nil: it says nothing.
	Digest, Recorded []byte
}

// MismatchError says that a replay gave another state than the one that was recorded.
type MismatchError struct {
	Index     uint64
	Got, Want []byte
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the replay gives digest %s at index %d, but %s was recorded: this binary decides otherwise than the one that recorded, or the trace was changed",
		hex.EncodeToString(e.Got), e.Index, hex.EncodeToString(e.Want))
}

// Visitor sees each step of a replay. Both fields may be nil.
type Visitor struct {
	// Begin gets the state before the first entry.
	Begin func(m *fsm.Machine)
	// Batch gets each batch after it was applied. What it gets must not be changed.
	Batch func(m *fsm.Machine, b *logv1.Batch, out *fsm.Outcome) error
}

// Replay reads the whole file, applies all of it to the machine and compares the digest: *MismatchError.
func Replay(path string, v Visitor) (s Summary, err error) {
	r, err := Open(path)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	m, err := r.Machine()
	if err != nil {
		return s, err
	}
	s.From, s.To = m.AppliedIndex(), m.AppliedIndex()
	s.FromMs, _ = m.Clocks()
	if v.Begin != nil {
		v.Begin(m)
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
		b, out, err := apply(m, e)
		if err != nil {
			return s, fmt.Errorf("%s: %w", path, err)
		}
		s.Batches++
		s.Commands += uint64(len(b.GetCommands()))
		if s.To = e.Index; v.Batch != nil {
			if err := v.Batch(m, b, &out); err != nil {
				return s, err
			}
		}
	}
	s.ToMs, _ = m.Clocks()
	sum, err := m.Snapshot().Digest()
	if err != nil {
		return s, err
	}
	s.Digest, s.Recorded = sum[:], r.End().Digest
	if s.Recorded != nil && !bytes.Equal(s.Recorded, s.Digest) {
		return s, &MismatchError{Index: s.To, Got: s.Digest, Want: s.Recorded}
	}
	return s, nil
}

// apply one entry. A panic is a batch of a later version, or a broken invariant: an error here, where no node has to end.
func apply(m *fsm.Machine, e Entry) (b *logv1.Batch, out fsm.Outcome, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("log entry %d cannot be applied by this version of fairlane: %v", e.Index, cause)
		}
	}()
	b = &logv1.Batch{}
	if err := proto.Unmarshal(e.Batch, b); err != nil {
		return nil, out, fmt.Errorf("log entry %d cannot be read: %w", e.Index, err)
	}
	return b, m.Apply(e.Index, b), nil
}
