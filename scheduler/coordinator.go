package scheduler

import (
	"math"
	"slices"
)

// coordinator is a name under which jobs run one after the other: of its waiting jobs only the head stands in the lines, and that only while
// it is open. It is kept while jobs of it wait or it is closed.
//
// Invariant: head is the first of its jobs by (Due, ID); it stands in the lines exactly if the coordinator is open; no other job of it does.
type coordinator struct {
	name    string
	closed  bool
	waiting int
	head    *sequenced // nil: none waits
}

// sequenced is a waiting job of a coordinator. Copies of the roll read its job, which never changes, and nothing else.
type sequenced struct {
	entry // in a heap while it stands, else held
	job   Job
	of    *coordinator
}

// held is the position of a job that waits and does not stand in the lines.
const held = -2

func sequencedLess(a, b *sequenced) bool {
	if a.job.Coordinator != b.job.Coordinator {
		return a.job.Coordinator < b.job.Coordinator
	}
	return a.job.precedes(&b.job)
}

// precedes: of two jobs of one coordinator this one goes first.
func (j *Job) precedes(other *Job) bool {
	if j.Due != other.Due {
		return j.Due < other.Due
	}
	return j.ID < other.ID
}

// addSequenced is Add for a job of a coordinator: it takes the head's place, or waits behind it.
func (b *Board) addSequenced(q *queue, job Job) {
	c := b.coordinatorOf(job.Coordinator)
	s := &sequenced{entry: entry{id: job.ID, place: job.Place, priority: job.Priority, at: held}, job: job, of: c}
	b.sequenced[job.ID] = s
	b.roll.sequence.Set(s)
	c.waiting++
	q.ages.add(&s.entry)
	if c.head != nil && c.head.job.precedes(&job) {
		return
	}
	b.demote(c)
	c.head = s
	b.promote(c)
}

// removeSequenced is Remove for a job of a coordinator: the next of a head that goes stands from now on.
func (b *Board) removeSequenced(id JobID) bool {
	s := b.sequenced[id]
	if s == nil {
		return false
	}
	c, q := s.of, b.queues[s.job.Queue]
	delete(b.sequenced, id)
	b.roll.sequence.Delete(s)
	c.waiting--
	q.waiting--
	if s == c.head {
		b.demote(c)
		c.head = nil
		b.roll.sequence.Ascend(s, func(next *sequenced) bool {
			if next.of == c {
				c.head = next
			}
			return false
		})
		b.promote(c)
	}
	s.at = gone
	q.ages.settle(q.waiting)
	b.forgetCoordinator(c)
	return true
}

// CloseCoordinator takes the head of a coordinator out of the lines, and lets none stand: a claim of it lives. It may be closed before it
// has jobs. The work is log of the jobs of coordinators, and what Remove costs.
func (b *Board) CloseCoordinator(name string) {
	c := b.coordinatorOf(name)
	if c.closed {
		return
	}
	b.demote(c)
	c.closed = true
	b.roll.busy.Insert(name)
}

// OpenCoordinator lets the head of a coordinator stand again.
func (b *Board) OpenCoordinator(name string) {
	c := b.coordinators[name]
	if c == nil || !c.closed {
		return
	}
	c.closed = false
	b.roll.busy.Delete(name)
	b.promote(c)
	b.forgetCoordinator(c)
}

// Head returns the waiting job of a coordinator that goes next, and whether it stands in the lines now, apart from closed queues and users;
// found is false if none waits.
func (b *Board) Head(coordinator string) (id JobID, stands, found bool) {
	c := b.coordinators[coordinator]
	if c == nil || c.head == nil {
		return 0, false, false
	}
	return c.head.id, !c.closed, true
}

// Stands reports whether the job waits and its coordinator, if it has one, does not hold it back: it is in the lines, apart from closed
// queues and users.
func (b *Board) Stands(id JobID) bool { return b.inLines(id) != nil }

