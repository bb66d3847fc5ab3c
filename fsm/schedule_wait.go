package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// The lines in which ticks of a schedule wait for an instance of it to end.
const (
	lineBacklog = iota // ticks that are caught up or backfilled, one after another
	lineQueue          // ticks of overlap queue
)

// waitingTick is a tick that waits; the number orders those of a line. Stored by value.
type waitingTick struct {
	schedule, number uint64
	fire             int64
	deadline         int64 // on the wall clock; later than that it is missed; 0: none
	cause            logv1.FireCause
}

func (t waitingTick) line() int {
	if inBacklog(t.cause) {
		return lineBacklog
	}
	return lineQueue
}

// waitingLess orders by schedule, line, number.
func waitingLess(a, b waitingTick) bool {
	if a.schedule != b.schedule {
		return a.schedule < b.schedule
	}
	if a.line() != b.line() {
		return a.line() < b.line()
	}
	return a.number < b.number
}

func (t waitingTick) record() *logv1.WaitingTickRecord {
	return &logv1.WaitingTickRecord{Schedule: t.schedule, Number: t.number, FireMs: t.fire, Cause: t.cause, DeadlineMs: t.deadline}
}

func waitingOf(r *logv1.WaitingTickRecord) waitingTick {
	return waitingTick{schedule: r.GetSchedule(), number: r.GetNumber(), fire: r.GetFireMs(), deadline: r.GetDeadlineMs(), cause: r.GetCause()}
}

// isOver: the tick has waited past its grace.
func (m *Machine) isOver(t waitingTick) bool { return t.deadline > 0 && m.wall > t.deadline }

// wait puts a tick at the end of its line, if the state has room for it. A backfill has no deadline.
func (s *scheduleStep) wait(t tick, period int64) {
	if s.m.batch.rules >= 5 {
		if refusal := s.roomToWait(t); refusal != nil {
			s.dropTick(t, logv1.TickReason_TICK_REASON_REFUSED, refusal)
			return
		}
	}
	s.flush()
	w := waitingTick{schedule: s.rec.id, fire: t.fire, cause: t.cause}
	if t.cause != logv1.FireCause_FIRE_CAUSE_BACKFILL {
		w.deadline = s.deadline(t.fire, period)
	}
	s.m.lastTick++
	w.number = s.m.lastTick
	s.m.waiting.Set(w)
	s.m.bytes += waitingTickBytes
	s.live.lines[w.line()]++
}

// roomToWait in the state. What is caught up leaves the last eighth to others: it may be a thousand ticks of each schedule.
func (s *scheduleStep) roomToWait(t tick) *logv1.Refusal {
	size := int64(waitingTickBytes)
	if t.cause == logv1.FireCause_FIRE_CAUSE_CATCH_UP {
		size = max(size, s.m.settings.GetMaxStateBytes()/8)
	}
	return s.m.roomFor(int(size))
}

func (m *Machine) dropWaiting(t waitingTick) {
	m.waiting.Delete(t)
	m.bytes -= waitingTickBytes
	m.scheduleLive[t.schedule].lines[t.line()]--
}

// oldestWaiting of a line.
func (m *Machine) oldestWaiting(schedule uint64, line int) (oldest waitingTick, ok bool) {
	m.waiting.Ascend(firstOfLine(schedule, line), func(t waitingTick) bool {
		oldest, ok = t, t.schedule == schedule && t.line() == line
		return false
	})
	return oldest, ok
}

// firstOfLine stands before all ticks of a line.
func firstOfLine(schedule uint64, line int) waitingTick {
	if line == lineBacklog {
		return waitingTick{schedule: schedule, cause: logv1.FireCause_FIRE_CAUSE_CATCH_UP}
	}
	return waitingTick{schedule: schedule, cause: logv1.FireCause_FIRE_CAUSE_TICK}
}
