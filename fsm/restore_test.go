package fsm_test

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Kinds of frames.
const (
	frameJob      = 4
	frameDecision = 13
	frameChunk    = 14
	frameStream   = 15
)

// changed gives the frames with the message of the first frame of a kind changed.
func changed[T proto.Message](t *testing.T, frames [][]byte, kind byte, msg T, change func(T)) [][]byte {
	t.Helper()
	out := append([][]byte(nil), frames...)
	for i, frame := range out {
		if frame[0] == kind {
			if err := proto.Unmarshal(frame[1:], msg); err != nil {
				t.Fatal(err)
			}
			change(msg)
			out[i] = append([]byte{kind}, wire(msg)...)
			return out
		}
	}
	t.Fatalf("no frame of kind %d", kind)
	return nil
}

// TestRestoreChecksRules2: a snapshot whose check sums are right and whose steps, decisions or output make no sense is refused.
func TestRestoreChecksRules2(t *testing.T) {
	s := newStreaming(1)
	s.apply(outputCommand(1, &logv1.OutputPart{Fence: s.fence, Data: []byte(letters(200_000))}))
	whole := snapshotBytes(t, s.m)
	frames := framesOf(whole)
	if _, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], frames))); err != nil {
		t.Fatal(err)
	}
	job := func(change func(*logv1.JobRecord)) [][]byte {
		return changed(t, frames, frameJob, &logv1.JobRecord{}, change)
	}
	chunk := func(kind byte, change func(*logv1.ChunkRecord)) [][]byte {
		return changed(t, frames, kind, &logv1.ChunkRecord{}, change)
	}
	decision := func(change func(*logv1.DecisionRecord)) [][]byte {
		return changed(t, frames, frameDecision, &logv1.DecisionRecord{}, change)
	}
	for name, bad := range map[string][][]byte{
		"steps of another kind":       job(func(r *logv1.JobRecord) { r.Steps = []byte("garbage") }),
		"a step cut short":            job(func(r *logv1.JobRecord) { r.Steps = r.Steps[:len(r.Steps)-1] }),
		"a step with a broken field":  job(func(r *logv1.JobRecord) { r.Steps = []byte{10, 1, 8} }),
		"a worker that is no text":    job(func(r *logv1.JobRecord) { r.Steps = []byte{10, 3, 34, 1, 255} }),
		"too many steps":              job(func(r *logv1.JobRecord) { r.Steps = bytes.Repeat([]byte{10, 2, 8, 1}, 65) }),
		"a chunk of another job":      chunk(frameChunk, func(r *logv1.ChunkRecord) { r.Job = 9 }),
		"a chunk of another attempt":  chunk(frameChunk, func(r *logv1.ChunkRecord) { r.Attempt = 2 }),
		"a gap between chunks":        chunk(frameChunk, func(r *logv1.ChunkRecord) { r.Data = r.Data[1:] }),
		"a stream of an unknown job":  chunk(frameStream, func(r *logv1.ChunkRecord) { r.Job = 9 }),
		"a stream of a later attempt": chunk(frameStream, func(r *logv1.ChunkRecord) { r.Attempt = 2 }),
		"a last piece elsewhere":      chunk(frameStream, func(r *logv1.ChunkRecord) { r.Offset++ }),
		"a last piece that is long":   chunk(frameStream, func(r *logv1.ChunkRecord) { r.Data = make([]byte, 4096) }),
		"a decision of a later epoch": decision(func(r *logv1.DecisionRecord) { r.Epoch = 2 }),
		"a decision of a later index": decision(func(r *logv1.DecisionRecord) { r.Index = 1 << 40 }),
		"a decision of a later claim": decision(func(r *logv1.DecisionRecord) { r.Fence += 5 }),
	} {
		_, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], bad)))
		var damaged *fsm.DamagedError
		if !errors.As(err, &damaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
