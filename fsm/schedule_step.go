package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// scheduleStep is one step of a schedule: an edit of its record, and what became of its ticks. end stores both.
type scheduleStep struct {
	m    *Machine
	old  *scheduleRec
	rec  *scheduleRec // an edit of old
	live *scheduleLive
	// open gathers ticks that follow each other with the same result and reason, for one record. nil: none.
	open *logv1.TickRecord
}

func (m *Machine) step(live *scheduleLive) *scheduleStep {
	rec := *live.rec
	return &scheduleStep{m: m, old: live.rec, rec: &rec, live: live}
}

// end writes the open record and stores the schedule.
func (s *scheduleStep) end() {
	s.flush()
	s.m.storeSchedule(s.old, s.rec)
}

// tick is one grid time that is due, with what is known of it.
type tick struct {
	fire  int64
	cause logv1.FireCause
}

// late is by how much the clock is behind grid time and offset; before it: 0.
func (s *scheduleStep) late(fire int64) int64 { return max(0, s.m.wall-fire-s.rec.offset) }

// grace of a tick whose next grid time is so far away; 0: there is none. false: it is unlimited.
func (s *scheduleStep) grace(period int64) (ms int64, limited bool) {
	const least = 60_000
	if g := s.rec.def.MisfireGraceMs; g != nil {
		return *g, *g != -1
	}
	return max(least, period), true
}

// tooLate: later than its grace, strictly.
func (s *scheduleStep) tooLate(fire, period int64) bool {
	grace, limited := s.grace(period)
	return limited && s.late(fire) > grace
}

// deadline of a tick that waits; 0: none.
func (s *scheduleStep) deadline(fire, period int64) int64 {
	grace, limited := s.grace(period)
	if !limited {
		return 0
	}
	return later(fire+s.rec.offset, grace)
}

// enter is a tick of the grid that is due now and inside its grace.
func (s *scheduleStep) enter(fire, period int64) {
	t := tick{fire, logv1.FireCause_FIRE_CAUSE_TICK}
	queued := s.rec.def.GetOverlap() == logv1.Overlap_OVERLAP_QUEUE
	if s.m.batch.rules >= 5 && queued && s.live.lines[lineQueue] >= mostLine {
		s.dropLate()
	}
	busy := s.live.room() <= 0
	switch {
	case queued && (busy || s.live.lines[lineQueue] > 0): // behind those that wait already: older ones go first
		if s.live.lines[lineQueue] >= mostLine {
			s.dropTick(t, logv1.TickReason_TICK_REASON_LINE_FULL, nil)
			return
		}
		s.wait(t, period)
	case busy:
		s.dropTick(t, logv1.TickReason_TICK_REASON_MAX_INSTANCES, nil)
	default:
		s.start(t)
	}
}

// dropLate makes room in a full line: its oldest ticks that are past their grace will not run any more, a new one may.
func (s *scheduleStep) dropLate() {
	for {
		t, ok := s.m.oldestWaiting(s.rec.id, lineQueue)
		if !ok || !s.m.isOver(t) {
			return
		}
		s.m.dropWaiting(t)
		s.dropTick(tick{t.fire, t.cause}, logv1.TickReason_TICK_REASON_GRACE, nil)
	}
}

// start runs a tick that found room, unless the last start is too close or the job is refused.
func (s *scheduleStep) start(t tick) {
	if s.tooSoon(t.cause) {
		s.dropTick(t, logv1.TickReason_TICK_REASON_MIN_INTERVAL, nil)
		return
	}
	if refusal := s.fire(t); refusal != nil {
		s.dropTick(t, logv1.TickReason_TICK_REASON_REFUSED, refusal)
	}
}

// tooSoon: less than min_interval since one of its jobs was claimed. Backfill and trigger do not ask.
func (s *scheduleStep) tooSoon(c logv1.FireCause) bool {
	least := s.rec.def.GetMinIntervalMs()
	since := s.m.wall - s.rec.lastStart // below 0: the clock was set back, and the last start tells nothing
	return (c == logv1.FireCause_FIRE_CAUSE_TICK || c == logv1.FireCause_FIRE_CAUSE_CATCH_UP) && least > 0 && s.rec.lastStart > 0 &&
		since >= 0 && since < least
}

var firedReasons = [...]logv1.TickReason{
	logv1.FireCause_FIRE_CAUSE_TICK:     logv1.TickReason_TICK_REASON_ON_TIME,
	logv1.FireCause_FIRE_CAUSE_CATCH_UP: logv1.TickReason_TICK_REASON_CAUGHT_UP,
	logv1.FireCause_FIRE_CAUSE_BACKFILL: logv1.TickReason_TICK_REASON_BACKFILL,
	logv1.FireCause_FIRE_CAUSE_TRIGGER:  logv1.TickReason_TICK_REASON_TRIGGER,
}

