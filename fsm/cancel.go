package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// cancel ends a waiting job for good. A running one is cancelled at once too, but its claim lives on, and holds its slot, until the worker
// lets go or the lease or run limit ends. Of two racing cancels exactly one says that it did it.
func (m *Machine) cancel(id uint64, res *logv1.Result) {
	old, ok := m.find(id)
	if !ok {
		res.Refusal = refuse(logv1.Reason_REASON_UNKNOWN_JOB, "job", number(id))
		return
	}
	out := &logv1.CancelResult{State: old.job.State}
	res.Value = &logv1.Result_Cancel{Cancel: out}
	if isFinal(old.job.State) {
		return
	}
	rec := old.edit()
	m.end(old, rec, cancelled, old.job.State == running)
	m.jobEvent(JobCancelled, rec.job)
	out.Cancelled, out.State = true, cancelled
}
