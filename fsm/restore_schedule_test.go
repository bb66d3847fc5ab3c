package fsm_test

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Kinds of frames since version 3.
const (
	frameHeader   = 1
	frameSchedule = 16
	frameWaiting  = 17
	frameTick     = 18
)

// scheduled is a machine with one schedule, which has a job of its backlog, ticks that wait in both lines, and records.
func scheduled(t *testing.T) *fsm.Machine {
	t.Helper()
	m := fsm.New()
	def := &logv1.Schedule{Name: "s", Spec: "@every 1s", MaxInstances: 1, Overlap: logv1.Overlap_OVERLAP_QUEUE, Template: &logv1.NewJob{Kind: "k"}}
	for i, c := range []*logv1.Command{
		{Op: &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{Schedule: def, NextMs: 1000}}},
		{Op: &logv1.Command_BackfillSchedule{BackfillSchedule: &logv1.BackfillSchedule{Name: "s", ComputedFrom: 1, TimesMs: []int64{1, 2, 3}}}},
		{Op: &logv1.Command_Fire{Fire: &logv1.Fire{Dues: []*logv1.Due{{Schedule: 1, Revision: 1, FirstMs: 1000, LastMs: 1000, Count: 1, NextMs: 2000}}}}},
	} {
		out := m.Apply(uint64(i+1), &logv1.Batch{Rules: 3, NowMs: 1500, Commands: []*logv1.Command{c}})
		if out.Results[0].GetRefusal() != nil {
			t.Fatal(out.Results[0].GetRefusal())
		}
	}
	return m
}

