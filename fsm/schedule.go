package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// scheduleRec is a schedule as it is stored (docs/design.md §9). Neither it nor what it points to is ever changed.
type scheduleRec struct {
	id       uint64
	def      *logv1.Schedule // as it was put
	revision uint64          // at least 1; every edit, pause and resume raises it
	paused   bool
	offset   int64 // of every fire from the grid
	anchor   int64 // of the grid; the machine only keeps it
	next     int64 // on the grid; 0: none is to come; else next > taken
	taken    int64 // newest grid time that is over; 0: none is
	created  int64
	changed  int64
	totals   scheduleTotals

	lastStart, lastEnd int64
	lastJob            uint64 // claimed last
	lastState          logv1.State
}

// scheduleTotals since the schedule was made: fired + missed + skipped + coalesced + waiting ticks that are no backfill = grid times that
// are over. Lateness is that of the fired ones.
type scheduleTotals struct {
	fired, missed, skipped, coalesced uint64
	triggered, backfilled             uint64
	lastLate, sumLate, mostLate       int64
}

// scheduleLive is derived from the jobs, waiting ticks and tick records of a schedule.
type scheduleLive struct {
	rec       *scheduleRec      // the stored one
	instances int               // its jobs that are not over: not final, or with a claim that lives
	backlog   uint64            // the one of these that was caught up or backfilled; 0: none
	lines     [2]int            // waiting ticks by line
	ticks     int               // tick records
	newest    *logv1.TickRecord // of them; nil: none
	marked    bool              // the pump of this batch looks at it
	handed    bool              // the slot of a backlog job became free: the next of the backlog gets it
}

func (r *scheduleRec) name() string { return r.def.GetName() }

// fires is when the next fire is due; false: none is, or it is paused.
func (r *scheduleRec) fires() (at int64, ok bool) { return r.next + r.offset, r.next != 0 && !r.paused }

func (r *scheduleRec) most() int { return int(r.def.GetMaxInstances()) }

// room is how many instances more may start.
func (l *scheduleLive) room() int { return l.rec.most() - l.instances }

// record is what a snapshot holds, and what reads show.
func (r *scheduleRec) record() *logv1.ScheduleRecord {
	t := &r.totals
	return &logv1.ScheduleRecord{Id: r.id, Schedule: r.def, Revision: r.revision, Paused: r.paused, OffsetMs: r.offset, AnchorMs: r.anchor,
		NextMs: r.next, TakenMs: r.taken, CreatedMs: r.created, ChangedMs: r.changed, LastStartMs: r.lastStart, LastEndMs: r.lastEnd, LastJob: r.lastJob,
		LastState: r.lastState, Totals: &logv1.ScheduleTotals{Fired: t.fired, Missed: t.missed, Skipped: t.skipped, Coalesced: t.coalesced,
			Triggered: t.triggered, Backfilled: t.backfilled, LastLateMs: t.lastLate, SumLateMs: t.sumLate, MostLateMs: t.mostLate}}
}

func scheduleOf(r *logv1.ScheduleRecord) *scheduleRec {
	t := r.GetTotals()
	return &scheduleRec{id: r.GetId(), def: r.GetSchedule(), revision: r.GetRevision(), paused: r.GetPaused(), offset: r.GetOffsetMs(),
		anchor: r.GetAnchorMs(), next: r.GetNextMs(), taken: r.GetTakenMs(), created: r.GetCreatedMs(), changed: r.GetChangedMs(), lastStart: r.GetLastStartMs(),
		lastEnd: r.GetLastEndMs(), lastJob: r.GetLastJob(), lastState: r.GetLastState(), totals: scheduleTotals{fired: t.GetFired(),
			missed: t.GetMissed(), skipped: t.GetSkipped(), coalesced: t.GetCoalesced(), triggered: t.GetTriggered(), backfilled: t.GetBackfilled(),
			lastLate: t.GetLastLateMs(), sumLate: t.GetSumLateMs(), mostLate: t.GetMostLateMs()}}
}

// What schedules cost beside their own bytes: the records and their entries in the indexes.
const (
	scheduleOverhead = 768
	waitingTickBytes = 96
	tickOverhead     = 256
)

// size is what the schedule counts in the bytes of the state, without its ticks.
func (r *scheduleRec) size() int64 { return scheduleBytes(r.def) }

func scheduleBytes(s *logv1.Schedule) int64 {
	t := s.GetTemplate()
	return scheduleOverhead + jobBytes(&logv1.Job{Kind: t.GetKind(), Queue: queueName(t), User: t.GetUser(), Payload: t.GetPayload(),
		Labels: t.GetLabels()}) + int64(2*len(s.GetName())+len(s.GetSpec())+len(s.GetZone())+len(s.GetGroup())+
		len(s.GetDescription())+len(t.GetCoordinator()))
}

