package fsm_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestRestoreChecksRules4: a snapshot whose check sums are right and whose identity or removed nodes make no sense is refused.
func TestRestoreChecksRules4(t *testing.T) {
	m := fsm.New()
	m.Apply(1, &logv1.Batch{Rules: 4, Commands: []*logv1.Command{
		{Op: &logv1.Command_NameCluster{NameCluster: &logv1.NameCluster{Id: "c1", Name: "fairlane"}}},
		{Op: &logv1.Command_SetNode{SetNode: &logv1.SetNode{Id: "a"}}},
		{Op: &logv1.Command_ForgetNode{ForgetNode: &logv1.ForgetNode{Id: "b"}}},
	}})
	whole := snapshotBytes(t, m)
	frames := framesOf(whole)
	if back, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], frames))); err != nil || digest(t, back) != digest(t, m) || !back.Removed("b") {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*logv1.HeaderRecord){
		"rules 3":                     func(r *logv1.HeaderRecord) { r.Rules = 3 },
		"an id without a name":        func(r *logv1.HeaderRecord) { r.ClusterName = "" },
		"a name without an id":        func(r *logv1.HeaderRecord) { r.ClusterId = "" },
		"a removed node with record":  func(r *logv1.HeaderRecord) { r.RemovedNodes = []string{"a"} },
		"a removed node twice":        func(r *logv1.HeaderRecord) { r.RemovedNodes = []string{"b", "b"} },
		"a removed node without name": func(r *logv1.HeaderRecord) { r.RemovedNodes = []string{""} },
	} {
		bad := changed(t, frames, frameHeader, &logv1.HeaderRecord{}, change)
		var damaged *fsm.DamagedError
		if _, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], bad))); !errors.As(err, &damaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Fields of rules 4 in a state of rules 3, whose version says so, too.
	old := fsm.New()
	old.Apply(1, &logv1.Batch{Rules: 3})
	whole = snapshotBytes(t, old)
	bad := changed(t, framesOf(whole), frameHeader, &logv1.HeaderRecord{}, func(r *logv1.HeaderRecord) { r.RemovedNodes = []string{"b"} })
	var damaged *fsm.DamagedError
	if _, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], bad))); !errors.As(err, &damaged) {
		t.Errorf("removed nodes under rules 3: %v", err)
	}
}
