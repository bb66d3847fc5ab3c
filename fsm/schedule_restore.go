package fsm

import (
	"fmt"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// loadSchedules stores one record since version 3.
func (m *Machine) loadSchedules(k kind, body []byte) error {
	switch k {
	case kindSchedule:
		r, err := decode(body, &logv1.ScheduleRecord{})
		m.schedules.Load(r.GetSchedule().GetName(), scheduleOf(r))
		return err
	case kindWaiting:
		r, err := decode(body, &logv1.WaitingTickRecord{})
		m.waiting.Load(waitingOf(r))
		return err
	case kindTick:
		r, err := decode(body, &logv1.TickRecord{})
		m.ticks.Load(r)
		return err
	}
	return fmt.Errorf("a record of the unknown kind %d", k)
}

// rebuildSchedules makes what is derived of schedules and their ticks. The jobs come later.
func (m *Machine) rebuildSchedules() (err error) {
	m.schedules.Scan(func(name string, r *scheduleRec) bool {
		if name == "" || r.id == 0 || m.scheduleLive[r.id] != nil {
			err = fmt.Errorf("schedule %q has no name, or the number %d of another", name, r.id)
			return false
		}
		m.enlistSchedule(r)
		return true
	})
	m.waiting.Scan(func(t waitingTick) bool {
		live := m.scheduleLive[t.schedule]
		if live == nil {
			err = fmt.Errorf("a tick waits for schedule %d, which is not there", t.schedule)
			return false
		}
		live.lines[t.line()]++
		m.bytes += waitingTickBytes
		return true
	})
	m.ticks.Scan(func(t *logv1.TickRecord) bool {
		live := m.scheduleLive[t.Schedule]
		if live == nil {
			err = fmt.Errorf("a tick of schedule %d, which is not there", t.Schedule)
			return false
		}
		live.ticks++
		live.newest = t
		m.bytes += tickBytes(t)
		return true
	})
	return err
}

// rebuildStalled finds the schedules that the last pump left over. Instances must be counted before.
func (m *Machine) rebuildStalled() {
	for id, live := range m.scheduleLive { // a set, so the order does not show
		if live.startable() {
			m.stalled.Insert(id)
		}
	}
}