// storeSchedule puts the record in place of the old one (nil: a new schedule), and keeps the bytes and the indexes.
func (m *Machine) storeSchedule(old, rec *scheduleRec) {
	m.schedules.Set(rec.name(), rec)
	if old == nil {
		m.enlistSchedule(rec)
		return
	}
	live := m.scheduleLive[rec.id]
	live.rec = rec
	m.countPaused(old, -1)
	m.countPaused(rec, 1)
	if old.next != rec.next || old.offset != rec.offset || old.paused != rec.paused {
		m.indexFire(old, false)
		m.indexFire(rec, true)
	}
	if old.def != rec.def {
		m.indexTemplate(old, false)
		m.indexTemplate(rec, true)
		m.bytes += rec.size() - old.size()
	}
}

// enlistSchedule builds the derived parts of a schedule that has neither instances nor ticks.
func (m *Machine) enlistSchedule(rec *scheduleRec) {
	m.scheduleLive[rec.id] = &scheduleLive{rec: rec}
	m.countPaused(rec, 1)
	m.indexFire(rec, true)
	m.indexTemplate(rec, true)
	m.bytes += rec.size()
}

func (m *Machine) countPaused(rec *scheduleRec, by int) {
	if rec.paused {
		m.pausedSchedules += by
	}
}

func (m *Machine) indexFire(rec *scheduleRec, in bool) {
	at, ok := rec.fires()
	switch {
	case !ok:
	case in:
		m.fires.Set(nameStamp{at, rec.name()})
	default:
		m.fires.Delete(nameStamp{at, rec.name()})
	}
}

// indexTemplate counts the schedule for the queue and the coordinator that its template names.
func (m *Machine) indexTemplate(rec *scheduleRec, in bool) {
	queue, coordinator := queueName(rec.def.GetTemplate()), rec.def.GetTemplate().GetCoordinator()
	if in {
		m.schedulesOf[queue]++
		if coordinator != "" {
			m.addMember(coordinator, rec.name())
		}
		return
	}
	if m.schedulesOf[queue]--; m.schedulesOf[queue] == 0 {
		delete(m.schedulesOf, queue)
	}
	if coordinator != "" {
		m.removeMember(coordinator, rec.name())
	}
}

// dropSchedule forgets a schedule, its waiting ticks and its tick records: at most 1,164 of them. Its jobs stay.
func (m *Machine) dropSchedule(rec *scheduleRec) {
	m.schedules.Delete(rec.name())
	m.countPaused(rec, -1)
	m.indexFire(rec, false)
	m.indexTemplate(rec, false)
	m.bytes -= rec.size()
	for line := range m.scheduleLive[rec.id].lines {
		for {
			t, ok := m.oldestWaiting(rec.id, line)
			if !ok {
				break
			}
			m.dropWaiting(t)
		}
	}
	for m.scheduleLive[rec.id].ticks > 0 {
		m.dropOldestTick(rec.id)
	}
	m.stalled.Delete(rec.id)
	delete(m.scheduleLive, rec.id)
}

// instanceBegins counts a job that a schedule made, if it still exists. The caller stores the job.
func (m *Machine) instanceBegins(j *logv1.Job) {
	live := m.scheduleLive[j.ScheduleId]
	if live == nil {
		return
	}
	live.instances++
	if inBacklog(j.FireCause) {
		live.backlog = j.Id
	}
}

// instanceEnds follows when a job of a schedule is final and its claim has ended: the schedule may start another one.
func (m *Machine) instanceEnds(j *logv1.Job) {
	live := m.scheduleLive[j.ScheduleId]
	if live == nil {
		return
	}
	live.instances--
	if live.backlog == j.Id {
		live.backlog, live.handed = 0, true
	}
	rec := *live.rec
	rec.lastEnd, rec.lastState = m.wall, j.State
	m.storeSchedule(live.rec, &rec)
	m.markPump(live)
}

// instanceClaimed notes the start of a job of a schedule.
func (m *Machine) instanceClaimed(j *logv1.Job) {
	live := m.scheduleLive[j.ScheduleId]
	if live == nil {
		return
	}
	rec := *live.rec
	rec.lastStart, rec.lastJob = m.wall, j.Id
	m.storeSchedule(live.rec, &rec)
}

// inBacklog: runs of this cause go one after another, and count as one instance together.
func inBacklog(c logv1.FireCause) bool {
	return c == logv1.FireCause_FIRE_CAUSE_CATCH_UP || c == logv1.FireCause_FIRE_CAUSE_BACKFILL
}
