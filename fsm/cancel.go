package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

func (m *Machine) cancel(id uint64, res *logv1.Result) {
	did, state, refusal := m.cancelJob(id)
	if res.Refusal = refusal; refusal == nil {
		res.Value = &logv1.Result_Cancel{Cancel: &logv1.CancelResult{Cancelled: did, State: state}}
	}
}

// cancelJob ends a waiting job for good. A running one is cancelled at once too, but its claim lives on, and holds its slot, until the
// worker lets go or the lease or run limit ends. Of two racing cancels exactly one says that it did it.
func (m *Machine) cancelJob(id uint64) (did bool, state logv1.State, refusal *logv1.Refusal) {
	old, ok := m.find(id)
	if !ok {
		return false, none, refuse(logv1.Reason_REASON_UNKNOWN_JOB, "job", number(id))
	}
	if isFinal(old.job.State) {
		return false, old.job.State, nil
	}
	rec := old.edit()
	m.note(rec, logv1.StepKind_STEP_KIND_CANCELLED, 0)
	m.end(old, rec, cancelled, old.job.State == running)
	m.jobEvent(JobCancelled, rec.job)
	return true, cancelled, nil
}
