package fsm

import (
	"bytes"
	"math"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const defaultQueue = "default"

// plan is what the jobs of an all-or-nothing command before this one would add.
type plan struct {
	jobs, bytes   int64
	queues, users []string
	keys          []plannedKey
}

type plannedKey struct {
	id   string
	hash []byte
}

// enqueue adds jobs: each has its own outcome, or none is added unless all can be.
func (m *Machine) enqueue(e *logv1.Enqueue, res *logv1.Result) {
	if n := len(e.GetJobs()); n < 1 || n > mostJobs {
		res.Refusal = invalid("jobs", number(uint64(n)), "1..1000")
		return
	}
	out := &logv1.EnqueueResult{Outcomes: make([]*logv1.EnqueueOutcome, len(e.GetJobs()))}
	res.Value = &logv1.Result_Enqueue{Enqueue: out}
	if e.GetAllOrNothing() && !m.allFit(e.GetJobs(), out.Outcomes) {
		return
	}
	for i, n := range e.GetJobs() {
		out.Outcomes[i] = m.enqueueOne(n)
	}
}

// allFit tries all jobs without adding one. When one is refused it fills in the outcomes and returns false.
func (m *Machine) allFit(jobs []*logv1.NewJob, outcomes []*logv1.EnqueueOutcome) bool {
	p, fits := &plan{}, true
	for i, n := range jobs {
		_, _, refusal := m.admit(p, n)
		outcomes[i] = &logv1.EnqueueOutcome{Refusal: refusal}
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

func (m *Machine) enqueueOne(n *logv1.NewJob) *logv1.EnqueueOutcome {
	known, hash, refusal := m.admit(&plan{}, n)
	if refusal != nil {
		return &logv1.EnqueueOutcome{Refusal: refusal}
	}
	if known != nil {
		return &logv1.EnqueueOutcome{Job: known.GetJob(), Deduplicated: true}
	}
	j := m.jobOf(n)
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
	m.addJob(j, due)
	if n.GetIdempotencyKey() != "" {
		m.addKey(n, hash, j.Id)
	}
	return &logv1.EnqueueOutcome{Job: j.Id}
}

// jobOf is the job that was admitted, without what addJob fills in. It makes the queue.
func (m *Machine) jobOf(n *logv1.NewJob) *logv1.Job {
	queue := queueName(n)
	if !has(m.queues, queue) {
		m.makeQueue(&logv1.QueueRecord{Name: queue, Settings: &logv1.QueueSettings{}})
	}
	return &logv1.Job{Kind: n.GetKind(), Queue: queue, User: n.GetUser(), Priority: n.GetPriority(), Payload: n.GetPayload(),
		PayloadIsJson: n.GetPayloadIsJson(), MemoryBytes: n.GetMemoryBytes(), EnqueuedMs: m.wall, Labels: n.GetLabels(), Limits: n.GetLimits()}
}

// addJob stores a new job: scheduled if its due time is to come, else pending.
func (m *Machine) addJob(j *logv1.Job, due int64) {
	m.lastJob++
	m.lastPlace++
	j.Id, j.Place, j.MaxAttempts = m.lastJob, m.lastPlace, m.maxAttempts(j)
	m.userWorks(j.User)
	m.countCoordinated(j, 1)
	j.PlacedMs = 0
	rec := &jobRec{job: j}
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

// admit checks one job, beside those that the plan holds, and adds it to the plan. It changes nothing of the machine. known is the key
// of a job that was enqueued before.
func (m *Machine) admit(p *plan, n *logv1.NewJob) (known *logv1.KeyRecord, hash []byte, refusal *logv1.Refusal) {
	if refusal = firstOf(checkNewJob(n), checkCoordinator(m.coordinatorOf(n))); refusal != nil {
		return nil, nil, refusal
	}
	key := keyOf(n)
	if key != "" {
		hash = hashOf(n)
		if known, ok := m.keys.Get(key); ok {
			if !bytes.Equal(known.GetHash(), hash) {
				return nil, nil, keyReused(n)
			}
			return known, hash, nil
		}
		for _, k := range p.keys {
			if k.id == key && bytes.Equal(k.hash, hash) {
				return nil, hash, nil
			} else if k.id == key {
				return nil, nil, keyReused(n)
			}
		}
		if refusal = full("max_idempotency_keys", int64(m.keys.Len()+len(p.keys)), m.settings.GetMaxIdempotencyKeys()); refusal != nil {
			return nil, nil, refusal
		}
	}
	queue := queueName(n)
	newQueue := !p.has(p.queues, queue) && !has(m.queues, queue)
	if newQueue {
		if !m.settings.GetCreateQueues() {
			return nil, nil, refuse(logv1.Reason_REASON_UNKNOWN_QUEUE, "queue", queue)
		}
		if refusal = full("max_queues", int64(m.queues.Len()+len(p.queues)), m.settings.GetMaxQueues()); refusal != nil {
			return nil, nil, refusal
		}
	}
	size := m.newJobBytes(n) + keyBytes(key)
	if refusal = m.room(p, n.GetUser(), size); refusal != nil {
		return nil, nil, refusal
	}
	p.jobs++
	p.bytes += size
	if newQueue {
		p.queues = append(p.queues, queue)
	}
	if !has(m.users, n.GetUser()) && !p.has(p.users, n.GetUser()) {
		p.users = append(p.users, n.GetUser())
	}
	if key != "" {
		p.keys = append(p.keys, plannedKey{key, hash})
	}
	return nil, hash, nil
}

// room checks the numbers and bytes of the state for one more job.
func (m *Machine) room(p *plan, user string, size int64) *logv1.Refusal {
	if r := full("max_jobs", int64(m.jobs.Len()+m.final.Len())+p.jobs, m.settings.GetMaxJobs()); r != nil {
		return r
	}
	if m.bytes+p.bytes+size > m.settings.GetMaxStateBytes() {
		return refuse(logv1.Reason_REASON_STATE_FULL, "limit", "max_state_bytes", "value", decimal(m.bytes), "most", decimal(m.settings.GetMaxStateBytes()))
	}
	if !has(m.users, user) && !p.has(p.users, user) {
		return full("max_users", int64(m.users.Len()+len(p.users)), m.settings.GetMaxUsers())
	}
	return nil
}

func (p *plan) has(list []string, name string) bool {
	for _, known := range list {
		if known == name {
			return true
		}
	}
	return false
}

func (m *Machine) newJobBytes(n *logv1.NewJob) int64 {
	return jobBytes(&logv1.Job{Kind: n.GetKind(), Queue: queueName(n), User: n.GetUser(), Payload: n.GetPayload(), Labels: n.GetLabels(),
		Coordinator: m.coordinatorOf(n)})
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
