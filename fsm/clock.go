package fsm

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// mostLeaseStep is the most by which one batch moves the lease clock, in milliseconds.
const mostLeaseStep = 1000

// far is later than every instant that a clock reaches, and leaves room to add two of it.
const far = int64(1) << 61

// advanceClocks: the wall clock never goes back, but by SetClock; the lease clock moves only between two batches of one leadership, so never faster than
// real time (docs/design.md §4).
func (m *Machine) advanceClocks(b *logv1.Batch) {
	m.wall = max(m.wall, min(b.GetNowMs(), far))
	if m.started && b.GetLeadership() == m.leadership && b.GetMonotonicMs() > m.monotonic {
		step := uint64(b.GetMonotonicMs()) - uint64(m.monotonic) // cannot overflow as an unsigned difference
		m.lease += int64(min(step, mostLeaseStep))
	}
	m.started, m.leadership, m.monotonic = true, b.GetLeadership(), b.GetMonotonicMs()
}

// setClock sets the wall clock back, where a wrong one had advanced it. What was computed from the wrong time stays: fires that were taken, due
// times, histories. Only back: forward it goes by itself.
func (m *Machine) setClock(c *logv1.SetClock, res *logv1.Result) {
	if c.GetNowMs() < 0 || c.GetNowMs() > m.wall {
		res.Refusal = invalid("now_ms", decimal(c.GetNowMs()), "0.."+decimal(m.wall))
		return
	}
	m.wall = c.GetNowMs()
	m.excluded.Scan(func(x lapse) bool { // exclusions that had run out hold again, so they end again
		if rec, ok := m.jobs.Get(x.job); ok && rec.job.State == pending {
			m.stampExclusions(rec)
		}
		return true
	})
}

// later is at + d for at, d >= 0, saturating at far.
func later(at, d int64) int64 {
	if d >= far || at >= far-d {
		return far
	}
	return at + d
}
