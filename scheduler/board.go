package scheduler

import "fmt"

// Turns tells when a user was last served in a line ("*" is a line). The facts
// belong to the caller; after a change it calls Board.Served.
type Turns interface {
	// Turn returns the fence of the user's last claim through the line, 0 for never.
	Turn(line, user string) Fence
}

// Board holds all waiting jobs in order. What it answers depends on the jobs,
// turns, modes and what is closed, never on the order in which it learned them.
//
// Jobs lie in parts, one per queue and size; in a part every user has a heap of
// jobs, and the users stand in two heaps: one for the line of the queue, one for
// the line "*". Per size the open queues' parts stand in one more heap. Of the jobs
// of a coordinator at most one stands anywhere.
//
// One caller at a time; Next, Has, Stands, StandsFor, StandsIn, FrontPriority, Oldest, Waiting, WaitingIn,
// WaitingOf, Head and Sequence change nothing and may run at the same time as each other.
type Board struct {
	turns  Turns
	mode   Mode              // of the line "*", and of queues without a mode of their own
	jobs   index             // without a coordinator
	queues map[string]*queue // never ranged over where the order shows
	users  map[string]*user
	star   [MaxSize + 1]heap[*part, byStarTop]
	sizes  [MaxSize + 1]int // parts per size, so that Next skips sizes not in use
	roll   Roll             // the same jobs, to be copied

	sequenced    map[JobID]*sequenced // jobs of coordinators; the others are in jobs
	coordinators map[string]*coordinator
}

// queue is kept, once known, until DropQueue.
type queue struct {
	name        string
	mode        Mode
	hasMode     bool // else the board's mode
	closed      bool
	parts       []*part // by size
	closedUsers map[string]struct{}
	waiting     int
	ages        ages
}

// user is kept while it has waiting jobs or is closed.
type user struct {
	name   string
	number uint32 // in the roll
	closed bool
	parts  []*userPart // in no order
}

// NewBoard returns an empty board on which every queue has the default mode.
func NewBoard(turns Turns, defaultMode Mode) *Board {
	return &Board{
		turns:  turns,
		mode:   defaultMode,
		jobs:   newIndex(),
		queues: make(map[string]*queue),
		users:  make(map[string]*user),
		roll:   newRoll(defaultMode),

		sequenced:    make(map[JobID]*sequenced),
		coordinators: make(map[string]*coordinator),
	}
}

// Reserve makes a board without users ready for so many; it changes nothing else.
func (b *Board) Reserve(users int) {
	if len(b.users) == 0 {
		b.users = make(map[string]*user, users)
	}
}

// Add lets a job wait: it stands in the lines, unless its coordinator holds it back. A job that is already there, or that names the
// queue "*", is a broken invariant: it panics.
func (b *Board) Add(job Job) {
	if job.Queue == Any || job.Size > MaxSize {
		panic(fmt.Sprintf("scheduler: job %d has queue %q and size %d, which no job can have", job.ID, job.Queue, job.Size))
	}
	e := &entry{id: job.ID, place: job.Place, priority: job.Priority}
	if (job.Coordinator != "" || len(b.sequenced) > 0) && b.Has(job.ID) || job.Coordinator == "" && !b.jobs.add(e) {
		panic(fmt.Sprintf("scheduler: job %d is added to the board twice", job.ID))
	}
	q := b.queueOf(job.Queue)
	q.waiting++
	if job.Coordinator != "" {
		b.addSequenced(q, job)
		return
	}
	q.ages.add(e)
	b.stand(e, q, job.User, job.Size, false)
}

// Remove takes a job off the board and reports whether it was there.
func (b *Board) Remove(id JobID) bool {
	e := b.jobs.take(id)
	if e == nil {
		return b.removeSequenced(id)
	}
	q := e.owner.part.queue
	q.waiting--
	b.leave(e)
	q.ages.settle(q.waiting)
	return true
}

// stand puts a job into the lines; comesBack: it may leave them and stand again.
func (b *Board) stand(e *entry, q *queue, userName string, size Size, comesBack bool) {
	p := b.partOf(q, size)
	u, isNew := b.userPartOf(p, userName)
	e.owner = u
	u.jobs.push(e, comesBack)
	b.roll.jobs.Set(e.standing())
	if isNew {
		p.enter(u)
	} else if u.jobs.best == e {
		p.moved(u)
	}
}

// leave takes a job out of the lines.
func (b *Board) leave(e *entry) {
	u := e.owner
	p := u.part
	b.roll.jobs.Delete(e.standing())
	if u.jobs.len() == 1 {
		p.leave(u)
		u.jobs.remove(e)
		b.forget(u)
		return
	}
	wasBest := u.jobs.best == e
	u.jobs.remove(e)
	if wasBest {
		p.moved(u)
	}
}

// Has reports whether the job waits, in the lines or held back.
func (b *Board) Has(id JobID) bool {
	if b.jobs.get(id) != nil {
		return true
	}
	return len(b.sequenced) > 0 && b.sequenced[id] != nil
}

// Served says that the user's turn in the line has changed.
func (b *Board) Served(line, userName string) {
	b.ServedBy(line, userName, b.turns.Turn(line, userName))
}

// ServedBy is Served for a caller who knows the turn that Turns would return.
func (b *Board) ServedBy(line, userName string, turn Fence) {
	u := b.users[userName]
	if u == nil || len(u.parts) == 0 {
		return
	}
	if line == Any {
		for _, up := range u.parts {
			up.starTurn = turn
			b.noteGroup(up)
			if !up.closed {
				up.part.star.fix(up.starAt)
				up.part.settle()
			}
		}
		return
	}
	q := b.queues[line]
	if q == nil {
		return
	}
	for _, p := range q.parts {
		if up := p.of(u); up != nil {
			up.ownTurn = turn
			b.noteGroup(up)
			if !up.closed {
				p.own.fix(up.ownAt)
			}
		}
	}
}

// FrontPriority returns the highest priority that stands, closed or not: of the
// user in the queue (round robin) or of the queue (fifo); false if none stands.
// What a coordinator holds back does not count.
func (b *Board) FrontPriority(queueName, userName string) (highest int32, found bool) {
	q := b.queues[queueName]
	if q == nil {
		return 0, false
	}
	look := func(up *userPart) {
		if up == nil {
			return
		}
		if best := up.jobs.best; !found || best.priority > highest {
			highest, found = best.priority, true
		}
	}
	for _, p := range q.parts {
		if q.mode == FIFO {
			look(p.own.top())
			look(p.away.top())
		} else if u := b.users[userName]; u != nil {
			look(p.of(u))
		}
	}
	return highest, found
}

// Oldest returns the job of a queue with the lowest place, closed or held back or not; false if none waits.
func (b *Board) Oldest(queueName string) (id JobID, found bool) {
	if q := b.queues[queueName]; q != nil && q.waiting > 0 {
		return q.ages.oldest().id, true
	}
	return 0, false
}

// Waiting returns the number of waiting jobs, those that are closed or held back included.
func (b *Board) Waiting() int { return b.jobs.jobs + len(b.sequenced) }

// WaitingIn returns the number of waiting jobs of a queue, those that are closed or held back included.
func (b *Board) WaitingIn(queueName string) int {
	if q := b.queues[queueName]; q != nil {
		return q.waiting
	}
	return 0
}
