package fsm

import (
	"bytes"
	"math"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const defaultQueue = "default"

// enqueue adds jobs: each has its own outcome, or none is added unless all can be.
func (m *Machine) enqueue(e *logv1.Enqueue, r *enqueueReply) {
	if n := len(e.GetJobs()); n < 1 || n > mostJobs {
		r.result.Refusal = invalid("jobs", number(uint64(n)), "1..1000")
		return
	}
	outcomes := r.outcomes(len(e.GetJobs()))
	if e.GetAllOrNothing() && !m.allFit(e.GetJobs(), outcomes) {
		return
	}
	for i, n := range e.GetJobs() {
		m.enqueueOne(n, outcomes[i])
	}
}

// allFit tries all jobs without adding one. When one is refused it fills in the outcomes and returns false.
func (m *Machine) allFit(jobs []*logv1.NewJob, outcomes []*logv1.EnqueueOutcome) bool {
	p, fits := &plan{}, true
	for i, n := range jobs {
		_, _, refusal := m.admit(p, n)
		outcomes[i].Refusal = refusal
		fits = fits && refusal == nil
	}
	if fits {
		return true
	}
	for _, o := range outcomes {
		if o.Refusal == nil {
			o.Refusal = refuse(logv1.Reason_REASON_NOT_ALL)
		}
	}
	return false
}

func (m *Machine) enqueueOne(n *logv1.NewJob, out *logv1.EnqueueOutcome) {
	known, hash, refusal := m.admit(nil, n)
	if refusal != nil {
		out.Refusal = refusal
		return
	}
	if known != nil {
		out.Job, out.Deduplicated = known.GetJob(), true
		return
	}
	rec := m.jobOf(n)
	j := rec.job
	if n.GetInsertFront() {
		j.Priority = 1
		if top, found := m.board.FrontPriority(j.Queue, j.User); found {
			j.Priority = int32(min(int64(top)+1, math.MaxInt32))
		}
	}
	due := n.GetRunAtMs()
	if n.GetDelayMs() > 0 {
		due = later(m.wall, n.GetDelayMs())
	}
	if j.Coordinator = m.coordinatorOf(n); j.Coordinator != "" {
		if j.FirstDueMs = due; due == 0 {
			j.FirstDueMs = m.wall
		}
	}
	m.addJob(rec, due)
	if n.GetIdempotencyKey() != "" {
		m.addKey(n, hash, j.Id)
	}
	out.Job = j.Id
}

// jobOf is the job that was admitted, without what addJob fills in. It makes the queue.
func (m *Machine) jobOf(n *logv1.NewJob) *jobRec {
	queue := queueName(n)
	if !has(m.queues, queue) {
		m.makeQueue(&logv1.QueueRecord{Name: queue, Settings: &logv1.QueueSettings{}})
	}
	rec := newRec()
	j := rec.job
	j.Kind, j.Queue, j.User, j.Priority, j.Payload = n.GetKind(), queue, n.GetUser(), n.GetPriority(), n.GetPayload()
	j.PayloadIsJson, j.MemoryBytes, j.EnqueuedMs, j.Labels, j.Limits = n.GetPayloadIsJson(), n.GetMemoryBytes(), m.wall, n.GetLabels(), n.GetLimits()
	return rec
}

// addJob stores a new job: scheduled if its due time is to come, else pending.
func (m *Machine) addJob(rec *jobRec, due int64) {
	j := rec.job
	m.lastJob++
	m.lastPlace++
	j.Id, j.Place, j.MaxAttempts = m.lastJob, m.lastPlace, m.limitsOf(j).maxAttempts()
	m.userWorks(j.User)
	m.countCoordinated(j, 1)
	j.PlacedMs = 0
	enters := pending
	if due > m.wall {
		enters = scheduled
	}
	m.event(Event{Kind: JobEnqueued, Job: JobID(j.Id), Queue: j.Queue, User: j.User, State: enters, Schedule: j.Schedule})
	if enters == scheduled {
		m.note(rec, logv1.StepKind_STEP_KIND_DELAYED, due)
		m.schedule(nil, rec, due)
		return
	}
	j.PlacedMs = m.placed()
	if j.ScheduleId != 0 {
		m.note(rec, logv1.StepKind_STEP_KIND_FIRED, j.FireMs)
	} else {
		m.note(rec, logv1.StepKind_STEP_KIND_ENQUEUED, 0)
	}
	m.pend(nil, rec, false)
}

// placed is when a place is drawn, for the job that gets it.
func (m *Machine) placed() int64 {
	if m.batch.rules < 2 {
		return 0
	}
	return m.wall
}

func queueName(n *logv1.NewJob) string {
	if n.GetQueue() == "" {
		return defaultQueue
	}
	return n.GetQueue()
}

// admit checks one job, beside those that the plan holds, and adds it to the plan; nil: it is alone. It changes nothing of the machine. known is the key
// of a job that was enqueued before.
func (m *Machine) admit(p *plan, n *logv1.NewJob) (known *logv1.KeyRecord, hash []byte, refusal *logv1.Refusal) {
	if refusal = firstOf(checkNewJob(n), checkCoordinator(m.coordinatorOf(n))); refusal != nil {
		return nil, nil, refusal
	}
	key := keyOf(n)
	if key != "" {
		sum := m.hashOf(n)
		hash = sum[:]
		if known, ok := m.keys.Get(key); ok {
			if !bytes.Equal(known.GetHash(), hash) {
				return nil, nil, keyReused(n)
			}
			return known, hash, nil
		}
		if planned := p.hashOfKey(key); bytes.Equal(planned, hash) {
			return nil, hash, nil
		} else if planned != nil {
			return nil, nil, keyReused(n)
		}
		if refusal = full("max_idempotency_keys", int64(m.keys.Len())+p.numbers().keys, m.settings.GetMaxIdempotencyKeys()); refusal != nil {
			return nil, nil, refusal
		}
	}
	queue := queueName(n)
	newQueue := !has(m.queues, queue) && !p.hasQueue(queue)
	if newQueue {
		if !m.settings.GetCreateQueues() {
			return nil, nil, refuse(logv1.Reason_REASON_UNKNOWN_QUEUE, "queue", queue)
		}
		if refusal = full("max_queues", int64(m.queues.Len())+p.numbers().queues, m.settings.GetMaxQueues()); refusal != nil {
			return nil, nil, refusal
		}
	}
	size := m.newJobBytes(n) + keyBytes(key)
	newUser := !has(m.users, n.GetUser()) && !p.hasUser(n.GetUser())
	if refusal = m.room(p.numbers(), size, newUser); refusal != nil {
		return nil, nil, refusal
	}
	if p != nil {
		p.add(size, queue, newQueue, n.GetUser(), newUser, plannedKey{key, hash})
	}
	return nil, hash, nil
}

// room checks the numbers and bytes of the state for one more job.
func (m *Machine) room(p planned, size int64, newUser bool) *logv1.Refusal {
	if r := full("max_jobs", int64(m.jobs.Len()+m.final.Len())+p.jobs, m.settings.GetMaxJobs()); r != nil {
		return r
	}
	if m.bytes+p.bytes+size > m.settings.GetMaxStateBytes() {
		return refuse(logv1.Reason_REASON_STATE_FULL, "limit", "max_state_bytes", "value", decimal(m.bytes), "most", decimal(m.settings.GetMaxStateBytes()))
	}
	if newUser {
		return full("max_users", int64(m.users.Len())+p.users, m.settings.GetMaxUsers())
	}
	return nil
}

// newJobBytes are the jobBytes of the job that it would be.
func (m *Machine) newJobBytes(n *logv1.NewJob) int64 {
	return int64(jobOverhead+len(n.GetKind())+len(queueName(n))+len(n.GetUser())+len(n.GetPayload())+len(m.coordinatorOf(n))) + labelBytes(n.GetLabels())
}

func checkNewJob(n *logv1.NewJob) *logv1.Refusal {
	switch {
	case n.GetQueue() != "" && (n.GetQueue() == scheduler.Any || !scheduler.ValidName(n.GetQueue())):
		return invalid("queue", n.GetQueue(), "name")
	case len(n.GetPayload()) > mostPayload:
		return invalid("payload", number(uint64(len(n.GetPayload()))), "at most 1048576 bytes")
	case n.GetDelayMs() < 0:
		return invalid("delay_ms", decimal(n.GetDelayMs()), "0 or more")
	case n.GetRunAtMs() < 0:
		return invalid("run_at_ms", decimal(n.GetRunAtMs()), "0 or more")
	case n.GetDelayMs() > 0 && n.GetRunAtMs() > 0:
		return invalid("delay_ms", decimal(n.GetDelayMs()), "not together with run_at_ms")
	case n.GetMemoryBytes() > mostMemory:
		return invalid("memory_bytes", number(n.GetMemoryBytes()), "at most 2^62")
	case len(n.GetLabels()) > mostLabels:
		return invalid("labels", number(uint64(len(n.GetLabels()))), "at most 64")
	}
	for _, l := range n.GetLabels() {
		if r := firstOf(checkText("labels", l.GetKey(), 1, mostName), checkText("labels", l.GetValue(), 0, mostText)); r != nil {
			return r
		}
	}
	return firstOf(checkText("kind", n.GetKind(), 1, mostName), checkText("user", n.GetUser(), 0, mostName),
		checkText("idempotency_key", n.GetIdempotencyKey(), 0, mostName), checkLimits(n.GetLimits()))
}
