package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// retry enqueues a failed, timed out or cancelled job once more, as a new job. Both link to each other.
func (m *Machine) retry(id uint64, res *logv1.Result) {
	old, ok := m.find(id)
	if !ok {
		res.Refusal = refuse(logv1.Reason_REASON_UNKNOWN_JOB, "job", number(id))
		return
	}
	switch old.job.State {
	case failed, timedOut, cancelled:
	default:
		res.Refusal = refuse(logv1.Reason_REASON_WRONG_STATE, "job", number(id), "state", stateName(old.job.State))
		return
	}
	j := copyJob(old.job)
	j.Attempt, j.Charged, j.StartedMs, j.FinishedMs, j.Fence, j.Worker, j.Lane = 0, 0, 0, 0, 0, "", 0
	j.Result, j.Error, j.RetriedAs, j.DueMs = nil, "", 0, 0
	j.RetryOf, j.EnqueuedMs = id, m.wall
	if res.Refusal = m.room(&plan{}, j.User, jobBytes(j)); res.Refusal != nil {
		return
	}
	m.addJob(j, 0)
	link := old.edit()
	link.job.RetriedAs = j.Id
	m.put(old, link)
	res.Value = &logv1.Result_Retry{Retry: &logv1.RetryResult{Job: j.Id}}
}
