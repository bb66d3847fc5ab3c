package scheduler

import "github.com/tidwall/btree"

// Roll is who waits, in trees that copy in O(1). The board keeps one beside its heaps; a copy may be read on another goroutine while the
// board goes on, by one caller at a time.
//
// Jobs that stand in the lines, closed or not, lie in groups: those of one user in one queue that need the same memory. A group has a number while it has jobs; numbers are used
// again, so they, and the order of the roll, say nothing. Records that a copy refers to (queue, user) are read by their names alone, which
// never change. See docs/decisions/0008-roll.md for why it looks like this and what it costs.
//
// Jobs of coordinators, those that are held back too, lie in sequence besides. So questions about the lines (Tally, Ahead) know only what
// stands in them now; UsersIn, Sequence and Before know all.
//
// Invariant: groups are exactly those that jobs name; queues are exactly those that the board knows.
type Roll struct {
	mode   Mode // of the line "*"
	queues btree.Map[string, queueState]
	groups btree.Map[uint32, group]
	jobs   *btree.BTreeG[standing]
	users  uint32 // every number of a user is below it

	sequence *btree.BTreeG[*sequenced] // waiting jobs of coordinators, by coordinator, due time and id
	busy     btree.Set[string]         // closed coordinators

	groupNumbers, userNumbers numbers // not in copies
}

// numbers draws small numbers, and those that were given back first.
type numbers struct {
	free []uint32
	next uint32 // = the numbers in use and len(free)
}

func (n *numbers) draw() uint32 {
	if last := len(n.free) - 1; last >= 0 {
		number := n.free[last]
		n.free = n.free[:last]
		return number
	}
	n.next++
	return n.next - 1
}

// giveBack forgets everything once nothing is in use.
func (n *numbers) giveBack(number uint32) {
	if n.free = append(n.free, number); len(n.free) == int(n.next) {
		*n = numbers{}
	}
}

// queueState is what binds all jobs of a queue.
type queueState struct {
	mode   Mode
	closed bool
}

// group is what the jobs of one user, queue and size have in common.
type group struct {
	queue            *queue
	user             *user
	own, star        Fence  // turns of the user in the line of the queue and in "*"
	userAt           uint32 // number of the user
	size             Size
	closed, closedIn bool // the user is closed everywhere, in this queue
}

// standing is one job in the lines, closed or not. It is small and without pointers: there may be a million of them.
type standing struct {
	place    Place
	id       JobID
	group    uint32
	priority int32
}

func standingLess(a, b standing) bool {
	if a.group != b.group {
		return a.group < b.group
	}
	if a.place != b.place {
		return a.place < b.place
	}
	return a.id < b.id
}

// ahead is the order of jobs inside one user, and of a fifo line.
func (s *standing) ahead(other *standing) bool {
	if s.priority != other.priority {
		return s.priority > other.priority
	}
	return s.older(other)
}

func (s *standing) older(other *standing) bool {
	if s.place != other.place {
		return s.place < other.place
	}
	return s.id < other.id
}

func newRoll(mode Mode) Roll {
	return Roll{mode: mode, jobs: btree.NewBTreeGOptions(standingLess, btree.Options{NoLocks: true}),
		sequence: btree.NewBTreeGOptions(sequencedLess, btree.Options{NoLocks: true})}
}

// Roll copies who waits, in O(1). It must not run at the same time as a change of the board or another Roll.
func (b *Board) Roll() *Roll {
	return &Roll{mode: b.mode, queues: *b.roll.queues.Copy(), groups: *b.roll.groups.Copy(), jobs: b.roll.jobs.Copy(),
		users: b.roll.userNumbers.next, sequence: b.roll.sequence.Copy(), busy: *b.roll.busy.Copy()}
}

func (e *entry) standing() standing {
	return standing{place: e.place, id: e.id, group: e.owner.number, priority: e.priority}
}

// noteGroup stores what binds a group as it is now.
func (b *Board) noteGroup(up *userPart) {
	q, u := up.part.queue, up.user
	_, closedIn := q.closedUsers[u.name]
	b.roll.groups.Set(up.number, group{queue: q, user: u, userAt: u.number, own: up.ownTurn, star: up.starTurn, size: up.part.size,
		closed: u.closed, closedIn: closedIn})
}

func (b *Board) noteQueue(q *queue) {
	b.roll.queues.Set(q.name, queueState{mode: q.mode, closed: q.closed})
}
