package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// jobRec is a job as it is stored. Neither it nor what it points to is ever changed.
type jobRec struct {
	job        *logv1.Job
	exclusions []*logv1.ExclusionRecord
	finish     *logv1.FinishRecord // how its last claim was finished; nil: it was not
	steps      []byte              // an encoded logv1.Steps
}

// jobOverhead is what a job costs beside its own bytes: the record and its entries in the indexes.
const jobOverhead = 512

func jobBytes(j *logv1.Job) int64 {
	n := jobOverhead + len(j.Kind) + len(j.Queue) + len(j.User) + len(j.Payload) + len(j.Result) + len(j.Error) + len(j.Coordinator) +
		len(j.Schedule)
	if p := j.Progress; p != nil {
		n += 64 + len(p.GetMessage())
	}
	return int64(n) + labelBytes(j.Labels)
}

func labelBytes(labels []*logv1.Label) (n int64) {
	for _, l := range labels {
		n += int64(32 + len(l.GetKey()) + len(l.GetValue()))
	}
	return n
}

// size is what the record counts in the bytes of the state.
func (r *jobRec) size() int64 { return jobBytes(r.job) + int64(len(r.steps)) }

// copyJob is a shallow copy, by hand: messages must not be copied by assignment, and a deep one would copy the payload. to is empty.
func copyJob(to, j *logv1.Job) {
	to.Id, to.Kind, to.Queue, to.User, to.Priority, to.State = j.Id, j.Kind, j.Queue, j.User, j.Priority, j.State
	to.Payload, to.PayloadIsJson, to.MemoryBytes = j.Payload, j.PayloadIsJson, j.MemoryBytes
	to.Attempt, to.Charged, to.MaxAttempts = j.Attempt, j.Charged, j.MaxAttempts
	to.EnqueuedMs, to.DueMs, to.StartedMs, to.FinishedMs = j.EnqueuedMs, j.DueMs, j.StartedMs, j.FinishedMs
	to.Fence, to.Worker, to.Lane, to.Result, to.Error = j.Fence, j.Worker, j.Lane, j.Result, j.Error
	to.Labels, to.RetryOf, to.RetriedAs, to.Place = j.Labels, j.RetryOf, j.RetriedAs, j.Place
	to.Limits, to.PlacedMs, to.Progress, to.Coordinator = j.Limits, j.PlacedMs, j.Progress, j.Coordinator
	to.FirstDueMs, to.Schedule, to.ScheduleId, to.FireMs, to.FireCause = j.FirstDueMs, j.Schedule, j.ScheduleId, j.FireMs, j.FireCause
}

func (f *facts) find(id uint64) (*jobRec, bool) {
	if rec, ok := f.jobs.Get(id); ok {
		return rec, true
	}
	return f.final.Get(id)
}

// ownRec is a record and its job in one allocation.
type ownRec struct {
	jobRec
	own logv1.Job
}

// newRec is an empty record with an empty job.
func newRec() *jobRec {
	r := &ownRec{}
	r.job = &r.own
	return &r.jobRec
}

// edit returns a copy of a record, whose job is a copy too, to be changed and then stored with put.
func (r *jobRec) edit() *jobRec {
	next := newRec()
	next.become(r)
	return next
}

// become a copy of another record; r is empty but for its job.
func (r *jobRec) become(old *jobRec) {
	copyJob(r.job, old.job)
	r.exclusions, r.finish, r.steps = old.exclusions, old.finish, old.steps
}

// finishedRec is an edit with the record of its finish.
type finishedRec struct {
	ownRec
	finished logv1.FinishRecord
}

// editFinish is edit with an empty record of a finish.
func (r *jobRec) editFinish() *jobRec {
	next := &finishedRec{}
	next.job = &next.own
	next.become(r)
	next.finish = &next.finished
	return &next.jobRec
}

// put stores the new record in place of the old one (nil: a new job), and keeps the counts, the bytes, the board and the due times.
func (m *Machine) put(old, rec *jobRec) {
	j, from := rec.job, none
	q := m.queueLive[j.Queue]
	if old != nil {
		from = old.job.State
		q.counts[from]--
		m.bytes -= old.size()
	}
	checkMove(j, from, j.State)
	q.counts[j.State]++
	m.bytes += rec.size()
	if from != j.State {
		m.leaveState(from, old)
		m.enterState(rec)
	}
	if !isFinal(j.State) {
		m.jobs.Set(j.Id, rec)
		return
	}
	if from != none && !isFinal(from) {
		m.jobs.Delete(j.Id)
	}
	m.final.Set(j.Id, rec)
}

func (m *Machine) leaveState(from logv1.State, old *jobRec) {
	switch from {
	case pending:
		m.leaveBoard(old.job)
		m.countWaiting(old.job, -1)
		m.unstampExclusions(old)
	case scheduled:
		m.dues.Delete(stamp{old.job.DueMs, old.job.Id})
	}
}

func (m *Machine) enterState(rec *jobRec) {
	j := rec.job
	switch j.State {
	case pending:
		m.board.Add(boardJob(j))
		m.countWaiting(j, 1)
		m.stampExclusions(rec)
	case scheduled:
		m.dues.Set(stamp{j.DueMs, j.Id})
	}
}

func boardJob(j *logv1.Job) scheduler.Job {
	return scheduler.Job{ID: JobID(j.Id), Queue: j.Queue, User: j.User, Priority: j.Priority, Place: scheduler.Place(j.Place),
		Size: scheduler.SizeOf(j.MemoryBytes), Coordinator: j.Coordinator, Due: j.FirstDueMs}
}

// pend makes a job pending. rec is an edit of old that is not stored yet.
func (m *Machine) pend(old, rec *jobRec, newPlace bool) {
	if newPlace {
		m.lastPlace++
		rec.job.Place, rec.job.PlacedMs = m.lastPlace, m.placed()
	}
	rec.job.State = pending
	letGo(rec.job)
	m.renewExclusions(rec)
	m.put(old, rec)
	m.noteReady(rec.job.Id, rec)
	m.jobEvent(JobReady, rec.job)
}

// schedule makes a job wait for an instant.
func (m *Machine) schedule(old, rec *jobRec, due int64) {
	rec.job.State, rec.job.DueMs = scheduled, due
	letGo(rec.job)
	m.put(old, rec)
}

// end makes a job final. What excluded workers from it is dropped. With no claim alive it settles at once.
func (m *Machine) end(old, rec *jobRec, s logv1.State, claimLives bool) {
	rec.job.State, rec.job.FinishedMs = s, m.wall
	m.dropExclusions(rec)
	m.put(old, rec)
	if !claimLives {
		m.settle(rec.job)
	}
}

// settle is the moment when a job is final and its claim has ended: from now on it is history.
func (m *Machine) settle(j *logv1.Job) {
	m.history.Set(stamp{j.FinishedMs, j.Id})
	q := m.queueLive[j.Queue]
	q.history.Set(stamp{j.FinishedMs, j.Id})
	m.indexRetention(j.Queue, q)
	m.userRests(j.User)
	if j.ScheduleId != 0 {
		m.instanceEnds(j)
	}
	m.countCoordinated(j, -1)
}

// letGo clears what belongs to a run: the job waits again.
func letGo(j *logv1.Job) {
	j.Fence, j.Worker, j.Lane, j.StartedMs = 0, "", 0, 0
}
