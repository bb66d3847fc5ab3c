package fsm_test

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// FuzzApply decodes arbitrary bytes as a batch and applies it to a machine with some state. Only an unknown command may panic; the
// answers come by position, the invariants hold, and a twin agrees.
func FuzzApply(f *testing.F) {
	for seed := uint64(1); seed <= 20; seed++ {
		h := newHistory(seed)
		h.sessions = []*drawnSession{{id: 1, name: "w", nonce: 1, lanes: lanesOf("*:2"), fences: []uint64{1<<40 + 1}, lowest: 1}}
		h.jobs, h.index = 3, 10
		for range 3 {
			f.Add(wire(h.batch()))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &logv1.Batch{}
		if proto.Unmarshal(data, b) != nil {
			return
		}
		b.Rules = 1
		m, twin := runHistory(uint64(len(data)%8+1), 12), runHistory(uint64(len(data)%8+1), 12)
		index := m.AppliedIndex() + 1
		out, fault := tryApply(m, index, b)
		if fault != nil {
			err, isErr := fault.(error)
			var unknown *fsm.UnknownCommandError
			if !isErr || !errors.As(err, &unknown) {
				t.Fatalf("panic: %v", fault)
			}
			return
		}
		if len(out.Results) != len(b.GetCommands()) {
			t.Fatalf("%d answers to %d commands", len(out.Results), len(b.GetCommands()))
		}
		for i, res := range out.Results {
			if res == nil {
				t.Fatalf("no answer to %v", b.Commands[i])
			}
		}
		if err := m.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		twin.Apply(index, b)
		back, err := restored(m)
		if err != nil {
			t.Fatal(err)
		}
		if d := digest(t, m); d != digest(t, twin) || d != digest(t, back) {
			t.Fatal("the machine, its twin and the restored one differ")
		}
	})
}

// FuzzRestore restores arbitrary bytes: a machine or an error, never a panic.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add(snapshotBytes(f, fsm.New()))
	for seed := uint64(1); seed <= 5; seed++ {
		f.Add(snapshotBytes(f, runHistory(seed, 20)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := fsm.Restore(bytes.NewReader(data))
		if err != nil {
			return
		}
		if err := m.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(snapshotBytes(t, m), data) {
			t.Fatal("what was restored does not write what was read")
		}
	})
}
