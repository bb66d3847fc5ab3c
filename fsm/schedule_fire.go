package fsm

import (
	"slices"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// fire takes what is due of schedules, each for itself: a fire time is taken once, because it must be the next of its schedule. The work is bounded by
// the command: its dues, and the times that they list.
func (m *Machine) fire(f *logv1.Fire, res *logv1.Result) {
	if n := len(f.GetDues()); n > mostDues {
		res.Refusal = invalid("dues", decimal(int64(n)), "at most 1024")
		return
	}
	out := &logv1.FireResult{Statuses: make([]logv1.FireStatus, len(f.GetDues()))}
	for i, d := range f.GetDues() {
		live := m.scheduleLive[d.GetSchedule()]
		if out.Statuses[i] = m.checkDue(live, d); out.Statuses[i] == logv1.FireStatus_FIRE_STATUS_OK {
			m.fireDue(live, d)
		}
	}
	res.Value = &logv1.Result_Fire{Fire: out}
}

func (m *Machine) checkDue(live *scheduleLive, d *logv1.Due) logv1.FireStatus {
	switch {
	case live == nil || live.rec.paused || live.rec.next == 0 || live.rec.revision != d.GetRevision() || live.rec.next != d.GetFirstMs():
		return logv1.FireStatus_FIRE_STATUS_STALE
	case d.GetLastMs() > m.wall-live.rec.offset:
		return logv1.FireStatus_FIRE_STATUS_EARLY
	case !wellFormed(live.rec.def.GetCatchUp(), d):
		return logv1.FireStatus_FIRE_STATUS_STALE
	}
	return logv1.FireStatus_FIRE_STATUS_OK
}

// wellFormed: the times of a due fit together, and are those that the schedule's catch-up needs.
func wellFormed(c logv1.CatchUp, d *logv1.Due) bool {
	first, last, next, n := d.GetFirstMs(), d.GetLastMs(), d.GetNextMs(), d.GetCount()
	times := d.GetTimesMs()
	switch {
	case n < 1 || last < first || (n == 1) != (first == last) || n-1 > last-first,
		next != 0 && (next <= last || next > mostMillis), d.GetPeriodMs() < 0,
		len(times) > mostBacklog+1 || int64(len(times)) > n || !rising(times, first, last):
		return false
	case n == 1:
		return true
	}
	switch c {
	case logv1.CatchUp_CATCH_UP_SKIP:
		return true
	case logv1.CatchUp_CATCH_UP_ALL:
		if len(times) == 0 || times[len(times)-1] != last {
			return false
		}
		if int64(len(times)) == n {
			return times[0] == first
		}
		return n-int64(len(times)) <= times[0]-first
	}
	return len(times) == 1 && times[0] < last && n-2 <= times[0]-first
}

func rising(times []int64, first, last int64) bool {
	for _, t := range times {
		if t < first || t > last {
			return false
		}
		first = t + 1
	}
	return true
}

func (m *Machine) fireDue(live *scheduleLive, d *logv1.Due) {
	s := m.step(live)
	s.rec.next, s.rec.taken = d.GetNextMs(), d.GetLastMs()
	last, n, times := d.GetLastMs(), d.GetCount(), d.GetTimesMs()
	switch c := live.rec.def.GetCatchUp(); {
	case n == 1:
		s.newest(last, d.GetPeriodMs())
	case c == logv1.CatchUp_CATCH_UP_SKIP:
		s.dropTicks(logv1.TickReason_TICK_REASON_CATCH_UP_SKIP, d.GetFirstMs(), last, n, d.GetMore())
	case c == logv1.CatchUp_CATCH_UP_ALL:
		s.catchUp(d)
	default:
		s.dropTicks(logv1.TickReason_TICK_REASON_NEWER, d.GetFirstMs(), times[0], n-1, d.GetMore())
		s.newest(last, d.GetPeriodMs())
	}
	s.end()
}

// newest is the one time that may run by itself.
func (s *scheduleStep) newest(fire, period int64) {
	if s.tooLate(fire, period) {
		s.dropTick(tick{fire, logv1.FireCause_FIRE_CAUSE_TICK}, logv1.TickReason_TICK_REASON_GRACE, nil)
		return
	}
	s.enter(fire, period)
}

// caught is a time to catch up, with the distance to the next.
type caught struct{ fire, period int64 }

// catchUp runs the times inside the grace one after another. The machine tests the grace with its own clock; those that are older than the listed ones
// the leader tested. A list of all times stands for itself, also if the leader dropped the first: the machine finds the same reason for it.
func (s *scheduleStep) catchUp(d *logv1.Due) {
	times := d.GetTimesMs()
	if int64(len(times)) < d.GetCount() { // the first ends those that are not caught up
		why := logv1.TickReason_TICK_REASON_GRACE
		if len(times) > mostBacklog {
			why = logv1.TickReason_TICK_REASON_BACKLOG_FULL
		}
		s.dropTicks(why, d.GetFirstMs(), times[0], d.GetCount()-int64(len(times)-1), d.GetMore())
		times = times[1:]
	}
	rest := make([]caught, 0, len(times))
	for i, fire := range times {
		period := d.GetPeriodMs()
		if i+1 < len(times) {
			period = times[i+1] - fire
		}
		if s.tooLate(fire, period) { // so are all before it
			s.dropTick(tick{fire, logv1.FireCause_FIRE_CAUSE_CATCH_UP}, logv1.TickReason_TICK_REASON_GRACE, nil)
			continue
		}
		rest = append(rest, caught{fire, period})
	}
	if len(rest) > 0 {
		s.backlog(rest)
	}
}

// backlog takes in a run of times. While all instances that may run do, a new backlog begins with overlap queue only.
func (s *scheduleStep) backlog(run []caught) {
	if s.live.backlog == 0 && s.live.lines[lineBacklog] == 0 && s.live.room() <= 0 && s.rec.def.GetOverlap() != logv1.Overlap_OVERLAP_QUEUE {
		s.dropTicks(logv1.TickReason_TICK_REASON_MAX_INSTANCES, run[0].fire, run[len(run)-1].fire, int64(len(run)), false)
		return
	}
	for _, c := range run {
		s.wait(tick{c.fire, logv1.FireCause_FIRE_CAUSE_CATCH_UP}, c.period)
	}
	for s.live.lines[lineBacklog] > mostBacklog {
		oldest, _ := s.m.oldestWaiting(s.rec.id, lineBacklog)
		s.m.dropWaiting(oldest)
		s.dropTick(tick{oldest.fire, oldest.cause}, logv1.TickReason_TICK_REASON_BACKLOG_FULL, nil)
	}
	s.m.markPump(s.live)
}

// triggerSchedule runs a schedule now, paused or not, if another instance may run.
func (m *Machine) triggerSchedule(t *logv1.TriggerSchedule, res *logv1.Result) {
	rec, ok := m.schedules.Get(t.GetName())
	if !ok {
		res.Refusal = unknownSchedule(t.GetName())
		return
	}
	live := m.scheduleLive[rec.id]
	if live.room() <= 0 {
		res.Refusal = refuse(logv1.Reason_REASON_MAX_INSTANCES, "schedule", rec.name(), "instances", decimal(int64(live.instances)),
			"most", decimal(int64(rec.most())))
		return
	}
	s := m.step(live)
	if res.Refusal = s.fire(tick{m.wall, logv1.FireCause_FIRE_CAUSE_TRIGGER}); res.Refusal != nil {
		return
	}
	s.end()
	out := scheduleAnswer(s.rec, logv1.ScheduleChange_SCHEDULE_CHANGE_UNSPECIFIED)
	out.Schedule.Job = m.lastJob
	res.Value = out
}

// backfillSchedule runs the given times one after another, however late they are: all of them wait, or none.
func (m *Machine) backfillSchedule(b *logv1.BackfillSchedule, res *logv1.Result) {
	times := b.GetTimesMs()
	if n := len(times); n < 1 || n > mostBacklog {
		res.Refusal = invalid("times_ms", decimal(int64(n)), "1..1000 times")
		return
	}
	if !rising(times, 1, mostMillis) {
		res.Refusal = invalid("times_ms", decimal(slices.Max(times)), "rising times")
		return
	}
	rec, ok := m.schedules.Get(b.GetName())
	if !ok {
		res.Refusal = unknownSchedule(b.GetName())
		return
	}
	if res.Refusal = rec.computed(rec.name(), b.GetComputedFrom(), true); res.Refusal != nil {
		return
	}
	live := m.scheduleLive[rec.id]
	if waits := live.lines[lineBacklog]; waits+len(times) > mostBacklog {
		res.Refusal = refuse(logv1.Reason_REASON_STATE_FULL, "limit", "backlog", "value", decimal(int64(waits)), "most", decimal(mostBacklog))
		return
	}
	if res.Refusal = m.roomFor(len(times) * waitingTickBytes); res.Refusal != nil {
		return
	}
	s := m.step(live)
	for _, fire := range times {
		s.wait(tick{fire, logv1.FireCause_FIRE_CAUSE_BACKFILL}, 0)
	}
	s.end()
	m.markPump(live)
	out := scheduleAnswer(s.rec, logv1.ScheduleChange_SCHEDULE_CHANGE_UNSPECIFIED)
	out.Schedule.Ticks = int64(len(times))
	res.Value = out
}
