package scheduler

import (
	"slices"
	"sort"
)

// facts are what the Board asks of fsm.
type facts map[[2]string]Fence

func (f facts) Turn(line, user string) Fence { return f[[2]string{line, user}] }

// naive is the order of docs/design.md §7 in plain slices and sorts: slow, and
// written without looking at Board.
type naive struct {
	jobs        []Job
	turns       facts
	defaultMode Mode
	modes       map[string]Mode
	closedQueue map[string]bool
	closedUser  map[string]bool
	closedIn    map[[2]string]bool
	busy        map[string]bool // coordinators
}

func newNaive(turns facts, mode Mode) *naive {
	return &naive{turns: turns, defaultMode: mode, modes: map[string]Mode{}, closedQueue: map[string]bool{},
		closedUser: map[string]bool{}, closedIn: map[[2]string]bool{}, busy: map[string]bool{}}
}

func (n *naive) modeOf(line string) Mode {
	if m, own := n.modes[line]; own && line != "*" {
		return m
	}
	return n.defaultMode
}

func (n *naive) remove(id JobID) bool {
	before := len(n.jobs)
	n.jobs = slices.DeleteFunc(n.jobs, func(j Job) bool { return j.ID == id })
	return len(n.jobs) < before
}

// sequence is the jobs of a coordinator in their order.
func (n *naive) sequence(coordinator string) (line []Job) {
	for _, j := range n.jobs {
		if j.Coordinator == coordinator {
			line = append(line, j)
		}
	}
	sort.Slice(line, func(a, b int) bool {
		return line[a].Due < line[b].Due || line[a].Due == line[b].Due && line[a].ID < line[b].ID
	})
	return line
}

// stands: the job has no coordinator, or is the first of one of which no claim lives.
func (n *naive) stands(j Job) bool {
	return j.Coordinator == "" || !n.busy[j.Coordinator] && n.sequence(j.Coordinator)[0].ID == j.ID
}

// candidates are the jobs that stand in the line and that the offer may take.
func (n *naive) candidates(line string, o Offer) (stand []Job) {
	for _, j := range n.jobs {
		roundedNeed := uint64(0)
		if j.Size > 0 {
			roundedNeed = 1 << (j.Size - 1)
		}
		switch {
		case !n.stands(j):
		case line != "*" && j.Queue != line:
		case n.closedQueue[j.Queue], n.closedUser[j.User], n.closedIn[[2]string{j.Queue, j.User}]:
		case o.OnlyUser && j.User != o.User:
		case o.Limited && roundedNeed > o.FreeBytes:
		case slices.Contains(o.Excluded, j.ID):
		default:
			stand = append(stand, j)
		}
	}
	return stand
}

func sortByPriority(jobs []Job) {
	sort.Slice(jobs, func(a, b int) bool {
		if jobs[a].Priority != jobs[b].Priority {
			return jobs[a].Priority > jobs[b].Priority
		}
		if jobs[a].Place != jobs[b].Place {
			return jobs[a].Place < jobs[b].Place
		}
		return jobs[a].ID < jobs[b].ID
	})
}

func (n *naive) next(o Offer) (Pick, bool) {
	for position, line := range o.Chain {
		stand := n.candidates(line, o)
		if len(stand) == 0 {
			continue
		}
		sortByPriority(stand)
		if n.modeOf(line) == RoundRobin {
			user := n.userToServe(line, stand)
			stand = slices.DeleteFunc(stand, func(j Job) bool { return j.User != user })
		}
		return Pick{Job: stand[0], Line: line, Position: position}, true
	}
	return Pick{}, false
}

// userToServe gets the jobs of the line by priority.
func (n *naive) userToServe(line string, stand []Job) string {
	type partKey struct {
		user, queue string
		size        Size
	}
	seen := map[partKey]bool{}
	var best []Job // of each user, queue and size
	for _, j := range stand {
		key := partKey{j.User, j.Queue, j.Size}
		if !seen[key] {
			seen[key] = true
			best = append(best, j)
		}
	}
	sort.Slice(best, func(a, b int) bool {
		turnA, turnB := n.turns.Turn(line, best[a].User), n.turns.Turn(line, best[b].User)
		if turnA != turnB {
			return turnA < turnB
		}
		if best[a].Place != best[b].Place {
			return best[a].Place < best[b].Place
		}
		return best[a].ID < best[b].ID
	})
	return best[0].User
}

func (n *naive) frontPriority(queue, user string) (highest int32, found bool) {
	for _, j := range n.jobs {
		if n.stands(j) && j.Queue == queue && (n.modeOf(queue) == FIFO || j.User == user) && (!found || j.Priority > highest) {
			highest, found = j.Priority, true
		}
	}
	return highest, found
}

func (n *naive) waitingIn(queue string) (count int) {
	for _, j := range n.jobs {
		if j.Queue == queue {
			count++
		}
	}
	return count
}
