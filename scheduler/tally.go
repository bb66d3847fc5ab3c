package scheduler

import "slices"

// Tally is a roll summed up for one job: per group how many jobs stand in the lines, how many of them are ahead of the job, and which is
// best. It is made in one pass over all of them; each question then costs a step per group.
//
// The job is taken to stand: the head of its coordinator, if that is another, is left out. What other coordinators hold back counts nothing.
//
// One caller at a time.
type Tally struct {
	roll     *Roll
	job      Job
	self     standing // of the job; its group counts nothing
	head     JobID    // of the job's coordinator, if it is another job that waits; 0: none
	parts    []tallied
	excluded map[uint32][]JobID // by group: jobs that an offer may exclude
	users    []sum              // scratch of a question, by number
	own      uint32             // number of the job's user in users
	queues   map[*queue]queueState
}

// tallied is a group without the job itself.
type tallied struct {
	group
	number         uint32
	waiting, ahead uint32   // ahead of the job, by priority, place and id
	best           standing // read only if waiting > 0
}

// sum is what a user has in a line.
type sum struct {
	user           *user
	turn           Fence
	waiting, ahead uint32
	oldest         standing // of the best jobs of its groups
}

// Tally sums up. The job need not be on the roll; if it is, under its id, it is left out. Jobs that an offer excludes must be named here
// already.
func (r *Roll) Tally(job Job, mayExclude []JobID) *Tally {
	t := &Tally{roll: r, job: job, self: standing{place: job.Place, id: job.ID, priority: job.Priority}, queues: map[*queue]queueState{},
		excluded: map[uint32][]JobID{}, own: r.users}
	if job.Coordinator != "" {
		if ids := r.Sequence(job.Coordinator, 1); len(ids) > 0 && ids[0] != job.ID {
			t.head = ids[0]
		}
	}
	t.parts = make([]tallied, 0, r.groups.Len())
	r.groups.Scan(func(number uint32, g group) bool {
		t.parts = append(t.parts, tallied{group: g, number: number})
		return true
	})
	onRoll := t.count(newFilter(mayExclude))
	for i := range t.parts {
		if p := &t.parts[i]; !onRoll && p.user.name == job.User {
			t.own = p.userAt
			break
		}
	}
	t.users = make([]sum, r.users+1) // one more, for a user who does not wait yet
	return t
}

// count walks all jobs, and reports whether the job is among them. Groups come in the same order as their jobs, and none is empty.
func (t *Tally) count(may *filter) (onRoll bool) {
	at, part := -1, (*tallied)(nil)
	t.roll.jobs.Walk(func(list []standing) bool {
		for i := range list {
			s := &list[i]
			if part == nil || part.number != s.group {
				at++
				part = &t.parts[at]
			}
			if s.id == t.self.id {
				t.own, onRoll = part.userAt, true
				continue
			}
			if s.id == t.head {
				continue
			}
			if may.has(s.id) {
				t.excluded[s.group] = append(t.excluded[s.group], s.id)
			}
			part.add(s, &t.self)
		}
		return true
	})
	return onRoll
}

func (p *tallied) add(s, self *standing) {
	if p.waiting == 0 || s.ahead(&p.best) {
		p.best = *s
	}
	p.waiting++
	if s.ahead(self) {
		p.ahead++
	}
}

// without is the group as it is for an offer that excludes some of its jobs.
func (t *Tally) without(p *tallied, excluded []JobID) *tallied {
	gone := func(id JobID) bool { return slices.Contains(excluded, id) }
	if !slices.ContainsFunc(t.excluded[p.number], gone) {
		return p
	}
	left := &tallied{group: p.group, number: p.number}
	t.roll.jobs.Ascend(standing{group: p.number}, func(s standing) bool {
		if s.group != p.number {
			return false
		}
		if s.id != t.self.id && s.id != t.head && !gone(s.id) {
			left.add(&s, &t.self)
		}
		return true
	})
	return left
}

// stateOf returns what binds a queue.
func (t *Tally) stateOf(q *queue) queueState {
	s, known := t.queues[q]
	if !known {
		s, _ = t.roll.queues.Get(q.name)
		t.queues[q] = s
	}
	return s
}

// filter answers quickly that most jobs are not in a short list.
type filter struct {
	bits [64]uint64
	ids  []JobID
}

func newFilter(ids []JobID) *filter {
	f := &filter{ids: slices.Clone(ids)}
	slices.Sort(f.ids)
	for _, id := range ids {
		f.bits[id>>6&63] |= 1 << (id & 63)
	}
	return f
}

func (f *filter) has(id JobID) bool {
	if f.bits[id>>6&63]&(1<<(id&63)) == 0 {
		return false
	}
	_, found := slices.BinarySearch(f.ids, id)
	return found
}
