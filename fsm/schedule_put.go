package fsm

import (
	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// putSchedule makes a schedule or changes what it was put as. A change keeps pause, instances, waiting ticks, records and totals, and goes
// on where the leader says; its offset stays as long as what it was drawn for.
func (m *Machine) putSchedule(p *logv1.PutSchedule, res *logv1.Result) {
	if res.Refusal = checkPut(p); res.Refusal != nil {
		return
	}
	def := p.GetSchedule()
	old, ok := m.schedules.Get(def.GetName())
	if !ok {
		m.makeSchedule(p, res)
		return
	}
	if res.Refusal = old.expected(p.GetExpectedRevision()); res.Refusal != nil {
		return
	}
	if proto.Equal(old.def, def) {
		res.Value = scheduleAnswer(old, logv1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED)
		return
	}
	fits := old.follows(p.GetComputedNextMs(), p.GetNextMs(), p.GetPassed())
	if res.Refusal = old.computed(def.GetName(), p.GetComputedFrom(), fits); res.Refusal != nil {
		return
	}
	if more := scheduleBytes(def) - old.size(); more > 0 {
		if res.Refusal = m.roomFor(int(more)); res.Refusal != nil {
			return
		}
	}
	s := m.step(m.scheduleLive[old.id])
	s.passed(p.GetPassed(), logv1.TickReason_TICK_REASON_EDITED)
	s.rec.def, s.rec.next, s.rec.anchor = def, p.GetNextMs(), p.GetAnchorMs()
	if !sameGrid(old.def, def) {
		s.rec.offset = p.GetOffsetMs()
	}
	m.changeSchedule(s)
	m.markPump(s.live)
	res.Value = scheduleAnswer(s.rec, logv1.ScheduleChange_SCHEDULE_CHANGE_UPDATED)
}

func (m *Machine) makeSchedule(p *logv1.PutSchedule, res *logv1.Result) {
	def := p.GetSchedule()
	if p.GetExpectedRevision() != 0 {
		res.Refusal = unknownSchedule(def.GetName())
		return
	}
	res.Refusal = firstOf((*scheduleRec)(nil).computed(def.GetName(), p.GetComputedFrom(), true),
		full("max_schedules", int64(m.schedules.Len()), m.maxSchedules()), m.roomFor(int(scheduleBytes(def))))
	if res.Refusal != nil {
		return
	}
	m.lastSchedule++
	rec := &scheduleRec{id: m.lastSchedule, def: def, revision: m.firstRevision(), offset: p.GetOffsetMs(), anchor: p.GetAnchorMs(), next: p.GetNextMs(),
		created: m.wall, changed: m.wall}
	m.storeSchedule(nil, rec)
	m.event(Event{Kind: ScheduleChanged, Schedule: rec.name()})
	res.Value = scheduleAnswer(rec, logv1.ScheduleChange_SCHEDULE_CHANGE_CREATED)
}

// firstRevision of a new schedule. It is above those of all deleted ones, so who knows a revision of a name never takes another schedule for it.
func (m *Machine) firstRevision() uint64 {
	if m.batch.rules < 5 {
		return 1
	}
	return m.deletedRev + 1
}

// follows: an edit or a resume was computed from the next fire time that the schedule still has, and goes on behind every time that is over. A fire does
// not raise the revision, so without this one that comes between would let a time fire twice, or be counted twice. The change takes effect at the
// instant at which the leader computed it: a next time that is due since then is simply due.
func (r *scheduleRec) follows(computedNext, next int64, passed *logv1.Passed) bool {
	n, first, last := passed.GetCount(), passed.GetFirstMs(), passed.GetLastMs()
	switch {
	case computedNext != r.next, n < 0:
		return false
	case n == 0:
		return next == 0 || next > r.taken
	}
	return first == r.next && first > 0 && last >= first && last <= mostMillis && n-1 <= last-first && (next == 0 || next > max(r.taken, last))
}

// sameGrid: the offset that was drawn for one definition holds for the other.
func sameGrid(a, b *logv1.Schedule) bool {
	return a.GetSpec() == b.GetSpec() && a.GetZone() == b.GetZone() && a.GetJitterMs() == b.GetJitterMs() && a.GetSpread() == b.GetSpread()
}

// changeSchedule stores an edit, a pause or a resume.
func (m *Machine) changeSchedule(s *scheduleStep) {
	s.rec.revision++
	s.rec.changed = m.wall
	s.end()
	m.event(Event{Kind: ScheduleChanged, Schedule: s.rec.name()})
}

func (m *Machine) maxSchedules() int64 {
	if m.settings.MaxSchedules != nil {
		return m.settings.GetMaxSchedules()
	}
	return DefaultSchedules
}

func scheduleAnswer(rec *scheduleRec, change logv1.ScheduleChange) *logv1.Result_Schedule {
	return &logv1.Result_Schedule{Schedule: &logv1.ScheduleResult{Schedule: rec.id, Revision: rec.revision, Change: change, NextMs: rec.next,
		OffsetMs: rec.offset}}
}

// deleteSchedule forgets a schedule. Its jobs stay and run; nothing counts them any more, also if the name is used again.
func (m *Machine) deleteSchedule(d *logv1.DeleteSchedule, res *logv1.Result) {
	rec, ok := m.schedules.Get(d.GetName())
	if !ok {
		res.Refusal = unknownSchedule(d.GetName())
		return
	}
	if res.Refusal = rec.expected(d.GetExpectedRevision()); res.Refusal != nil {
		return
	}
	m.dropSchedule(rec)
	if m.batch.rules >= 5 {
		m.deletedRev = max(m.deletedRev, rec.revision)
	}
	m.event(Event{Kind: ScheduleChanged, Schedule: rec.name()})
	res.Value = scheduleAnswer(rec, logv1.ScheduleChange_SCHEDULE_CHANGE_UNSPECIFIED)
}

// pauseSchedule stops fires alone. The next fire time stays: what goes by until the schedule is resumed is recorded then.
func (m *Machine) pauseSchedule(p *logv1.PauseSchedule, res *logv1.Result) {
	rec, ok := m.schedules.Get(p.GetName())
	if !ok {
		res.Refusal = unknownSchedule(p.GetName())
		return
	}
	if rec.paused {
		res.Value = scheduleAnswer(rec, logv1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED)
		return
	}
	s := m.step(m.scheduleLive[rec.id])
	s.rec.paused = true
	m.changeSchedule(s)
	res.Value = scheduleAnswer(s.rec, logv1.ScheduleChange_SCHEDULE_CHANGE_UPDATED)
}

// resumeSchedule goes on at a fire time that the leader computed. Those that went by are skipped.
func (m *Machine) resumeSchedule(p *logv1.ResumeSchedule, res *logv1.Result) {
	if res.Refusal = within("next_ms", &p.NextMs, 0, mostMillis); res.Refusal != nil {
		return
	}
	rec, ok := m.schedules.Get(p.GetName())
	if !ok {
		res.Refusal = unknownSchedule(p.GetName())
		return
	}
	if !rec.paused {
		res.Value = scheduleAnswer(rec, logv1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED)
		return
	}
	fits := rec.follows(p.GetComputedNextMs(), p.GetNextMs(), p.GetPassed())
	if res.Refusal = rec.computed(rec.name(), p.GetComputedFrom(), fits); res.Refusal != nil {
		return
	}
	s := m.step(m.scheduleLive[rec.id])
	s.passed(p.GetPassed(), logv1.TickReason_TICK_REASON_PAUSED)
	s.rec.paused, s.rec.next = false, p.GetNextMs()
	m.changeSchedule(s)
	res.Value = scheduleAnswer(s.rec, logv1.ScheduleChange_SCHEDULE_CHANGE_UPDATED)
}
