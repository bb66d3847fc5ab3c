package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// release gives jobs back: pending at once in their old place, not charged, nobody excluded.
func (m *Machine) release(r *logv1.Release, res *logv1.Result) {
	if res.Refusal = checkFences(r.GetFences()); res.Refusal != nil {
		return
	}
	s, refusal := m.touch(r.GetSession())
	if res.Refusal = refusal; refusal != nil {
		return
	}
	out := &logv1.ReleaseResult{}
	for _, fence := range r.GetFences() {
		status := logv1.ClaimStatus_CLAIM_STATUS_LOST
		if _, _, ok := m.held(s.id, fence); ok {
			status = m.giveBack(fence)
		}
		out.Statuses = append(out.Statuses, status)
	}
	res.Value = &logv1.Result_Release{Release: out}
}

// giveBack releases one live claim.
func (m *Machine) giveBack(fence uint64) logv1.ClaimStatus {
	c, _ := m.claims.Get(fence)
	old := m.claimed(c)
	m.drop(fence, c, old.job)
	if old.job.State == cancelled {
		m.endCancelled(old, logv1.StepKind_STEP_KIND_LET_GO)
		return logv1.ClaimStatus_CLAIM_STATUS_CANCELLED
	}
	rec := old.edit()
	m.note(rec, logv1.StepKind_STEP_KIND_RELEASED, 0)
	m.pend(old, rec, false)
	m.claimEvent(JobReleased, fence, c, old.job, pending)
	return logv1.ClaimStatus_CLAIM_STATUS_OK
}
