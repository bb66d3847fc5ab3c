package scheduler

// CloseQueue takes a queue out of the lines: it is paused or at a limit. It may
// be closed before it has jobs. The work is one step per size in use.
func (b *Board) CloseQueue(name string) { b.setQueueClosed(b.queueOf(name), true) }

// OpenQueue brings a queue back.
func (b *Board) OpenQueue(name string) {
	if q := b.queues[name]; q != nil {
		b.setQueueClosed(q, false)
	}
}

func (b *Board) setQueueClosed(q *queue, closed bool) {
	if q.closed == closed {
		return
	}
	q.closed = closed
	b.noteQueue(q)
	for _, p := range q.parts {
		p.settle()
	}
}

// CloseUser takes a user out of all lines: it is at a limit. The work is one
// step per queue and size in which the user has waiting jobs.
func (b *Board) CloseUser(name string) {
	u := b.userOf(name)
	u.closed = true
	for _, up := range u.parts {
		b.refreshClosed(up)
	}
}

// OpenUser brings a user back, except into queues in which it is closed.
func (b *Board) OpenUser(name string) {
	u := b.users[name]
	if u == nil {
		return
	}
	u.closed = false
	for _, up := range u.parts {
		b.refreshClosed(up)
	}
	b.forgetUser(u)
}

// CloseUserIn takes a user out of one queue, and so out of "*" with the jobs of
// that queue. The work is one step per size in use.
func (b *Board) CloseUserIn(queueName, userName string) {
	q := b.queueOf(queueName)
	if q.closedUsers == nil {
		q.closedUsers = make(map[string]struct{})
	}
	q.closedUsers[userName] = struct{}{}
	b.refreshUserIn(q, userName)
}

// OpenUserIn brings a user back into one queue, unless it is closed everywhere.
func (b *Board) OpenUserIn(queueName, userName string) {
	if q := b.queues[queueName]; q != nil {
		delete(q.closedUsers, userName)
		b.refreshUserIn(q, userName)
	}
}

func (b *Board) refreshUserIn(q *queue, userName string) {
	u := b.users[userName]
	if u == nil {
		return
	}
	for _, p := range q.parts {
		if up := p.of(u); up != nil {
			b.refreshClosed(up)
		}
	}
}

func (b *Board) isClosed(q *queue, u *user) bool {
	if u.closed {
		return true
	}
	_, closed := q.closedUsers[u.name]
	return closed
}

func (b *Board) refreshClosed(up *userPart) {
	b.noteGroup(up)
	closed := b.isClosed(up.part.queue, up.user)
	if closed == up.closed {
		return
	}
	up.part.leave(up)
	up.closed = closed
	up.part.enter(up)
}

// SetMode gives a queue a mode of its own. It costs one step per user that
// waits in the queue.
func (b *Board) SetMode(name string, m Mode) {
	q := b.queueOf(name)
	q.hasMode = true
	b.applyMode(q, m)
}

// ClearMode gives a queue the default mode again, as if SetMode had not been called.
func (b *Board) ClearMode(name string) {
	if q := b.queues[name]; q != nil {
		q.hasMode = false
		b.applyMode(q, b.mode)
	}
}

func (b *Board) applyMode(q *queue, m Mode) {
	if q.mode == m {
		return
	}
	q.mode = m
	b.noteQueue(q)
	for _, p := range q.parts {
		p.own.rebuild()
	}
}

// SetDefaultMode sets the mode of the line "*" and of queues without a mode of
// their own. It costs one step per user that waits, in every queue.
func (b *Board) SetDefaultMode(m Mode) {
	if b.mode == m {
		return
	}
	b.mode = m
	b.roll.mode = m
	for _, q := range b.queues { // each queue is rebuilt alone, so the order does not show
		if !q.hasMode {
			b.applyMode(q, m)
		}
		for _, p := range q.parts {
			p.star.rebuild()
		}
	}
	for size := range b.star {
		b.star[size].rebuild()
	}
}
