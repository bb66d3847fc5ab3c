package fsm

import (
	"strconv"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// mostMany is how many jobs one CancelMany or RetryMany names. It belongs to Rules.
const mostMany = 1000

// many runs one after another; each job has its own outcome.
func (m *Machine) many(jobs []uint64, res *logv1.Result, one func(id uint64, out *logv1.ManyOutcome)) {
	if n := len(jobs); n < 1 || n > mostMany {
		res.Refusal = invalid("jobs", strconv.Itoa(n), "1..1000")
		return
	}
	out := &logv1.ManyResult{Outcomes: make([]*logv1.ManyOutcome, len(jobs))}
	for i, id := range jobs {
		out.Outcomes[i] = &logv1.ManyOutcome{Job: id}
		one(id, out.Outcomes[i])
	}
	res.Value = &logv1.Result_Many{Many: out}
}

func (m *Machine) cancelOfMany(id uint64, out *logv1.ManyOutcome) {
	out.Changed, out.State, out.Refusal = m.cancelJob(id)
}

// retryOfMany runs a job again at most once: two who select the same jobs at the same time do not double them.
func (m *Machine) retryOfMany(id uint64, out *logv1.ManyOutcome) {
	if old, ok := m.find(id); ok {
		out.State = old.job.State
		if next := old.job.RetriedAs; next != 0 {
			out.Refusal = refuse(logv1.Reason_REASON_WRONG_STATE, "job", number(id), "state", "retried_as_"+number(next))
			return
		}
	}
	out.NewJob, out.Refusal = m.retryJob(id)
	out.Changed = out.Refusal == nil
}
