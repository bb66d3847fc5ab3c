package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// How many tick records of a schedule are kept, the newest: at least fewTicks. They belong to Rules.
const (
	mostTicks = 64
	fewTicks  = 8 // while less than an eighth of the bytes of the state is left, of each schedule that goes on ticking
)

func (m *Machine) keptTicks() int {
	if m.batch.rules >= 5 && m.shortOfBytes() {
		return fewTicks
	}
	return mostTicks
}

func tickLess(a, b *logv1.TickRecord) bool {
	return a.Schedule < b.Schedule || a.Schedule == b.Schedule && a.Number < b.Number
}

func tickBytes(t *logv1.TickRecord) int64 {
	n := tickOverhead
	for _, p := range t.GetRefusal().GetParams() {
		n += 32 + len(p.GetKey()) + len(p.GetValue())
	}
	return int64(n)
}

var tickEvents = [...]EventKind{
	logv1.TickResult_TICK_RESULT_FIRED:     ScheduleFired,
	logv1.TickResult_TICK_RESULT_MISSED:    ScheduleMissed,
	logv1.TickResult_TICK_RESULT_SKIPPED:   ScheduleSkipped,
	logv1.TickResult_TICK_RESULT_COALESCED: ScheduleCoalesced,
}

// write completes a record, stores it and tells about it; j is the job of a fire. The record becomes the machine's own.
func (s *scheduleStep) write(t *logv1.TickRecord, j *logv1.Job) {
	m := s.m
	t.Schedule, t.AtMs, t.Index = s.rec.id, m.wall, m.index
	if last := s.live.newest; m.repeats(last, t) {
		t.Number = last.Number
		m.replaceTick(s.live, last, extended(last, t))
	} else {
		m.lastTick++
		t.Number = m.lastTick
		m.addTick(s.live, t)
	}
	e := Event{Kind: tickEvents[t.Result], Schedule: s.rec.name(), Tick: t}
	if j != nil {
		e.Job, e.Queue, e.User = JobID(t.Job), j.Queue, j.User
	}
	m.event(e)
}

// repeats: what a schedule that ticks often says again and again goes into the record that says it, else it would wash out the others. A time that
// is older than those of the record does not: its range would not show it.
func (m *Machine) repeats(last, t *logv1.TickRecord) bool {
	if last == nil || last.Result != t.Result || last.Reason != t.Reason {
		return false
	}
	follows := t.FirstMs > last.LastMs
	switch t.Reason {
	case logv1.TickReason_TICK_REASON_MIN_INTERVAL, logv1.TickReason_TICK_REASON_MAX_INSTANCES:
		return follows || m.batch.rules < 5
	case logv1.TickReason_TICK_REASON_LINE_FULL, logv1.TickReason_TICK_REASON_REFUSED:
		return follows && m.batch.rules >= 5 && last.GetRefusal().GetReason() == t.GetRefusal().GetReason()
	}
	return false
}

// extended is a record that holds both. A record is never changed, so it is a new one with the number of the first.
func extended(a, b *logv1.TickRecord) *logv1.TickRecord {
	return &logv1.TickRecord{Schedule: a.Schedule, Number: a.Number, Result: a.Result, Reason: a.Reason, FirstMs: min(a.FirstMs, b.FirstMs),
		LastMs: b.LastMs, Count: a.Count + b.Count, More: a.More || b.More, AtMs: b.AtMs, Index: b.Index, LateMs: b.LateMs,
		Refusal: b.Refusal}
}

// addTick keeps the number of records in its bound.
func (m *Machine) addTick(live *scheduleLive, t *logv1.TickRecord) {
	m.ticks.Set(t)
	m.bytes += tickBytes(t)
	live.ticks++
	live.newest = t
	for live.ticks > m.keptTicks() {
		m.dropOldestTick(t.Schedule)
	}
}

func (m *Machine) replaceTick(live *scheduleLive, old, t *logv1.TickRecord) {
	m.ticks.Set(t)
	m.bytes += tickBytes(t) - tickBytes(old)
	live.newest = t
}

// dropOldestTick forgets one record of a schedule that has some.
func (m *Machine) dropOldestTick(schedule uint64) {
	var oldest *logv1.TickRecord
	m.ticks.Ascend(&logv1.TickRecord{Schedule: schedule}, func(t *logv1.TickRecord) bool {
		oldest = t
		return false
	})
	if oldest == nil || oldest.Schedule != schedule {
		panic("broken invariant: a schedule has fewer tick records than are counted")
	}
	m.ticks.Delete(oldest)
	m.bytes -= tickBytes(oldest)
	live := m.scheduleLive[schedule]
	if live.ticks--; live.ticks == 0 {
		live.newest = nil
	}
}
