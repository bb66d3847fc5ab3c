package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

func (m *Machine) retry(id uint64, res *logv1.Result) {
	made, refusal := m.retryJob(id)
	if res.Refusal = refusal; refusal == nil {
		res.Value = &logv1.Result_Retry{Retry: &logv1.RetryResult{Job: made}}
	}
}

// retryJob enqueues a failed, timed out or cancelled job once more, as a new job. Both link to each other. It keeps its coordinator, where it
// is due now, and is of no schedule.
func (m *Machine) retryJob(id uint64) (made uint64, refusal *logv1.Refusal) {
	old, ok := m.find(id)
	if !ok {
		return 0, refuse(logv1.Reason_REASON_UNKNOWN_JOB, "job", number(id))
	}
	switch old.job.State {
	case failed, timedOut, cancelled:
	default:
		return 0, refuse(logv1.Reason_REASON_WRONG_STATE, "job", number(id), "state", stateName(old.job.State))
	}
	rec := newRec()
	j := rec.job
	copyJob(j, old.job)
	j.Attempt, j.Charged, j.StartedMs, j.FinishedMs, j.Fence, j.Worker, j.Lane = 0, 0, 0, 0, 0, "", 0
	j.Result, j.Error, j.RetriedAs, j.DueMs, j.Progress = nil, "", 0, 0, nil
	j.RetryOf, j.EnqueuedMs = id, m.wall
	j.Schedule, j.ScheduleId, j.FireMs, j.FireCause = "", 0, 0, 0 // a run by hand is no instance
	if j.Coordinator != "" || j.FirstDueMs != 0 {
		j.FirstDueMs = m.wall
	}
	if refusal = m.room(planned{}, jobBytes(j), !has(m.users, j.User)); refusal != nil {
		return 0, refusal
	}
	m.addJob(rec, 0)
	link := old.edit()
	link.job.RetriedAs = j.Id
	m.note(link, logv1.StepKind_STEP_KIND_RETRIED_BY_HAND, 0)
	m.put(old, link)
	return j.Id, nil
}
