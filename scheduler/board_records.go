package scheduler

import "slices"

// queueOf returns the record of a queue, made if it is new.
func (b *Board) queueOf(name string) *queue {
	q := b.queues[name]
	if q == nil {
		q = &queue{name: name, mode: b.mode}
		b.queues[name] = q
		b.noteQueue(q)
	}
	return q
}

// userOf returns the record of a user, made if it is new.
func (b *Board) userOf(name string) *user {
	u := b.users[name]
	if u == nil {
		u = &user{name: name, number: b.roll.userNumbers.draw()}
		b.users[name] = u
	}
	return u
}

// partOf returns the part of a queue for a size, made if it is new.
func (b *Board) partOf(q *queue, size Size) *part {
	at, there := slices.BinarySearchFunc(q.parts, size, func(p *part, s Size) int { return int(p.size) - int(s) })
	if there {
		return q.parts[at]
	}
	p := &part{board: b, queue: q, size: size, users: make(map[*user]*userPart), starAt: -1}
	q.parts = slices.Insert(q.parts, at, p)
	b.sizes[size]++
	return p
}

// userPartOf returns the record of a user in a part. A new one is not yet in
// the lines: it enters them with its first job.
func (b *Board) userPartOf(p *part, name string) (up *userPart, isNew bool) {
	u := b.userOf(name)
	if up = p.of(u); up != nil {
		return up, false
	}
	up = &userPart{
		part:     p,
		user:     u,
		ownTurn:  b.turns.Turn(p.queue.name, name),
		starTurn: b.turns.Turn(Any, name),
		userAt:   int32(len(u.parts)),
		closed:   b.isClosed(p.queue, u),
		number:   b.roll.groupNumbers.draw(),
	}
	u.parts = append(u.parts, up)
	p.users[u] = up
	b.noteGroup(up)
	return up, true
}

// forget drops the record of a user in a part that has no more jobs.
func (b *Board) forget(up *userPart) {
	u := up.user
	b.roll.groups.Delete(up.number)
	b.roll.groupNumbers.giveBack(up.number)
	delete(up.part.users, u)
	last := len(u.parts) - 1
	moved := u.parts[last]
	u.parts[up.userAt] = moved
	moved.userAt = up.userAt
	u.parts[last] = nil
	u.parts = u.parts[:last]
	b.forgetUser(u)
}

func (b *Board) forgetUser(u *user) {
	if len(u.parts) == 0 && !u.closed {
		delete(b.users, u.name)
		b.roll.userNumbers.giveBack(u.number)
	}
}

// DropQueue forgets the mode of a queue without waiting jobs and what is closed
// in it, and gives its memory back. It reports whether it did: not while jobs wait.
func (b *Board) DropQueue(name string) bool {
	q := b.queues[name]
	if q == nil {
		return true
	}
	if q.waiting > 0 {
		return false
	}
	for _, p := range q.parts {
		b.sizes[p.size]--
	}
	delete(b.queues, name)
	b.roll.queues.Delete(name)
	return true
}
