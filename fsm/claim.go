package fsm

import (
	"slices"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// claim is a job in the hands of a lane. It is live as long as it is stored.
type claim struct {
	job, session uint64
	lane         uint32
	lease        int64 // length
	ends         int64 // lease clock
	runEnds      int64 // lease clock; 0: no limit
}

// end is when the claim's timer is due.
func (c claim) end() int64 {
	if c.runEnds > 0 {
		return min(c.ends, c.runEnds)
	}
	return c.ends
}

// lane checks everything but the board: who asks, whether it may, whether the lane has a free slot. It changes nothing.
func (m *Machine) lane(s *session, lane uint32) (logv1.Empty, *logv1.Refusal) {
	switch {
	case !s.worker:
		return 0, refuse(logv1.Reason_REASON_NOT_A_WORKER)
	case int64(lane) >= int64(len(s.lanes)):
		return 0, refuse(logv1.Reason_REASON_UNKNOWN_LANE, "lane", number(uint64(lane)), "lanes", number(uint64(len(s.lanes))))
	case s.draining:
		return logv1.Empty_EMPTY_DRAINING, nil
	case m.live[s.id].lanes[lane].slots >= s.lanes[lane].GetSlots():
		return logv1.Empty_EMPTY_AT_CAPACITY, nil
	}
	return 0, nil
}

// claim hands out at most one job, and fills in the answer unless it refuses.
func (m *Machine) claim(id uint64, lane uint32, out *logv1.ClaimResult) *logv1.Refusal {
	s, refusal := m.touch(id)
	if refusal != nil {
		return refusal
	}
	empty, refusal := m.lane(s, lane)
	if refusal != nil {
		return refusal
	}
	if out.Lane = lane; empty != 0 {
		out.Empty = empty
		return nil
	}
	pick, ok := m.board.Next(m.offer(s, lane))
	if !ok {
		out.Empty = logv1.Empty_EMPTY_NOTHING
		return nil
	}
	m.take(s, lane, pick, out)
	return nil
}

// offer is what a lane can take now.
func (m *Machine) offer(s *session, lane uint32) scheduler.Offer {
	l := s.lanes[lane]
	o := scheduler.Offer{Chain: l.GetChain(), User: s.user, OnlyUser: s.user != "", Excluded: m.excludedFrom(s)}
	if l.GetMemoryBytes() > 0 {
		o.Limited, o.FreeBytes = true, l.GetMemoryBytes()-m.live[s.id].lanes[lane].memory
	}
	return o
}

func (m *Machine) take(s *session, lane uint32, pick scheduler.Pick, out *logv1.ClaimResult) {
	old, ok := m.jobs.Get(uint64(pick.Job.ID))
	if !ok {
		panic("broken invariant: the board holds a job that is not waiting")
	}
	m.lastClaim++
	fence := uint64(m.epoch)<<fenceBits | m.lastClaim
	rec := old.edit()
	j := rec.job
	if rec.finish != nil {
		m.finishes.drop(rec.finish.GetFence())
		rec.finish = nil
	}
	j.State, j.Fence, j.Worker, j.Lane, j.StartedMs = running, fence, s.name, lane, m.wall
	j.DueMs, j.Progress = 0, nil
	j.Attempt++
	l := m.limitsOf(j)
	j.MaxAttempts = l.maxAttempts()
	m.note(rec, logv1.StepKind_STEP_KIND_CLAIMED, 0)
	waiting := m.board.Waiting()
	if j.Coordinator != "" { // before its next job could take its place
		m.board.CloseCoordinator(j.Coordinator)
	}
	m.put(old, rec)
	c := claim{job: j.Id, session: s.id, lane: lane, lease: l.lease()}
	c.ends = later(m.lease, c.lease)
	if j.ScheduleId != 0 {
		m.instanceClaimed(j)
	}
	maxRun := l.maxRun()
	if maxRun > 0 {
		c.runEnds = later(m.lease, maxRun)
	}
	m.claims.Set(fence, c)
	m.enlistClaim(fence, c, j)
	m.indexSession(s.id)
	var before turn
	if s.user == "" {
		before, _ = m.turns.Set(turn{user: j.User, line: pick.Line, fence: fence})
		m.board.ServedBy(pick.Line, j.User, Fence(fence))
	} else {
		before, _ = m.turns.Get(turn{user: j.User, line: pick.Line})
	}
	if m.batch.rules >= 2 {
		m.decide(s, pick, old.job, j, before.fence, waiting)
	}
	m.jobEvent(JobClaimed, j)
	out.Fence, out.Job, out.LeaseMs, out.HeartbeatMs, out.MaxRunMs = fence, j, c.lease, l.heartbeat(), maxRun
}

// enlistClaim builds the derived parts of a live claim: slot, memory, limits, timer, coordinator.
func (m *Machine) enlistClaim(fence uint64, c claim, j *logv1.Job) {
	m.leaseEnds.Set(stamp{c.end(), fence})
	if live := m.live[c.session]; live != nil {
		live.fences = append(live.fences, fence)
		live.lanes[c.lane].slots++
		live.lanes[c.lane].memory += scheduler.SizeOf(j.MemoryBytes).Bytes()
		live.leases[c.lease]++
	}
	m.countRunning(j.Queue, j.User, 1)
	m.occupy(fence, j)
}

// drop ends a claim: slot, memory, limits and coordinator are free. The caller decides about the job.
func (m *Machine) drop(fence uint64, c claim, j *logv1.Job) {
	m.claims.Delete(fence)
	m.leaseEnds.Delete(stamp{c.end(), fence})
	if live := m.live[c.session]; live != nil {
		at, ok := slices.BinarySearch(live.fences, fence)
		if !ok {
			panic("broken invariant: a live claim is not in the list of its session")
		}
		live.fences = slices.Delete(live.fences, at, at+1)
		live.lanes[c.lane].slots--
		live.lanes[c.lane].memory -= scheduler.SizeOf(j.MemoryBytes).Bytes()
		if live.leases[c.lease]--; live.leases[c.lease] == 0 {
			delete(live.leases, c.lease)
			m.indexSession(c.session)
		}
		m.freed(c.session, c.lane)
	}
	m.countRunning(j.Queue, j.User, -1)
	m.vacate(j)
}

// held finds a live claim of this session.
func (m *Machine) held(session, fence uint64) (claim, *jobRec, bool) {
	c, ok := m.claims.Get(fence)
	if !ok || c.session != session {
		return claim{}, nil, false
	}
	return c, m.claimed(c), true
}

func (m *Machine) claimed(c claim) *jobRec {
	rec, ok := m.find(c.job)
	if !ok {
		panic("broken invariant: a live claim without its job")
	}
	return rec
}
