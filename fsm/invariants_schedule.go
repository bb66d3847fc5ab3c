package fsm

import (
	"fmt"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// scheduleCount is what is counted anew of a schedule.
type scheduleCount struct {
	instances, ticks int
	backlog          uint64
	lines            [2]int
	newest           *logv1.TickRecord
}

// checkSchedules counts instances, waiting ticks and records anew, and compares the indexes: at most one backlog job each (docs/design.md §9).
func (c *check) checkSchedules() error {
	c.schedules = map[uint64]*scheduleCount{}
	for _, step := range []func() error{c.checkScheduleRecords, c.checkInstances, c.checkWaiting, c.checkTicks, c.checkScheduleLive} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) checkScheduleRecords() (err error) {
	m := c.m
	queues, fires := map[string]int{}, 0
	m.schedules.Scan(func(name string, r *scheduleRec) bool {
		p := &logv1.PutSchedule{Schedule: r.def, OffsetMs: r.offset, AnchorMs: r.anchor, NextMs: r.next}
		t := &r.totals
		refusal := checkPut(p)
		switch {
		case refusal != nil || name != r.name() || r.id == 0 || r.id > m.lastSchedule || r.revision == 0 || c.schedules[r.id] != nil:
			err = fmt.Errorf("schedule %q with number %d, revision %d: %v", name, r.id, r.revision, refusal)
		case t.lastLate < 0 || t.lastLate > t.mostLate || t.mostLate > t.sumLate || t.fired == 0 && t.sumLate > 0 || r.lastJob > m.lastJob ||
			r.taken < 0 || r.next != 0 && r.next <= r.taken:
			err = fmt.Errorf("schedule %q: totals %+v, created %d, changed %d, last job %d", name, *t, r.created, r.changed, r.lastJob)
		}
		c.schedules[r.id] = &scheduleCount{}
		queues[queueName(r.def.GetTemplate())]++
		c.bytes += r.size()
		if at, ok := r.fires(); ok {
			fires++
			if _, ok := m.fires.Get(nameStamp{at, name}); !ok {
				err = fmt.Errorf("the fire time of schedule %q is not indexed", name)
			}
		}
		return err == nil
	})
	if err == nil && (fires != m.fires.Len() || len(queues) != len(m.schedulesOf)) {
		err = fmt.Errorf("%d fire times, %d indexed; schedules of %d queues, %d indexed", fires, m.fires.Len(), len(queues), len(m.schedulesOf))
	}
	for queue, n := range queues {
		if m.schedulesOf[queue] != n && err == nil {
			err = fmt.Errorf("%d schedules of a queue, %d counted", n, m.schedulesOf[queue])
		}
	}
	return err
}

// checkInstances looks at the jobs of schedules.
func (c *check) checkInstances() (err error) {
	look := func(id uint64, r *jobRec) bool {
		j := r.job
		made := j.ScheduleId != 0
		if made != (j.Schedule != "") || made != (j.FireCause != 0) || j.ScheduleId > c.m.lastSchedule ||
			j.FireCause < 0 || j.FireCause > logv1.FireCause_FIRE_CAUSE_TRIGGER {
			err = fmt.Errorf("job %d is of schedule %d, %q, by cause %d", id, j.ScheduleId, j.Schedule, j.FireCause)
			return false
		}
		n := c.schedules[j.ScheduleId]
		if !made || n == nil || isFinal(j.State) && c.claims[id] == 0 {
			return true
		}
		n.instances++
		if inBacklog(j.FireCause) {
			if n.backlog != 0 {
				err = fmt.Errorf("jobs %d and %d are both of the backlog of schedule %q", n.backlog, id, j.Schedule)
			}
			n.backlog = id
		}
		return err == nil
	}
	c.m.jobs.Scan(look)
	if err == nil {
		c.m.final.Scan(look)
	}
	return err
}

func (c *check) checkWaiting() (err error) {
	m := c.m
	if m.rules < 5 && m.deletedRev > 0 {
		return fmt.Errorf("rules %d know no revision of a deleted schedule", m.rules)
	}
	m.waiting.Scan(func(t waitingTick) bool {
		n := c.schedules[t.schedule]
		if n == nil || t.number == 0 || t.number > m.lastTick || t.fire < 1 || t.deadline < 0 || t.cause < logv1.FireCause_FIRE_CAUSE_TICK ||
			t.cause > logv1.FireCause_FIRE_CAUSE_BACKFILL || c.numbers[t.number] {
			err = fmt.Errorf("a waiting tick %+v", t)
			return false
		}
		c.numbers[t.number] = true
		n.lines[t.line()]++
		c.bytes += waitingTickBytes
		return true
	})
	return err
}

func (c *check) checkTicks() (err error) {
	m := c.m
	m.ticks.Scan(func(t *logv1.TickRecord) bool {
		n := c.schedules[t.Schedule]
		fired := t.Result == logv1.TickResult_TICK_RESULT_FIRED
		least := int64(1)
		if t.Reason == logv1.TickReason_TICK_REASON_TRIGGER { // of the clock, which SetClock may set to 0
			least = 0
		}
		if n == nil || t.Number == 0 || t.Number > m.lastTick || c.numbers[t.Number] || !knownReason(t) || t.Count < 1 || t.FirstMs < least ||
			t.LastMs < t.FirstMs || t.Index > m.index || t.LateMs < 0 || fired != (t.Job != 0) || t.Job > m.lastJob ||
			(t.Reason == logv1.TickReason_TICK_REASON_REFUSED) != (t.Refusal != nil) {
			err = fmt.Errorf("a tick record %v", t)
			return false
		}
		c.numbers[t.Number] = true
		n.ticks++
		n.newest = t
		c.bytes += tickBytes(t)
		return true
	})
	return err
}

// knownReason: the reason belongs to the result.
func knownReason(t *logv1.TickRecord) bool {
	return t.Result != logv1.TickResult_TICK_RESULT_UNSPECIFIED && t.Result == TickResult(t.Reason)
}

func (c *check) checkScheduleLive() error {
	m := c.m
	if len(m.scheduleLive) != len(c.schedules) || m.schedules.Len() != len(c.schedules) {
		return fmt.Errorf("%d schedules, %d derived", m.schedules.Len(), len(m.scheduleLive))
	}
	stalled := 0
	for id, n := range c.schedules { // only whether there is an error shows
		live := m.scheduleLive[id]
		switch {
		case live == nil || live.instances != n.instances || live.backlog != n.backlog || live.lines != n.lines || live.ticks != n.ticks ||
			live.newest != n.newest:
			return fmt.Errorf("schedule %d: counted %+v, kept %+v", id, n, live)
		case n.lines[lineBacklog] > mostBacklog || n.lines[lineQueue] > mostLine || n.ticks > mostTicks:
			return fmt.Errorf("schedule %d: %v ticks wait, %d records", id, n.lines, n.ticks)
		case live.marked || live.handed || live.startable() != m.stalled.Contains(id):
			return fmt.Errorf("schedule %d: marked %v, handed %v, startable %v, left over %v", id, live.marked, live.handed, live.startable(),
				m.stalled.Contains(id))
		}
		if rec, ok := m.schedules.Get(live.rec.name()); !ok || rec != live.rec {
			return fmt.Errorf("schedule %d is not the one of its name", id)
		}
		if live.startable() {
			stalled++
		}
	}
	if stalled != m.stalled.Len() {
		return fmt.Errorf("%d schedules left over, %d kept", stalled, m.stalled.Len())
	}
	return nil
}