// fire makes the job of a tick, as an enqueue of the template would. The event of the fire comes before those of its job.
func (s *scheduleStep) fire(t tick) *logv1.Refusal {
	m, n := s.m, s.rec.def.GetTemplate()
	if _, _, refusal := m.admit(nil, n); refusal != nil {
		return refusal
	}
	s.flush()
	rec := m.jobOf(n)
	j := rec.job
	j.Schedule, j.ScheduleId, j.FireMs, j.FireCause = s.rec.name(), s.rec.id, t.fire, t.cause
	j.Coordinator, j.FirstDueMs = n.GetCoordinator(), t.fire+s.rec.offset
	late := s.late(t.fire)
	switch t.cause {
	case logv1.FireCause_FIRE_CAUSE_TRIGGER:
		j.FirstDueMs = t.fire
		s.rec.totals.triggered++
	case logv1.FireCause_FIRE_CAUSE_BACKFILL:
		s.rec.totals.backfilled++
	default:
		s.rec.totals.fired++
		s.rec.totals.lastLate = late
		s.rec.totals.sumLate += late
		s.rec.totals.mostLate = max(s.rec.totals.mostLate, late)
	}
	s.write(&logv1.TickRecord{Result: logv1.TickResult_TICK_RESULT_FIRED, Reason: firedReasons[t.cause], FirstMs: t.fire, LastMs: t.fire, Count: 1,
		LateMs: late, Job: m.lastJob + 1}, j)
	m.addJob(rec, 0)
	m.instanceBegins(j)
	return nil
}

var droppedResults = [...]logv1.TickResult{
	logv1.TickReason_TICK_REASON_GRACE:         logv1.TickResult_TICK_RESULT_MISSED,
	logv1.TickReason_TICK_REASON_BACKLOG_FULL:  logv1.TickResult_TICK_RESULT_MISSED,
	logv1.TickReason_TICK_REASON_MAX_INSTANCES: logv1.TickResult_TICK_RESULT_SKIPPED,
	logv1.TickReason_TICK_REASON_LINE_FULL:     logv1.TickResult_TICK_RESULT_SKIPPED,
	logv1.TickReason_TICK_REASON_CATCH_UP_SKIP: logv1.TickResult_TICK_RESULT_SKIPPED,
	logv1.TickReason_TICK_REASON_PAUSED:        logv1.TickResult_TICK_RESULT_SKIPPED,
	logv1.TickReason_TICK_REASON_EDITED:        logv1.TickResult_TICK_RESULT_SKIPPED,
	logv1.TickReason_TICK_REASON_MIN_INTERVAL:  logv1.TickResult_TICK_RESULT_SKIPPED,
	logv1.TickReason_TICK_REASON_REFUSED:       logv1.TickResult_TICK_RESULT_SKIPPED,
	logv1.TickReason_TICK_REASON_NEWER:         logv1.TickResult_TICK_RESULT_COALESCED,
}

// TickResult is what became of a tick for this reason; unspecified if there is no such reason.
func TickResult(why logv1.TickReason) logv1.TickResult {
	switch {
	case why < logv1.TickReason_TICK_REASON_ON_TIME || why > logv1.TickReason_TICK_REASON_NEWER:
		return logv1.TickResult_TICK_RESULT_UNSPECIFIED
	case why <= logv1.TickReason_TICK_REASON_TRIGGER:
		return logv1.TickResult_TICK_RESULT_FIRED
	}
	return droppedResults[why]
}

// dropTick says that a tick does not run. One of a backfill is no tick of the grid, so only its record shows it.
func (s *scheduleStep) dropTick(t tick, why logv1.TickReason, refusal *logv1.Refusal) {
	if t.cause != logv1.FireCause_FIRE_CAUSE_BACKFILL {
		s.count(why, 1)
	}
	s.gather(&logv1.TickRecord{Result: droppedResults[why], Reason: why, FirstMs: t.fire, LastMs: t.fire, Count: 1, Refusal: refusal})
}

// dropTicks says that so many times of the grid do not run.
func (s *scheduleStep) dropTicks(why logv1.TickReason, first, last, count int64, more bool) {
	s.count(why, count)
	s.gather(&logv1.TickRecord{Result: droppedResults[why], Reason: why, FirstMs: first, LastMs: last, Count: count, More: more})
}

// passed are the times that an edit or a resume leaves behind.
func (s *scheduleStep) passed(p *logv1.Passed, why logv1.TickReason) {
	if p.GetCount() > 0 {
		s.dropTicks(why, p.GetFirstMs(), p.GetLastMs(), p.GetCount(), p.GetMore())
		s.rec.taken = p.GetLastMs()
	}
}

func (s *scheduleStep) count(why logv1.TickReason, n int64) {
	switch droppedResults[why] {
	case logv1.TickResult_TICK_RESULT_MISSED:
		s.rec.totals.missed += uint64(n)
	case logv1.TickResult_TICK_RESULT_SKIPPED:
		s.rec.totals.skipped += uint64(n)
	case logv1.TickResult_TICK_RESULT_COALESCED:
		s.rec.totals.coalesced += uint64(n)
	}
}

// gather joins the record with the open one, if they say the same.
func (s *scheduleStep) gather(t *logv1.TickRecord) {
	if o := s.open; o != nil && o.Result == t.Result && o.Reason == t.Reason {
		o.FirstMs, o.LastMs = min(o.FirstMs, t.FirstMs), max(o.LastMs, t.LastMs)
		o.Count += t.Count
		o.More = o.More || t.More
		return
	}
	s.flush()
	s.open = t
}

// flush writes the open record.
func (s *scheduleStep) flush() {
	if t := s.open; t != nil {
		s.open = nil
		t.LateMs = s.late(t.LastMs)
		s.write(t, nil)
	}
}
