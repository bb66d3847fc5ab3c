package fsm

import (
	"bytes"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// finish ends a claim by its worker's word. It is idempotent by fence: the same whole outcome again gets the same answer, whichever
// session asks, as long as the job's last claim is that one and history keeps it.
func (m *Machine) finish(f *logv1.Finish, res *logv1.Result) {
	if res.Refusal = checkFinish(f); res.Refusal != nil {
		return
	}
	s, refusal := m.touch(f.GetSession())
	if res.Refusal = refusal; refusal != nil {
		return
	}
	hash := hashOf(&logv1.Finish{Outcome: f.GetOutcome()})
	out := &logv1.FinishResult{}
	res.Value = &logv1.Result_Finish{Finish: out}
	c, old, ok := m.held(s.id, f.GetFence())
	if !ok {
		m.finishAgain(f.GetFence(), hash, out)
		return
	}
	m.drop(f.GetFence(), c, old.job)
	m.finishes[f.GetFence()] = c.job
	m.finished++
	rec := old.edit()
	rec.finish = &logv1.FinishRecord{Fence: f.GetFence(), Hash: hash, State: cancelled, Cancelled: true}
	if old.job.State == cancelled {
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

func (m *Machine) finishAgain(fence uint64, hash []byte, out *logv1.FinishResult) {
	id, ok := m.finishes[fence]
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
		m.end(old, rec, succeeded, false)
		m.jobEvent(JobFinished, j)
	case *logv1.Finish_Failure:
		j.Error = o.Failure.GetError()
		j.Charged++
		delay := m.backoff(j)
		if o.Failure.RetryAfterMs != nil {
			delay = o.Failure.GetRetryAfterMs()
		}
		m.again(old, rec, delay, failed, o.Failure.GetDiscard())
	case *logv1.Finish_Snooze:
		if o.Snooze.GetDelayMs() == 0 {
			m.pend(old, rec, true)
			return
		}
		m.schedule(old, rec, later(m.wall, o.Snooze.GetDelayMs()))
		m.jobEvent(JobRetry, j)
	}
}

// again follows a failed or lost run, which is charged already: another attempt after the delay, or the final state last.
func (m *Machine) again(old, rec *jobRec, delay int64, last logv1.State, never bool) {
	j := rec.job
	if never || j.Charged >= m.maxAttempts(j) {
		m.end(old, rec, last, false)
		m.jobEvent(JobFinished, j)
		return
	}
	worker := j.Worker
	m.exclude(rec, worker)
	if delay == 0 {
		m.pend(old, rec, true)
	} else {
		m.schedule(old, rec, later(m.wall, delay))
		m.jobEvent(JobRetry, j)
	}
	m.liftOldest(worker)
}

// lose ends a claim whose lease or run limit ended, or whose worker is gone.
func (m *Machine) lose(fence uint64, kind EventKind) {
	c, _ := m.claims.Get(fence)
	old := m.claimed(c)
	m.drop(fence, c, old.job)
	if old.job.State == cancelled {
		m.settle(old.job)
		m.claimEvent(kind, fence, c, old.job, cancelled)
		return
	}
	rec := old.edit()
	rec.job.Charged++
	m.again(old, rec, 0, timedOut, m.onTimeout(rec.job) == logv1.OnTimeout_ON_TIMEOUT_FAIL)
	m.claimEvent(kind, fence, c, old.job, rec.job.State)
}

// claimEvent tells how a claim ended; state is the job's after it.
func (m *Machine) claimEvent(kind EventKind, fence uint64, c claim, j *logv1.Job, s logv1.State) {
	m.event(Event{Kind: kind, Job: JobID(c.job), Queue: j.Queue, User: j.User, State: s, Fence: Fence(fence), Session: SessionID(c.session),
		Worker: j.Worker, Lane: c.lane})
}
