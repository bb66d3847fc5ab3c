package fsm

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Two records that go on from the same one do not write into each other: neither steps nor output share what is behind their end.
func TestRecordsDoNotShare(t *testing.T) {
	one := func(n uint64) []byte { return appendNumber(nil, stepIndex, n) }
	var old []byte
	for n := range uint64(30) { // at every length: some leave room behind their end
		first := appendStep(old, one(100+n))
		want := bytes.Clone(first)
		if appendStep(old, one(200+n)); !bytes.Equal(first, want) {
			t.Errorf("steps after %d: %x, was %x", n, first, want)
		}
		old = appendStep(old, one(1+n))
	}
	data := joined([]byte("abcdefghi"), []byte("j"))
	longer := joined(data, []byte("k"))
	if joined(data, []byte("l")); string(longer) != "abcdefghijk" {
		t.Errorf("output: %q", longer)
	}
}

// What is appended by hand is what the message says, at every length, and in the form that protobuf itself would read.
func TestStepsByHand(t *testing.T) {
	m := New()
	m.batch.rules, m.wall = 2, 77
	rec := &jobRec{job: &logv1.Job{Fence: 1<<40 + 5, Worker: "w", Lane: 3, Attempt: 2}}
	for n := 1; n <= 200; n++ {
		m.index = uint64(n)
		m.note(rec, logv1.StepKind_STEP_KIND_SNOOZED, 99)
		got := &logv1.Steps{}
		if err := proto.Unmarshal(rec.steps, got); err != nil {
			t.Fatal(err)
		}
		last := got.GetSteps()[len(got.GetSteps())-1]
		want := &logv1.Step{Kind: logv1.StepKind_STEP_KIND_SNOOZED, Index: uint64(n), AtMs: 77, Worker: "w", Lane: 3, Fence: 1<<40 + 5, Attempt: 2, UntilMs: 99}
		if !proto.Equal(last, want) || len(got.GetSteps()) != min(n, mostSteps) || int(got.GetDropped()) != max(0, n-mostSteps) {
			t.Fatalf("after %d: %d steps, %d dropped, the last %v", n, len(got.GetSteps()), got.GetDropped(), last)
		}
		if err := checkSteps(rec); err != nil {
			t.Fatal(err)
		}
	}
}
