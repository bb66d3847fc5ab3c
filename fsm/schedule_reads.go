package fsm

import (
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// ScheduleView is a schedule as it is now. Nothing that it points to must be changed.
type ScheduleView struct {
	// Record is what a snapshot holds of it.
	Record *logv1.ScheduleRecord
	// Instances are its jobs that are not over: not final, or with a claim that still lives.
	Instances int
	// Waiting ticks.
	Waiting int
}

func (l *scheduleLive) view() ScheduleView {
	return ScheduleView{Record: l.rec.record(), Instances: l.instances, Waiting: l.lines[lineBacklog] + l.lines[lineQueue]}
}

// Schedule by its name.
func (m *Machine) Schedule(name string) (ScheduleView, bool) {
	rec, ok := m.schedules.Get(name)
	if !ok {
		return ScheduleView{}, false
	}
	return m.scheduleLive[rec.id].view(), true
}

// Instances of a schedule, at most limit: its jobs that are not over, those with a claim first, oldest first, then those that wait, newest first.
// It looks at every live claim, and at 1,000,000 jobs that are not final at most. The messages must not be changed.
func (i *Insight) Instances(name string, limit int) (list []*logv1.Job) {
	schedule, ok := i.schedules.Get(name)
	if !ok || limit < 1 {
		return nil
	}
	claimed := make(map[uint64]bool)
	i.claims.Scan(func(_ uint64, c claim) bool {
		if rec, ok := i.find(c.job); ok && rec.job.ScheduleId == schedule.id {
			list, claimed[c.job] = append(list, rec.job), true
		}
		return len(list) < limit
	})
	looked := 0
	i.jobs.Reverse(func(id uint64, rec *jobRec) bool {
		if looked++; len(list) >= limit || looked > mostScanned {
			return false
		}
		if rec.job.ScheduleId == schedule.id && !claimed[id] {
			list = append(list, rec.job)
		}
		return true
	})
	return list
}

// Schedules by name, those after a name, with a prefix and of a group (empty: all). next: the page is cut here; go on after it. It looks at every
// schedule with the prefix until the page is full.
func (m *Machine) Schedules(prefix, group, after string, limit int) (list []ScheduleView, next string) {
	m.schedules.Ascend(max(prefix, after), func(name string, rec *scheduleRec) bool {
		switch {
		case name == after:
			return true
		case !strings.HasPrefix(name, prefix):
			return false
		case group != "" && rec.def.GetGroup() != group:
			return true
		case len(list) >= max(limit, 1):
			next = list[len(list)-1].Record.GetSchedule().GetName()
			return false
		}
		list = append(list, m.scheduleLive[rec.id].view())
		return true
	})
	return list, next
}

// Ticks of a schedule with a number below before (0: all), newest first. next: go on below it; 0: these are all.
func (m *Machine) Ticks(name string, before uint64, limit int) (list []*logv1.TickRecord, next uint64, known bool) {
	rec, ok := m.schedules.Get(name)
	if !ok {
		return nil, 0, false
	}
	m.ticks.Descend(&logv1.TickRecord{Schedule: rec.id, Number: before - 1}, func(t *logv1.TickRecord) bool { // 0 - 1 is the highest
		if t.Schedule != rec.id {
			return false
		}
		if len(list) >= max(limit, 1) {
			next = list[len(list)-1].Number
			return false
		}
		list = append(list, t)
		return true
	})
	return list, next, true
}

// WaitingTicks of a schedule, oldest first.
func (m *Machine) WaitingTicks(name string, limit int) []*logv1.WaitingTickRecord {
	rec, ok := m.schedules.Get(name)
	if !ok {
		return nil
	}
	var lines [2][]waitingTick
	for line := range lines {
		m.waiting.Ascend(firstOfLine(rec.id, line), func(t waitingTick) bool {
			if t.schedule != rec.id || t.line() != line || len(lines[line]) >= limit {
				return false
			}
			lines[line] = append(lines[line], t)
			return true
		})
	}
	var out []*logv1.WaitingTickRecord
	for a, b := lines[lineBacklog], lines[lineQueue]; len(out) < limit && len(a)+len(b) > 0; {
		if len(b) == 0 || len(a) > 0 && a[0].number < b[0].number {
			out, a = append(out, a[0].record()), a[1:]
		} else {
			out, b = append(out, b[0].record()), b[1:]
		}
	}
	return out
}

// DueSchedules lists schedules whose next fire time plus offset is not after now, by (that, name), at most limit.
func (m *Machine) DueSchedules(nowMs int64, limit int) (list []ScheduleView) {
	m.fires.Scan(func(f nameStamp) bool {
		if f.at > nowMs || len(list) >= limit {
			return false
		}
		rec, _ := m.schedules.Get(f.name)
		list = append(list, m.scheduleLive[rec.id].view())
		return true
	})
	return list
}

// NextFire is the earliest fire time plus offset of all schedules that are not paused.
func (m *Machine) NextFire() (atMs int64, ok bool) {
	first, ok := m.fires.Min()
	return first.at, ok
}

// ScheduleCount is how many schedules there are, and how many of them are paused.
func (m *Machine) ScheduleCount() (schedules, paused int) {
	return m.schedules.Len(), m.pausedSchedules
}

// ScheduleSums are the totals over all schedules that exist, and how many there are. It looks at each of them once.
func (m *Machine) ScheduleSums() (totals *logv1.ScheduleTotals, schedules, paused int) {
	totals = &logv1.ScheduleTotals{}
	m.schedules.Scan(func(_ string, rec *scheduleRec) bool {
		t := &rec.totals
		totals.Fired += t.fired
		totals.Missed += t.missed
		totals.Skipped += t.skipped
		totals.Coalesced += t.coalesced
		totals.Triggered += t.triggered
		totals.Backfilled += t.backfilled
		totals.SumLateMs += t.sumLate
		totals.MostLateMs = max(totals.MostLateMs, t.mostLate)
		if rec.paused {
			paused++
		}
		return true
	})
	return totals, m.schedules.Len(), paused
}
