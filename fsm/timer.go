package fsm

import (
	"github.com/tidwall/btree"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// mostTimers is how many timers of one kind a batch runs. One batch creates far fewer (docs/design.md §3 law 9).
const mostTimers = 4096

// runTimers runs what is due, by (end, fence), (end, session), (end, job); the rest comes in the next batch.
func (m *Machine) runTimers() {
	runDue(m, m.leaseEnds, m.lease, func(s stamp) int64 { return s.at }, func(s stamp) {
		why := byLease
		if c, _ := m.claims.Get(s.id); c.runEnds > 0 && c.runEnds <= c.ends {
			why = byRunLimit
		}
		m.lose(s.id, why)
	})
	runDue(m, m.sessionEnds, m.lease, func(s stamp) int64 { return s.at }, func(s stamp) {
		old, _ := m.sessions.Get(s.id)
		m.close(old, false)
	})
	runDue(m, m.dues, m.wall, func(s stamp) int64 { return s.at }, func(s stamp) {
		old, _ := m.jobs.Get(s.id)
		rec := old.edit()
		m.note(rec, logv1.StepKind_STEP_KIND_DUE, 0)
		m.pend(old, rec, true)
	})
	runDue(m, m.keyEnds, m.wall, func(s nameStamp) int64 { return s.at }, m.dropKey)
	m.wakeExcluded()
	m.runRetention()
	runDue(m, m.idleEnds, m.wall, func(s nameStamp) int64 { return s.at }, m.forgetUser)
}

// runDue runs the due timers of one kind up to the bound. run takes its timer out of the tree.
func runDue[T any](m *Machine, tree *btree.BTreeG[T], clock int64, at func(T) int64, run func(T)) {
	for range mostTimers {
		first, ok := tree.Min()
		if !ok || at(first) > clock {
			return
		}
		run(first)
	}
	if first, ok := tree.Min(); ok && at(first) <= clock {
		m.batch.out.More = true
	}
}

// wakeExcluded lists the jobs whose exclusions ended. It changes no fact, so it needs no bound beside the number of exclusions.
func (m *Machine) wakeExcluded() {
	for {
		first, ok := m.exclEnds.Min()
		if !ok || first.at > m.wall {
			return
		}
		m.exclEnds.Delete(first)
		m.noteReady(first.id, nil)
	}
}

// NextTimers says when the next timers of both clocks are due, in milliseconds.
func (m *Machine) NextTimers() (wallMs, leaseMs int64, hasWall, hasLease bool) {
	note := func(best *int64, has *bool, at int64, ok bool) {
		if ok && (!*has || at < *best) {
			*best, *has = at, true
		}
	}
	for _, tree := range []*btree.BTreeG[stamp]{m.dues, m.exclEnds} {
		first, ok := tree.Min()
		note(&wallMs, &hasWall, first.at, ok)
	}
	for _, tree := range []*btree.BTreeG[nameStamp]{m.keyEnds, m.idleEnds, m.retainEnds} {
		first, ok := tree.Min()
		note(&wallMs, &hasWall, max(first.at, 0), ok)
	}
	note(&wallMs, &hasWall, m.wall, m.stalled.Len() > 0) // waiting ticks that a bounded pump left over
	for _, tree := range []*btree.BTreeG[stamp]{m.leaseEnds, m.sessionEnds} {
		first, ok := tree.Min()
		note(&leaseMs, &hasLease, first.at, ok)
	}
	return wallMs, leaseMs, hasWall, hasLease
}
