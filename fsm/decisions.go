package fsm

import (
	"sort"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// mostDecisions is how many claims have a record of why they got their job: the last ones. It belongs to Rules.
const mostDecisions = 16_384

// decide records why a claim gets its job. old is the job before it, j after it; turn is the user's last claim in the line before.
func (m *Machine) decide(s *session, pick scheduler.Pick, old, j *logv1.Job, turn uint64, waiting int) {
	placed := old.PlacedMs
	if placed == 0 { // the place was drawn under rules 1
		placed = old.EnqueuedMs
	}
	m.decisions.Set(j.Fence, &logv1.DecisionRecord{
		Epoch: m.epoch, Index: m.index, Place: m.batch.place, Fence: j.Fence, Job: j.Id, Queue: j.Queue, User: j.User, Worker: s.name,
		Session: s.id, Lane: j.Lane, Line: pick.Line, Position: uint32(pick.Position), Mode: m.modeOf(pick.Line), Turn: turn,
		Priority: j.Priority, JobPlace: j.Place, WaitedMs: max(0, m.wall-placed), OnlyUser: s.user != "", AtMs: m.wall, Attempt: j.Attempt,
		Waiting: uint64(waiting),
	})
	for m.decisions.Len() > mostDecisions {
		m.decisions.PopMin()
	}
}

// modeOf a line: of the queue, else the cluster's.
func (m *Machine) modeOf(line string) logv1.Mode {
	if !m.settings.GetMultiUser() {
		return logv1.Mode_MODE_FIFO
	}
	if q, ok := m.queues.Get(line); ok && q.GetSettings().GetMode() != logv1.Mode_MODE_UNSPECIFIED {
		return q.GetSettings().GetMode()
	}
	return m.settings.GetDefaultMode()
}

// Decisions lists why each claim of the batch at index got its job, in their order, and the indexes between which decisions of this epoch
// are kept; 0, 0: none is. The messages must not be changed.
func (m *Machine) Decisions(index uint64) (list []*logv1.DecisionRecord, oldest, newest uint64) {
	n := m.decisions.Len()
	at := func(i int) *logv1.DecisionRecord {
		_, d, _ := m.decisions.GetAt(i)
		return d
	}
	first := sort.Search(n, func(i int) bool { return at(i).GetEpoch() >= m.epoch }) // fences rise with epoch and index
	if first == n {
		return nil, 0, 0
	}
	oldest, newest = at(first).GetIndex(), at(n-1).GetIndex()
	from := first + sort.Search(n-first, func(i int) bool { return at(first+i).GetIndex() >= index })
	for ; from < n && at(from).GetIndex() == index; from++ {
		list = append(list, at(from))
	}
	return list, oldest, newest
}
