package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// mostPreviewed is how many jobs a preview shows, so that it never stops Apply for long.
const mostPreviewed = 1000

// OrderedJob is a job of a preview. The message must not be changed.
type OrderedJob struct {
	Job *logv1.Job
	// Line in which it is found, and its position in the lane's chain.
	Line     string
	Position int
	WaitMs   int64
}

// OrderOfQueue returns the next jobs, at most n and 1,000, that a lane would get which takes this queue alone, from all users, without a
// limit of memory, if each ended before the next is claimed and nothing else happened. False: there is no such queue.
//
// It borrows the board and gives it back as it was, so it must run alone, like Apply. A job costs a few microseconds.
func (m *Machine) OrderOfQueue(queue string, n int) ([]OrderedJob, bool) {
	if !has(m.queues, queue) {
		return nil, false
	}
	return m.preview(scheduler.Offer{Chain: []string{queue}}, n), true
}

// OrderOfLane is the same for a lane of a live worker, with its chain, its free memory, its worker's user and exclusions. A lane that is
// full is looked at as if its oldest claim had ended, with its memory and what it counted for limits. A draining worker gets none. False:
// there is no such lane.
func (m *Machine) OrderOfLane(worker string, lane uint32, n int) ([]OrderedJob, bool) {
	id, live := m.byName[worker]
	if !live {
		return nil, false
	}
	s, _ := m.sessions.Get(id)
	empty, refusal := m.lane(s, lane)
	switch {
	case refusal != nil:
		return nil, false
	case empty == logv1.Empty_EMPTY_DRAINING:
		return nil, true
	case empty == logv1.Empty_EMPTY_AT_CAPACITY:
		return m.previewFull(s, lane, n), true
	}
	return m.preview(m.offer(s, lane), n), true
}

// previewFull lets the lane's oldest claim end for the time of the preview.
func (m *Machine) previewFull(s *session, lane uint32, n int) []OrderedJob {
	for _, fence := range m.live[s.id].fences {
		c, _ := m.claims.Get(fence)
		if c.lane != lane {
			continue
		}
		j := m.claimed(c).job
		o := m.offer(s, lane)
		o.FreeBytes += scheduler.SizeOf(j.MemoryBytes).Bytes()
		m.countRunning(j.Queue, j.User, -1)
		m.vacate(j)
		list := m.preview(o, n)
		m.countRunning(j.Queue, j.User, 1)
		m.occupy(fence, j)
		m.batch = current{} // nothing became ready
		return list
	}
	panic("broken invariant: a lane is full without a claim")
}

func (m *Machine) preview(o scheduler.Offer, n int) []OrderedJob {
	picks := m.board.Preview(o, min(n, mostPreviewed))
	out := make([]OrderedJob, len(picks))
	for i, pick := range picks {
		rec, _ := m.jobs.Get(uint64(pick.Job.ID))
		out[i] = OrderedJob{Job: rec.job, Line: pick.Line, Position: pick.Position, WaitMs: m.waited(rec.job)}
	}
	return out
}