// TestRestoreChecksRules3: a snapshot whose check sums are right and whose schedules, waiting ticks or records make no sense is refused.
func TestRestoreChecksRules3(t *testing.T) {
	whole := snapshotBytes(t, scheduled(t))
	frames := framesOf(whole)
	if _, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], frames))); err != nil {
		t.Fatal(err)
	}
	header := func(change func(*logv1.HeaderRecord)) [][]byte {
		return changed(t, frames, frameHeader, &logv1.HeaderRecord{}, change)
	}
	schedule := func(change func(*logv1.ScheduleRecord)) [][]byte {
		return changed(t, frames, frameSchedule, &logv1.ScheduleRecord{}, change)
	}
	waits := func(change func(*logv1.WaitingTickRecord)) [][]byte {
		return changed(t, frames, frameWaiting, &logv1.WaitingTickRecord{}, change)
	}
	tick := func(change func(*logv1.TickRecord)) [][]byte {
		return changed(t, frames, frameTick, &logv1.TickRecord{}, change)
	}
	job := func(change func(*logv1.JobRecord)) [][]byte {
		return changed(t, frames, frameJob, &logv1.JobRecord{}, change)
	}
	for name, bad := range map[string][][]byte{
		"rules 2":                        header(func(r *logv1.HeaderRecord) { r.Rules = 2 }),
		"fewer schedules than a number":  header(func(r *logv1.HeaderRecord) { r.LastSchedule = 0 }),
		"fewer ticks than a number":      header(func(r *logv1.HeaderRecord) { r.LastTick = 3 }),
		"a schedule without a name":      schedule(func(r *logv1.ScheduleRecord) { r.Schedule.Name = "" }),
		"a schedule without a number":    schedule(func(r *logv1.ScheduleRecord) { r.Id = 0 }),
		"a schedule without a revision":  schedule(func(r *logv1.ScheduleRecord) { r.Revision = 0 }),
		"a schedule without a template":  schedule(func(r *logv1.ScheduleRecord) { r.Schedule.Template = nil }),
		"a schedule with no instances":   schedule(func(r *logv1.ScheduleRecord) { r.Schedule.MaxInstances = 0 }),
		"no schedule":                    schedule(func(r *logv1.ScheduleRecord) { r.Schedule = nil }),
		"a next time that is over":       schedule(func(r *logv1.ScheduleRecord) { r.TakenMs = r.NextMs }),
		"an offset without jitter":       schedule(func(r *logv1.ScheduleRecord) { r.OffsetMs = 1 }),
		"lateness without a fire":        schedule(func(r *logv1.ScheduleRecord) { r.Totals.SumLateMs = 1 }),
		"one lateness above the most":    schedule(func(r *logv1.ScheduleRecord) { r.Totals.LastLateMs = 1 }),
		"a last job that was never made": schedule(func(r *logv1.ScheduleRecord) { r.LastJob = 7 }),
		"a tick waits for nothing":       waits(func(r *logv1.WaitingTickRecord) { r.Schedule = 2 }),
		"a waiting tick of no cause":     waits(func(r *logv1.WaitingTickRecord) { r.Cause = 0 }),
		"a waiting trigger":              waits(func(r *logv1.WaitingTickRecord) { r.Cause = logv1.FireCause_FIRE_CAUSE_TRIGGER }),
		"a waiting tick of no time":      waits(func(r *logv1.WaitingTickRecord) { r.FireMs = 0 }),
		"a waiting tick without number":  waits(func(r *logv1.WaitingTickRecord) { r.Number = 0 }),
		"a number twice":                 waits(func(r *logv1.WaitingTickRecord) { r.Number = 4 }),
		"a record of nothing":            tick(func(r *logv1.TickRecord) { r.Schedule = 2 }),
		"a record without a number":      tick(func(r *logv1.TickRecord) { r.Number = 0 }),
		"a record of no time":            tick(func(r *logv1.TickRecord) { r.FirstMs = 0 }),
		"a record that ends first":       tick(func(r *logv1.TickRecord) { r.LastMs-- }),
		"a record of no tick":            tick(func(r *logv1.TickRecord) { r.Count = 0 }),
		"a record without its job":       tick(func(r *logv1.TickRecord) { r.Job = 0 }),
		"a record of a later index":      tick(func(r *logv1.TickRecord) { r.Index = 99 }),
		"a reason of another result":     tick(func(r *logv1.TickRecord) { r.Reason = logv1.TickReason_TICK_REASON_GRACE }),
		"an unknown reason":              tick(func(r *logv1.TickRecord) { r.Reason = 99 }),
		"a refusal of a fire":            tick(func(r *logv1.TickRecord) { r.Refusal = &logv1.Refusal{} }),
		"a job of a later schedule":      job(func(r *logv1.JobRecord) { r.Job.ScheduleId = 2 }),
		"a job of a nameless schedule":   job(func(r *logv1.JobRecord) { r.Job.Schedule = "" }),
		"a job without a cause":          job(func(r *logv1.JobRecord) { r.Job.FireCause = 0 }),
		"a job of an unknown cause":      job(func(r *logv1.JobRecord) { r.Job.FireCause = 9 }),
		"two jobs of the backlog":        twice(t, frames),
	} {
		_, err := fsm.Restore(bytes.NewReader(sealed(whole[:headSize], bad)))
		var damaged *fsm.DamagedError
		if !errors.As(err, &damaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// twice adds a second job like the first, and what belongs to it.
func twice(t *testing.T, frames [][]byte) (out [][]byte) {
	t.Helper()
	for _, frame := range changed(t, frames, frameHeader, &logv1.HeaderRecord{}, func(r *logv1.HeaderRecord) { r.LastJob, r.LastPlace = 2, 2 }) {
		out = append(out, frame)
		if frame[0] == frameJob {
			r := &logv1.JobRecord{}
			if err := proto.Unmarshal(frame[1:], r); err != nil {
				t.Fatal(err)
			}
			r.Job.Id, r.Job.Place = 2, 2
			out = append(out, append([]byte{frameJob}, wire(r)...))
		}
	}
	return out
}

// TestPumpIsBounded: one batch starts or drops at most 65,536 waiting ticks; the rest comes in the next ones, also of a machine that was
// restored between, and nothing of schedules that are deleted between.
func TestPumpIsBounded(t *testing.T) {
	const schedules, ticks, most = 140, 1000, 65_536
	m := fsm.New()
	var commands, jobs, deletes []*logv1.Command
	times := make([]int64, ticks)
	for i := range times {
		times[i] = int64(1001 + i)
	}
	for i := range uint64(schedules) {
		name := "s" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		def := &logv1.Schedule{Name: name, Spec: "@every 1ms", MaxInstances: 1, Overlap: logv1.Overlap_OVERLAP_QUEUE, MisfireGraceMs: proto.Int64(10_000),
			CatchUp: logv1.CatchUp_CATCH_UP_ALL, Template: &logv1.NewJob{Kind: "k"}}
		commands = append(commands, &logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{Schedule: def, NextMs: times[0]}}},
			&logv1.Command{Op: &logv1.Command_TriggerSchedule{TriggerSchedule: &logv1.TriggerSchedule{Name: name}}},
			&logv1.Command{Op: &logv1.Command_Fire{Fire: &logv1.Fire{Dues: []*logv1.Due{{Schedule: i + 1, Revision: 1, FirstMs: times[0],
				LastMs: times[ticks-1], Count: ticks, TimesMs: times, NextMs: 9000}}}}})
		jobs = append(jobs, &logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: i + 1}}})
		deletes = append(deletes, &logv1.Command{Op: &logv1.Command_DeleteSchedule{DeleteSchedule: &logv1.DeleteSchedule{Name: name}}})
	}
	m.Apply(1, &logv1.Batch{Rules: 3, NowMs: 2500, Commands: commands})
	waiting := func(m *fsm.Machine) (n int) {
		list, _ := m.Schedules("", "", "", schedules)
		for _, v := range list {
			n += v.Waiting
		}
		return n
	}
	if waiting(m) != schedules*ticks {
		t.Fatalf("%d ticks wait", waiting(m))
	}
	if out := m.Apply(2, &logv1.Batch{Rules: 3, NowMs: 100_000, Commands: jobs}); !out.More || waiting(m) != schedules*ticks-most {
		t.Fatalf("more %v, %d ticks wait", out.More, waiting(m))
	}
	half, err := restored(m)
	if err != nil {
		t.Fatal(err)
	}
	if deleted, err := restored(m); err != nil {
		t.Fatal(err)
	} else { // while ticks of theirs are left over
		deleted.Apply(3, &logv1.Batch{Rules: 3, NowMs: 100_000, Commands: deletes})
		if at, _, _, _ := deleted.NextTimers(); deleted.CheckInvariants() != nil || at <= 100_000 {
			t.Fatalf("deleted: a timer is due at %d, %v", at, deleted.CheckInvariants())
		}
	}
	for index := uint64(3); index <= 4; index++ {
		b := &logv1.Batch{Rules: 3, NowMs: 100_000}
		out, other := m.Apply(index, b), half.Apply(index, b)
		if left := max(0, schedules*ticks-int(index-1)*most); waiting(m) != left || out.More != (left > 0) || other.More != out.More {
			t.Fatalf("index %d: more %v, %d ticks wait", index, out.More, waiting(m))
		}
		if err := m.CheckInvariants(); err != nil || digest(t, m) != digest(t, half) {
			t.Fatalf("index %d: the machine and the restored one differ: %v", index, err)
		}
	}
	if totals, _, _ := m.ScheduleSums(); totals.GetMissed() != schedules*ticks {
		t.Fatalf("%v", totals)
	}
}
