package fsm

import (
	"slices"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// heartbeat renews the leases of the listed claims and names those of the session that are not listed.
func (m *Machine) heartbeat(h *logv1.Heartbeat, r *heartbeatReply) {
	res := r.result
	if res.Refusal = checkFences(h.GetFences()); res.Refusal != nil {
		return
	}
	s, refusal := m.touch(h.GetSession())
	if res.Refusal = refusal; refusal != nil {
		return
	}
	out := &r.out
	out.Draining = s.draining
	if out.Statuses = r.statuses[:0]; len(h.GetFences()) > len(r.statuses) {
		out.Statuses = make([]logv1.ClaimStatus, 0, len(h.GetFences()))
	}
	for _, fence := range h.GetFences() {
		out.Statuses = append(out.Statuses, m.beat(s.id, fence))
	}
	listed := h.GetFences()
	if !slices.IsSorted(listed) {
		listed = slices.Clone(listed)
		slices.Sort(listed)
	}
	for _, fence := range m.live[s.id].fences {
		if _, ok := slices.BinarySearch(listed, fence); !ok {
			out.Unlisted = append(out.Unlisted, fence)
		}
	}
	r.value.Heartbeat = out
	res.Value = &r.value
}

func (m *Machine) beat(session, fence uint64) logv1.ClaimStatus {
	c, rec, ok := m.held(session, fence)
	if !ok {
		return logv1.ClaimStatus_CLAIM_STATUS_LOST
	}
	return m.renew(fence, c, rec)
}

// renew makes the lease of a live claim whole again.
func (m *Machine) renew(fence uint64, c claim, rec *jobRec) logv1.ClaimStatus {
	before := c.end()
	c.ends = later(m.lease, c.lease)
	m.claims.Set(fence, c)
	if c.end() != before {
		m.leaseEnds.Set(stamp{c.end(), fence})
		m.leaseEnds.Delete(stamp{before, fence})
	}
	if rec.job.State == cancelled {
		return logv1.ClaimStatus_CLAIM_STATUS_CANCELLED
	}
	return logv1.ClaimStatus_CLAIM_STATUS_OK
}