// StandsFor reports whether a job of this queue, user and size is in the lines and nothing closes them for it.
func (b *Board) StandsFor(queueName, userName string, size Size) bool {
	q, u := b.queues[queueName], b.users[userName]
	if q == nil || u == nil || q.closed {
		return false
	}
	return slices.ContainsFunc(q.parts, func(p *part) bool {
		if p.size != size {
			return false
		}
		up := p.of(u)
		return up != nil && !up.closed
	})
}

// StandsIn reports whether a job of this queue is in the lines and nothing closes them for it.
func (b *Board) StandsIn(queueName string) bool {
	q := b.queues[queueName]
	return q != nil && !q.closed && slices.ContainsFunc(q.parts, func(p *part) bool { return len(p.own.items) > 0 })
}

// inLines returns the entry of a job that stands, or nil.
func (b *Board) inLines(id JobID) *entry {
	if e := b.jobs.get(id); e != nil || len(b.sequenced) == 0 {
		return e
	}
	if s := b.sequenced[id]; s != nil && s.at != held {
		return &s.entry
	}
	return nil
}

// WaitingOf returns the number of waiting jobs of a coordinator.
func (b *Board) WaitingOf(coordinator string) int {
	if c := b.coordinators[coordinator]; c != nil {
		return c.waiting
	}
	return 0
}

// Sequence lists the first n waiting jobs of a coordinator in the order in which they go.
func (b *Board) Sequence(coordinator string, n int) []JobID { return b.roll.Sequence(coordinator, n) }

// promote lets the head of a coordinator stand, if it is open.
func (b *Board) promote(c *coordinator) {
	if s := c.head; s != nil && !c.closed {
		b.stand(&s.entry, b.queues[s.job.Queue], s.job.User, s.job.Size, true)
	}
}

// demote takes the head of a coordinator out of the lines, if it stands.
func (b *Board) demote(c *coordinator) {
	if s := c.head; s != nil && !c.closed {
		b.leave(&s.entry)
		s.at, s.owner = held, nil
	}
}

func (b *Board) coordinatorOf(name string) *coordinator {
	c := b.coordinators[name]
	if c == nil {
		c = &coordinator{name: name}
		b.coordinators[name] = c
	}
	return c
}

func (b *Board) forgetCoordinator(c *coordinator) {
	if c.waiting == 0 && !c.closed {
		delete(b.coordinators, c.name)
	}
}

// Sequence lists the first n waiting jobs of a coordinator in the order in which they go, those that do not stand too.
func (r *Roll) Sequence(coordinator string, n int) (ids []JobID) {
	r.inSequence(coordinator, func(s *sequenced) bool {
		if len(ids) < n {
			ids = append(ids, s.id)
		}
		return len(ids) < n
	})
	return ids
}

// Before counts the waiting jobs of a job's coordinator that go before it, up to a bound, and names the first of them; 0: there is none.
// The job need not wait.
func (r *Roll) Before(job Job, most int) (n int, head JobID) {
	if job.Coordinator == "" {
		return 0, 0
	}
	r.inSequence(job.Coordinator, func(s *sequenced) bool {
		if n == most || !s.job.precedes(&job) {
			return false
		}
		if n++; n == 1 {
			head = s.id
		}
		return true
	})
	return n, head
}

// inSequence visits the waiting jobs of a coordinator in order, until visit returns false.
func (r *Roll) inSequence(coordinator string, visit func(*sequenced) bool) {
	first := &sequenced{job: Job{Coordinator: coordinator, Due: math.MinInt64}}
	r.sequence.Ascend(first, func(s *sequenced) bool { return s.job.Coordinator == coordinator && visit(s) })
}

// heldBack visits the jobs that wait and do not stand, coordinator after coordinator.
func (r *Roll) heldBack(visit func(*sequenced)) {
	last := ""
	r.sequence.Scan(func(s *sequenced) bool {
		if s.job.Coordinator == last || r.busy.Contains(s.job.Coordinator) {
			visit(s)
		}
		last = s.job.Coordinator
		return true
	})
}
