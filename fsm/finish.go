package fsm

import (
	"bytes"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// finish ends a claim by its worker's word. It is idempotent by fence: the same whole outcome again gets the same answer, whichever
// session asks, as long as the job's last claim is that one and history keeps it.
func (m *Machine) finish(f *logv1.Finish, r *finishReply) {
	res := r.result
	if res.Refusal = checkFinish(f); res.Refusal != nil {
		return
	}
	s, refusal := m.touch(f.GetSession())
	if res.Refusal = refusal; refusal != nil {
		return
	}
	hash := m.outcomeHash(f)
	out := &r.out
	c, old, ok := m.held(s.id, f.GetFence())
	if ok {
		if res.Refusal = m.takeRest(f.GetRest(), old.job); res.Refusal != nil {
			return
		}
	}
	r.value.Finish = out
	res.Value = &r.value
	if !ok {
		m.finishAgain(f.GetFence(), hash, out)
		return
	}
	m.drop(f.GetFence(), c, old.job)
	m.finishes.set(f.GetFence(), c.job)
	m.finished++
	rec := old.editFinish()
	rec.finish.Fence, rec.finish.Hash, rec.finish.State, rec.finish.Cancelled = f.GetFence(), hash, cancelled, true
	if old.job.State == cancelled {
		m.note(rec, logv1.StepKind_STEP_KIND_LET_GO, 0)
		m.put(old, rec)
		m.settle(rec.job)
	} else {
		rec.finish.Cancelled = false
		m.outcome(f, old, rec)
	}
	out.State, out.Cancelled = rec.job.State, rec.finish.Cancelled
	if !out.Cancelled {
		m.noteFinish(rec, out.State)
	}
}

// noteFinish completes the record of a finish, which the snapshot must know: the state was not known before the job was stored.
// The record is this call's own, so nobody has seen it yet.
func (m *Machine) noteFinish(rec *jobRec, s logv1.State) { rec.finish.State = s }

// outcomeHash tells a repeated finish from another one. The slice must not be changed. Most outcomes are like the one before (no result), and
// share its slice.
func (m *Machine) outcomeHash(f *logv1.Finish) []byte {
	var hash digest
	if data, ok := appendOutcome(m.scratch[:0], f); ok {
		hash = m.sum(data)
	} else {
		hash = m.hashOf(&logv1.Finish{Outcome: f.GetOutcome()})
	}
	if !bytes.Equal(hash[:], m.lastOutcome) {
		m.lastOutcome = bytes.Clone(hash[:])
	}
	return m.lastOutcome
}

func (m *Machine) finishAgain(fence uint64, hash []byte, out *logv1.FinishResult) {
	id, ok := m.finishes.get(fence)
	if ok {
		rec, _ := m.find(id)
		if bytes.Equal(rec.finish.GetHash(), hash) {
			out.State, out.Cancelled = rec.finish.GetState(), rec.finish.GetCancelled()
			return
		}
	}
	out.Refusal = refuse(logv1.Reason_REASON_LOST_CLAIM, "fence", number(fence))
}

// outcome moves the job of a claim that just ended.
func (m *Machine) outcome(f *logv1.Finish, old, rec *jobRec) {
	j := rec.job
	switch o := f.GetOutcome().(type) {
	case *logv1.Finish_Success:
		j.Result, j.Error = o.Success.GetResult(), ""
		m.note(rec, logv1.StepKind_STEP_KIND_SUCCEEDED, 0)
		m.end(old, rec, succeeded, false)
		m.jobEvent(JobFinished, j)
	case *logv1.Finish_Failure:
		j.Error = o.Failure.GetError()
		j.Charged++
		delay := m.backoff(j)
		if o.Failure.RetryAfterMs != nil {
			delay = o.Failure.GetRetryAfterMs()
		}
		how := ending{state: failed, never: o.Failure.GetDiscard(), retry: logv1.StepKind_STEP_KIND_FAILED_RETRY, last: logv1.StepKind_STEP_KIND_FAILED}
		if how.never {
			how.last = logv1.StepKind_STEP_KIND_DISCARDED
		}
		m.again(old, rec, delay, how)
	case *logv1.Finish_Snooze:
		if o.Snooze.GetDelayMs() == 0 {
			m.note(rec, logv1.StepKind_STEP_KIND_SNOOZED, 0)
			m.pend(old, rec, true)
			return
		}
		due := later(m.wall, o.Snooze.GetDelayMs())
		m.note(rec, logv1.StepKind_STEP_KIND_SNOOZED, due)
		m.schedule(old, rec, due)
		m.jobEvent(JobRetry, j)
	}
}

// ending says how a run ended that did not succeed.
type ending struct {
	state       logv1.State // if it was the last
	never       bool        // no other attempt, even if one is left
	retry, last logv1.StepKind
}

// again follows a failed or lost run, which is charged already: another attempt after the delay, or the final state.
func (m *Machine) again(old, rec *jobRec, delay int64, how ending) {
	j := rec.job
	if how.never || j.Charged >= m.limitsOf(j).maxAttempts() {
		m.note(rec, how.last, 0)
		m.end(old, rec, how.state, false)
		m.jobEvent(JobFinished, j)
		return
	}
	worker := j.Worker
	m.exclude(rec, worker)
	if delay == 0 {
		m.note(rec, how.retry, 0)
		m.pend(old, rec, true)
	} else {
		due := later(m.wall, delay)
		m.note(rec, how.retry, due)
		m.schedule(old, rec, due)
		m.jobEvent(JobRetry, j)
	}
	m.liftOldest(worker)
}

// loss is why a claim was lost.
type loss struct {
	event       EventKind
	retry, last logv1.StepKind
}

var (
	byLease    = loss{LeaseEnded, logv1.StepKind_STEP_KIND_LEASE_ENDED_RETRY, logv1.StepKind_STEP_KIND_LEASE_ENDED}
	byRunLimit = loss{RunLimit, logv1.StepKind_STEP_KIND_RUN_LIMIT_RETRY, logv1.StepKind_STEP_KIND_RUN_LIMIT}
	byGone     = loss{LeaseEnded, logv1.StepKind_STEP_KIND_WORKER_GONE_RETRY, logv1.StepKind_STEP_KIND_WORKER_GONE}
)

// lose ends a claim whose lease or run limit ended, or whose worker is gone.
func (m *Machine) lose(fence uint64, why loss) {
	c, _ := m.claims.Get(fence)
	old := m.claimed(c)
	m.drop(fence, c, old.job)
	if old.job.State == cancelled {
		m.endCancelled(old, why.last)
		m.claimEvent(why.event, fence, c, old.job, cancelled)
		return
	}
	rec := old.edit()
	rec.job.Charged++
	never := m.onTimeout(rec.job) == logv1.OnTimeout_ON_TIMEOUT_FAIL
	m.again(old, rec, 0, ending{state: timedOut, never: never, retry: why.retry, last: why.last})
	m.claimEvent(why.event, fence, c, old.job, rec.job.State)
}

// endCancelled is the end of the claim of a job that was cancelled while it ran.
func (m *Machine) endCancelled(old *jobRec, kind logv1.StepKind) {
	if m.batch.rules >= 2 {
		rec := old.edit()
		m.note(rec, kind, 0)
		m.put(old, rec)
	}
	m.settle(old.job)
}

// claimEvent tells how a claim ended; state is the job's after it.
func (m *Machine) claimEvent(kind EventKind, fence uint64, c claim, j *logv1.Job, s logv1.State) {
	m.event(Event{Kind: kind, Job: JobID(c.job), Queue: j.Queue, User: j.User, State: s, Fence: Fence(fence), Session: SessionID(c.session),
		Worker: j.Worker, Lane: c.lane, Schedule: j.Schedule})
}
