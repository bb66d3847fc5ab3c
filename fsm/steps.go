package fsm

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// A job keeps its steps as an encoded logv1.Steps: perhaps the number of those that were dropped, then the steps. One is appended by hand,
// without reading the others: it happens at each of the three or more transitions of every job, and a decoded list would be rebuilt at
// each. The bytes are never changed; a new step makes a new slice.

// mostSteps of a job are kept: the first, and the newest of the others. It belongs to Rules.
const mostSteps = 64

// leastStep is the fewest bytes of an encoded step: so many that a short list need not be counted.
const leastStep = 6

// Fields of logv1.Steps and logv1.Step.
const (
	stepsStep    = protowire.Number(1)
	stepsDropped = protowire.Number(2)
	stepKind     = protowire.Number(1)
	stepIndex    = protowire.Number(2)
	stepAt       = protowire.Number(3)
	stepWorker   = protowire.Number(4)
	stepLane     = protowire.Number(5)
	stepFence    = protowire.Number(6)
	stepAttempt  = protowire.Number(7)
	stepUntil    = protowire.Number(8)
)

// note appends a step to an edit, before what its claim was is cleared. until: the instant that the job waits for; 0: none.
func (m *Machine) note(rec *jobRec, kind logv1.StepKind, until int64) {
	if m.batch.rules < 2 {
		return
	}
	var space [512]byte // more than the longest step, so it stays off the heap
	one := appendNumber(space[:0], stepKind, uint64(kind))
	one = appendNumber(one, stepIndex, m.index)
	one = appendNumber(one, stepAt, uint64(m.wall))
	if j := rec.job; j.Fence != 0 && kind != logv1.StepKind_STEP_KIND_RETRIED_BY_HAND {
		if j.Worker != "" {
			one = protowire.AppendString(protowire.AppendTag(one, stepWorker, protowire.BytesType), j.Worker)
		}
		one = appendNumber(one, stepLane, uint64(j.Lane))
		one = appendNumber(one, stepFence, j.Fence)
		one = appendNumber(one, stepAttempt, uint64(j.Attempt))
	}
	one = appendNumber(one, stepUntil, uint64(until))
	rec.steps = appendStep(rec.steps, one)
}

func appendNumber(b []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

// appendStep returns a new slice: the old one belongs to a record that others may read.
func appendStep(old, one []byte) []byte {
	head, kept := old, []byte(nil)
	if len(old) >= mostSteps*leastStep {
		if parts, err := readSteps(old); err == nil && len(parts.steps) >= mostSteps {
			head, kept = parts.withoutSecond()
		}
	}
	out := make([]byte, 0, len(head)+len(kept)+protowire.SizeTag(stepsStep)+protowire.SizeBytes(len(one)))
	out = append(append(out, head...), kept...)
	return protowire.AppendBytes(protowire.AppendTag(out, stepsStep, protowire.BytesType), one)
}

// stepParts are the fields of an encoded list, each with its tag.
type stepParts struct {
	dropped uint64
	steps   [][]byte
}

// withoutSecond gives what comes before the second step, with one more dropped, and what comes after it.
func (p stepParts) withoutSecond() (head, kept []byte) {
	head = append(appendNumber(nil, stepsDropped, p.dropped+1), p.steps[0]...)
	for _, s := range p.steps[2:] {
		kept = append(kept, s...)
	}
	return head, kept
}

// readable: every step holds the fields of a logv1.Step.
func (p stepParts) readable() bool {
	for _, s := range p.steps {
		_, _, tag := protowire.ConsumeTag(s)
		body, n := protowire.ConsumeBytes(s[tag:])
		for n >= 0 && len(body) > 0 {
			var field protowire.Number
			var kind protowire.Type
			if field, kind, n = protowire.ConsumeTag(body); n < 0 || (kind == protowire.BytesType) != (field == stepWorker) {
				return false
			}
			size := protowire.ConsumeFieldValue(field, kind, body[n:])
			if size < 0 {
				return false
			}
			if text, _ := protowire.ConsumeString(body[n:]); field == stepWorker && !utf8.ValidString(text) {
				return false
			}
			body = body[n+size:]
		}
		if n < 0 {
			return false
		}
	}
	return true
}

// readSteps takes an encoded list apart; a list that appendStep did not make is an error.
func readSteps(b []byte) (p stepParts, err error) {
	wrong := func() (stepParts, error) { return stepParts{}, fmt.Errorf("the steps of a job cannot be read") }
	for at := 0; at < len(b); {
		field, kind, n := protowire.ConsumeTag(b[at:])
		if n < 0 {
			return wrong()
		}
		size := protowire.ConsumeFieldValue(field, kind, b[at+n:])
		switch {
		case size < 0:
			return wrong()
		case field == stepsDropped && kind == protowire.VarintType && at == 0:
			p.dropped, _ = protowire.ConsumeVarint(b[n:])
		case field == stepsStep && kind == protowire.BytesType:
			p.steps = append(p.steps, b[at:at+n+size])
		default:
			return wrong()
		}
		at += n + size
	}
	return p, nil
}
