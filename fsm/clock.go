package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// mostLeaseStep is the most by which one batch moves the lease clock, in milliseconds.
const mostLeaseStep = 1000

// far is later than every instant that a clock reaches, and leaves room to add two of it.
const far = int64(1) << 61

// advanceClocks: the wall clock never goes back; the lease clock moves only between two batches of one leadership, so never faster than
// real time (docs/design.md §4).
func (m *Machine) advanceClocks(b *logv1.Batch) {
	m.wall = max(m.wall, min(b.GetNowMs(), far))
	if m.started && b.GetLeadership() == m.leadership && b.GetMonotonicMs() > m.monotonic {
		step := uint64(b.GetMonotonicMs()) - uint64(m.monotonic) // cannot overflow as an unsigned difference
		m.lease += int64(min(step, mostLeaseStep))
	}
	m.started, m.leadership, m.monotonic = true, b.GetLeadership(), b.GetMonotonicMs()
}

// later is at + d for at, d >= 0, saturating at far.
func later(at, d int64) int64 {
	if d >= far || at >= far-d {
		return far
	}
	return at + d
}
