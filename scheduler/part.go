package scheduler

// entry is a waiting job. It is small, since there may be a million of them.
type entry struct {
	id       JobID
	place    Place
	owner    *userPart
	priority int32
	at       int32 // in the heap of owner.jobs, or inLine; gone or held: in neither
}

// ahead is the order of jobs inside one user, and of a fifo line: the larger
// priority, then the lower place, then the lower id.
func (e *entry) ahead(other *entry) bool {
	if e.priority != other.priority {
		return e.priority > other.priority
	}
	return e.older(other)
}

func (e *entry) older(other *entry) bool {
	if e.place != other.place {
		return e.place < other.place
	}
	return e.id < other.id
}

// jobOf is what was added.
func (b *Board) jobOf(e *entry) Job {
	if len(b.sequenced) > 0 {
		if s := b.sequenced[e.id]; s != nil {
			return s.job
		}
	}
	part := e.owner.part
	return Job{ID: e.id, Queue: part.queue.name, User: e.owner.user.name, Priority: e.priority, Place: e.place, Size: part.size}
}

// userPart is the jobs of one user that stand in one part. It lives as long as it
// holds a job.
//
// Invariant: it stands in exactly one of: own and star of its part (open), away
// of its part (closed).
type userPart struct {
	part     *part
	user     *user
	jobs     backlog
	ownTurn  Fence  // in the line of the queue
	starTurn Fence  // in the line "*"
	ownAt    int32  // in part.own, or in part.away
	starAt   int32  // in part.star
	userAt   int32  // in user.parts
	number   uint32 // of its group in the roll
	closed   bool
}

// part is the waiting jobs of one queue that need the same memory. An offer
// either fits all of them or none.
type part struct {
	board  *Board
	queue  *queue
	size   Size
	own    heap[*userPart, byOwnLine]  // open users, as the queue's line serves them
	star   heap[*userPart, byStarLine] // open users, as the line "*" serves them
	away   heap[*userPart, byFront]    // closed users, by their best job
	users  map[*user]*userPart         // open and closed
	starAt int32                       // in board.star[size]; -1: closed queue or no open user
}

// fewParts of a user are searched one by one.
const fewParts = 4

// of returns the record of a user in the part, or nil.
func (p *part) of(u *user) *userPart {
	if len(u.parts) > fewParts {
		return p.users[u]
	}
	for _, up := range u.parts {
		if up.part == p {
			return up
		}
	}
	return nil
}

// candidate is a user in a part with the best job that an offer may take there.
type candidate struct {
	user *userPart
	best *entry
}

// ownBefore says which user the line of the queue serves first. Both are of one queue.
func (c candidate) ownBefore(other candidate) bool {
	return turnBefore(c.user.part.queue.mode, c.user.ownTurn, other.user.ownTurn, c.best, other.best)
}

// starBefore says which user the line "*" serves first.
func (c candidate) starBefore(other candidate) bool {
	return turnBefore(c.user.part.board.mode, c.user.starTurn, other.user.starTurn, c.best, other.best)
}

func turnBefore(mode Mode, turn, otherTurn Fence, best, otherBest *entry) bool {
	if mode == FIFO {
		return best.ahead(otherBest)
	}
	if turn != otherTurn {
		return turn < otherTurn
	}
	return best.older(otherBest)
}

func (u *userPart) asCandidate() candidate { return candidate{user: u, best: u.jobs.best} }

type byAhead struct{}

func (byAhead) before(a, b *entry) bool      { return a.ahead(b) }
func (byAhead) placed(item *entry, at int32) { item.at = at }

type byOwnLine struct{}

func (byOwnLine) before(a, b *userPart) bool      { return a.asCandidate().ownBefore(b.asCandidate()) }
func (byOwnLine) placed(item *userPart, at int32) { item.ownAt = at }

type byStarLine struct{}

func (byStarLine) before(a, b *userPart) bool      { return a.asCandidate().starBefore(b.asCandidate()) }
func (byStarLine) placed(item *userPart, at int32) { item.starAt = at }

type byFront struct{}

func (byFront) before(a, b *userPart) bool      { return a.jobs.best.ahead(b.jobs.best) }
func (byFront) placed(item *userPart, at int32) { item.ownAt = at }

type byStarTop struct{}

func (byStarTop) before(a, b *part) bool      { return byStarLine{}.before(a.star.top(), b.star.top()) }
func (byStarTop) placed(item *part, at int32) { item.starAt = at }

// enter puts a user into the lines, or aside if it is closed.
func (p *part) enter(u *userPart) {
	if u.closed {
		p.away.push(u)
		return
	}
	p.own.push(u)
	p.star.push(u)
	p.settle()
}

// leave is the opposite of enter.
func (p *part) leave(u *userPart) {
	if u.closed {
		p.away.remove(u.ownAt)
		return
	}
	p.own.remove(u.ownAt)
	p.star.remove(u.starAt)
	p.settle()
}

// moved restores the order after the best job of a user changed.
func (p *part) moved(u *userPart) {
	if u.closed {
		p.away.fix(u.ownAt)
		return
	}
	p.own.fix(u.ownAt)
	p.star.fix(u.starAt)
	p.settle()
}

// settle gives the part its position in the line "*" after its star heap, or
// whether its queue is closed, changed.
func (p *part) settle() {
	line := &p.board.star[p.size]
	stands, should := p.starAt >= 0, !p.queue.closed && len(p.star.items) > 0
	switch {
	case stands && should:
		line.fix(p.starAt)
	case stands:
		line.remove(p.starAt)
	case should:
		line.push(p)
	}
}
