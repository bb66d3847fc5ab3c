package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// mostCoordinatorName is how many bytes the name of a coordinator has. It belongs to Rules.
const mostCoordinatorName = 128

// coordination is derived from the jobs, claims and schedules of a coordinator. It is kept while something of it is not zero.
type coordination struct {
	jobs    int64  // not settled: not final, or with a claim that lives
	members int    // schedules whose template names it
	busy    uint64 // fence of its one live claim; 0: none
}

// membership says that a schedule's template names a coordinator.
type membership struct{ coordinator, schedule string }

func membershipLess(a, b membership) bool {
	return a.coordinator < b.coordinator || a.coordinator == b.coordinator && a.schedule < b.schedule
}

// checkCoordinator checks the name of a coordinator; empty: none.
func checkCoordinator(name string) *logv1.Refusal {
	if len(name) > mostCoordinatorName {
		return invalid("coordinator", name, "at most 128 bytes")
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' && c != '/' {
			return invalid("coordinator", name, "letters, digits, _ - . /")
		}
	}
	return nil
}

// coordinatorOf is the coordinator of a new job. Rules before 3 do not know it.
func (m *Machine) coordinatorOf(n *logv1.NewJob) string {
	if m.batch.rules < 3 {
		return ""
	}
	return n.GetCoordinator()
}

// coordinate changes what is derived for a coordinator; "" is none.
func (m *Machine) coordinate(name string, change func(*coordination)) {
	if name == "" {
		return
	}
	c, _ := m.coordinators.Get(name)
	change(&c)
	if c == (coordination{}) {
		m.coordinators.Delete(name)
		return
	}
	m.coordinators.Set(name, c)
}

// countCoordinated counts a job that is not settled and came or went.
func (m *Machine) countCoordinated(j *logv1.Job, by int64) {
	m.coordinate(j.Coordinator, func(c *coordination) { c.jobs += by })
}

// occupy: a claim of the job's coordinator lives from now on, so no other job of it stands in the lines.
func (m *Machine) occupy(fence uint64, j *logv1.Job) {
	if j.Coordinator == "" {
		return
	}
	m.coordinate(j.Coordinator, func(c *coordination) { c.busy = fence })
	m.board.CloseCoordinator(j.Coordinator)
}

// vacate: the live claim of the job's coordinator has ended, and its head stands in the lines.
func (m *Machine) vacate(j *logv1.Job) {
	if j.Coordinator == "" {
		return
	}
	m.coordinate(j.Coordinator, func(c *coordination) { c.busy = 0 })
	m.board.OpenCoordinator(j.Coordinator)
	m.headReady(j.Coordinator)
}

// leaveBoard takes a job off the board. If it stood as the head of its coordinator, the next head stands now.
func (m *Machine) leaveBoard(j *logv1.Job) {
	stood := j.Coordinator != "" && m.board.Stands(JobID(j.Id))
	m.board.Remove(JobID(j.Id))
	if stood {
		m.headReady(j.Coordinator)
	}
}

// headReady notes that the head of a coordinator stands in the lines since just now.
func (m *Machine) headReady(coordinator string) {
	if id, stands, found := m.board.Head(coordinator); found && stands {
		m.noteReady(uint64(id), nil)
	}
}

// addMember notes that a schedule's template names a coordinator; "" is none. It is derived: a restore calls it again for each.
func (m *Machine) addMember(coordinator, schedule string) {
	if _, known := m.members.Get(membership{coordinator, schedule}); known || coordinator == "" {
		return
	}
	m.members.Set(membership{coordinator, schedule})
	m.coordinate(coordinator, func(c *coordination) { c.members++ })
}

// removeMember is the opposite of addMember.
func (m *Machine) removeMember(coordinator, schedule string) {
	if _, known := m.members.Delete(membership{coordinator, schedule}); known {
		m.coordinate(coordinator, func(c *coordination) { c.members-- })
	}
}

// CoordinatorView is a coordinator as it is now.
type CoordinatorView struct {
	Name string
	// Busy is the job whose claim lives; 0: none.
	Busy JobID
	// Head is the waiting job that goes next; 0: none waits.
	Head    JobID
	Waiting int
	Members int // schedules
}

// Coordinators lists those that exist by name, those after a name (empty: all), at most limit; next is from where the next page goes on,
// empty for the last one. A coordinator exists while a job that is not over, or a schedule, names it.
func (m *Machine) Coordinators(after string, limit int) (list []CoordinatorView, next string) {
	m.coordinators.Ascend(after, func(name string, c coordination) bool {
		if name == after {
			return true
		}
		if len(list) == limit {
			if limit > 0 {
				next = list[limit-1].Name
			}
			return false
		}
		list = append(list, m.coordinatorView(name, c))
		return true
	})
	return list, next
}

// Coordinator by name, with its waiting jobs in order and the names of its schedules, at most limit of each. False: no job that is not over
// and no schedule names it.
func (m *Machine) Coordinator(name string, limit int) (view CoordinatorView, line []JobID, members []string, ok bool) {
	c, ok := m.coordinators.Get(name)
	if !ok {
		return CoordinatorView{}, nil, nil, false
	}
	m.members.Ascend(membership{coordinator: name}, func(x membership) bool {
		if x.coordinator != name || len(members) >= limit {
			return false
		}
		members = append(members, x.schedule)
		return true
	})
	return m.coordinatorView(name, c), m.board.Sequence(name, limit), members, true
}

func (m *Machine) coordinatorView(name string, c coordination) CoordinatorView {
	v := CoordinatorView{Name: name, Waiting: m.board.WaitingOf(name), Members: c.members}
	v.Head, _, _ = m.board.Head(name)
	if c.busy != 0 {
		cl, _ := m.claims.Get(c.busy)
		v.Busy = JobID(cl.job)
	}
	return v
}
