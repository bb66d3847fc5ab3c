package fsm_test

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestEmptyCommands: commands without what belongs in them, or with empty parts, do not stop the machine: one in the log would stop every node.
func TestEmptyCommands(t *testing.T) {
	fields := (&logv1.Command{}).ProtoReflect().Descriptor().Oneofs().ByName("op").Fields()
	for i := range fields.Len() {
		for depth := range 4 {
			c := &logv1.Command{}
			fillEmpty(c.ProtoReflect().Mutable(fields.Get(i)).Message(), depth)
			for _, m := range []*fsm.Machine{fsm.New(), runHistory(3, 30)} {
				_, fault := tryApply(m, m.AppliedIndex()+1, &logv1.Batch{Rules: fsm.Rules, Commands: []*logv1.Command{c}})
				if fault != nil {
					t.Errorf("%v: panic: %v", c, fault)
				} else if err := m.CheckInvariants(); err != nil {
					t.Errorf("%v: %v", c, err)
				}
			}
		}
	}
}

// fillEmpty sets messages of a message, and one in each of its lists, to such a depth; all other fields stay empty.
func fillEmpty(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case depth == 0 || f.Kind() != protoreflect.MessageKind || f.ContainingOneof() != nil:
		case f.IsList():
			fillEmpty(m.Mutable(f).List().AppendMutable().Message(), depth-1)
		default:
			fillEmpty(m.Mutable(f).Message(), depth-1)
		}
	}
}

// TestRefusedChangesNothing: a command about schedules that is refused, or has nothing to change, leaves the state of random histories as it was
// (docs/design.md §3 law 4).
func TestRefusedChangesNothing(t *testing.T) {
	refused := 0
	eachSeed(t, func(seed uint64) error {
		h, m := newHistory(seed), fsm.New()
		for range *batches {
			b := h.batch()
			for _, c := range b.Commands {
				if fsm.Needs(c) != 3 || c.GetEnqueue() != nil || !h.one(10) {
					continue
				}
				after := [2]*fsm.Machine{}
				var res *logv1.Result
				for i, what := range []*logv1.Command{{Op: c.Op}, {Op: &logv1.Command_Checkpoint{Checkpoint: &logv1.Checkpoint{}}}} {
					var err error
					if after[i], err = restored(m); err != nil {
						return err
					}
					out := after[i].Apply(h.index, &logv1.Batch{Rules: b.Rules, NowMs: b.NowMs, Commands: []*logv1.Command{what}})
					if i == 0 {
						res = out.Results[0]
					}
				}
				if !changesNothing(res) {
					continue
				}
				refused++
				if digest(t, after[0]) != digest(t, after[1]) {
					return errors.Join(fmt.Errorf("index %d: %v: %v, and the state is another", h.index, c, res), after[0].CheckInvariants())
				}
			}
			h.observe(b, m.Apply(h.index, b))
		}
		return nil
	})
	if t.Logf("%d commands were refused or changed nothing", refused); refused < *histories {
		t.Error("too few")
	}
}

func changesNothing(res *logv1.Result) bool {
	for _, s := range res.GetFire().GetStatuses() {
		if s == logv1.FireStatus_FIRE_STATUS_OK {
			return false
		}
	}
	return res.GetRefusal() != nil || res.GetFire() != nil || res.GetSchedule().GetChange() == logv1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED
}
