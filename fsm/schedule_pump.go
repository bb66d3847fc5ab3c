package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// mostPumped is how many waiting ticks a batch starts or drops; the rest comes in the next. A batch makes fewer: its 256 KiB hold at most 29,000
// times for catching up or backfilling, and what waits of a schedule is bounded besides (docs/design.md §3 law 9). It belongs to Rules.
const mostPumped = 65_536

// markPump lets the next pump look at a schedule: an instance of it ended, or ticks of it wait, or it was changed.
func (m *Machine) markPump(live *scheduleLive) {
	if !live.marked {
		live.marked = true
		m.batch.pump = append(m.batch.pump, live.rec.id)
	}
}

// pumpSchedules starts waiting ticks for which there is room: of the schedules that former batches left over, then of those that were marked, in
// the order in which they were.
func (m *Machine) pumpSchedules() {
	if len(m.batch.pump) == 0 && m.stalled.Len() == 0 {
		return
	}
	list := append(m.stalled.Keys(), m.batch.pump...)
	m.batch.pump = m.batch.pump[:0]
	for _, id := range list {
		live := m.scheduleLive[id]
		if live == nil { // deleted since
			continue
		}
		m.pumpSchedule(live)
		if live.startable() {
			m.stalled.Insert(id)
			m.batch.out.More = true
		} else {
			m.stalled.Delete(id)
		}
	}
}

// pumpSchedule starts waiting ticks of one schedule as long as there is room, and drops those that are too late or too soon.
func (m *Machine) pumpSchedule(live *scheduleLive) {
	var s *scheduleStep
	for m.batch.pumped < mostPumped && live.startable() {
		if s == nil {
			s = m.step(live)
		}
		t := s.nextWaiting()
		m.dropWaiting(t)
		m.batch.pumped++
		if m.isOver(t) {
			s.dropTick(tick{t.fire, t.cause}, logv1.TickReason_TICK_REASON_GRACE, nil)
		} else {
			s.start(tick{t.fire, t.cause})
		}
	}
	if s != nil {
		s.end()
	}
	live.marked, live.handed = false, false
}

// startable: a waiting tick could start now. Only between a bounded pump and the next is it true at the end of a batch.
func (l *scheduleLive) startable() bool {
	return l.room() > 0 && (l.lines[lineQueue] > 0 || l.lines[lineBacklog] > 0 && l.backlog == 0)
}

// nextWaiting of a startable schedule: of the backlog, unless it runs already, then of the queue. If only one more instance may run, the older of
// both, but the slot that a job of the backlog left goes to the next of the backlog.
func (s *scheduleStep) nextWaiting() waitingTick {
	backlog, hasBacklog := s.m.oldestWaiting(s.rec.id, lineBacklog)
	queued, hasQueued := s.m.oldestWaiting(s.rec.id, lineQueue)
	hasBacklog = hasBacklog && s.live.backlog == 0
	switch {
	case !hasQueued, hasBacklog && (s.live.room() > 1 || s.live.handed || backlog.number < queued.number):
		return backlog
	}
	return queued
}
