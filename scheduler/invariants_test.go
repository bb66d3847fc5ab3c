package scheduler

import (
	"fmt"
	"slices"
)

// checkHeap returns what is wrong with a heap.
func checkHeap[T any, O order[T]](name string, h *heap[T, O], at func(T) int32) error {
	var o O
	for i, item := range h.items {
		if at(item) != int32(i) {
			return fmt.Errorf("%s: item %d believes that it is at %d", name, i, at(item))
		}
		if parent := (i - 1) / 2; i > 0 && o.before(item, h.items[parent]) {
			return fmt.Errorf("%s: item %d is before its parent %d", name, i, parent)
		}
	}
	return nil
}

// checkBacklog returns what is wrong with a backlog.
func checkBacklog(name string, b *backlog) error {
	goneOnes, best := 0, b.late.top()
	for i, e := range b.line[b.head:] {
		if e.gone() {
			goneOnes++
		} else if e.at != inLine {
			return fmt.Errorf("%s: a job of the line believes that it is at %d", name, e.at)
		}
		if i == 0 && e.gone() || i > 0 && e.ahead(b.line[b.head+i-1]) {
			return fmt.Errorf("%s: job %d of the line is gone and first, or before its predecessor", name, i)
		}
		if i == 0 && (best == nil || e.ahead(best)) {
			best = e
		}
	}
	if goneOnes != b.gone || b.gone >= mostGone || b.best != best || b.len() != len(b.all()) {
		return fmt.Errorf("%s: %d gone, counted %d; %d jobs, counted %d; or another one is the best", name, goneOnes, b.gone, len(b.all()), b.len())
	}
	return checkHeap(name, &b.late, func(e *entry) int32 { return e.at })
}

// all jobs, in no order.
func (b *backlog) all() []*entry {
	return append(slices.DeleteFunc(slices.Clone(b.line[b.head:]), (*entry).gone), b.late.items...)
}

// checkBoard returns what is wrong with the structure of a board.
func checkBoard(b *Board) error {
	if err := checkRoll(b); err != nil {
		return err
	}
	held, err := checkCoordinators(b)
	if err != nil {
		return err
	}
	jobs, standing := 0, 0
	for name, q := range b.queues {
		waiting := 0
		for i, p := range q.parts {
			if i > 0 && q.parts[i-1].size >= p.size {
				return fmt.Errorf("queue %s: parts are not by size", name)
			}
			count, err := checkPart(b, p)
			if err != nil {
				return fmt.Errorf("queue %s size %d: %w", name, p.size, err)
			}
			waiting += count
			jobs += count
			if should := !q.closed && len(p.star.items) > 0; should != (p.starAt >= 0) {
				return fmt.Errorf("queue %s size %d: stands in * at %d, want standing %v", name, p.size, p.starAt, should)
			} else if should {
				standing++
			}
		}
		if waiting+held[name] != q.waiting {
			return fmt.Errorf("queue %s: %d jobs stand, %d are held back, counted %d", name, waiting, held[name], q.waiting)
		}
	}
	for _, n := range held {
		jobs += n
	}
	if jobs != b.Waiting() {
		return fmt.Errorf("%d jobs in parts or held back, %d in the maps", jobs, b.Waiting())
	}
	for size := range b.star {
		standing -= len(b.star[size].items)
		if err := checkHeap(fmt.Sprintf("* size %d", size), &b.star[size], func(p *part) int32 { return p.starAt }); err != nil {
			return err
		}
	}
	if standing != 0 {
		return fmt.Errorf("%d more parts think they stand in * than do", standing)
	}
	for name, u := range b.users {
		if len(u.parts) == 0 && !u.closed {
			return fmt.Errorf("user %s is kept without a reason", name)
		}
		for i, up := range u.parts {
			if int(up.userAt) != i || up.part.users[u] != up {
				return fmt.Errorf("user %s: part %d is not linked back", name, i)
			}
		}
	}
	return nil
}

// checkCoordinators returns how many jobs of each queue are held back.
func checkCoordinators(b *Board) (held map[string]int, err error) {
	held = map[string]int{}
	heads, waiting, busy := map[string]*sequenced{}, map[string]int{}, 0
	for id, s := range b.sequenced {
		name := s.job.Coordinator
		if first := heads[name]; first == nil || s.job.precedes(&first.job) {
			heads[name] = s
		}
		waiting[name]++
		if kept, ok := b.roll.sequence.Get(s); !ok || kept != s || s.id != id || s.job.ID != id || s.of != b.coordinators[name] {
			return nil, fmt.Errorf("job %d of coordinator %q is not in its sequence, or not linked", id, name)
		}
	}
	for name, c := range b.coordinators {
		if c.name != name || c.head != heads[name] || c.waiting != waiting[name] || c.waiting == 0 && !c.closed || c.closed != b.roll.busy.Contains(name) {
			return nil, fmt.Errorf("coordinator %s: %+v, should have head %+v of %d", name, c, heads[name], waiting[name])
		}
		if c.closed {
			busy++
		}
	}
	for id, s := range b.sequenced {
		if stands := s == s.of.head && !s.of.closed; stands != (s.at >= 0) || stands != (s.owner != nil) {
			return nil, fmt.Errorf("job %d of coordinator %s stands at %d, should stand: %v", id, s.of.name, s.at, stands)
		} else if !stands {
			held[s.job.Queue]++
		}
	}
	if b.roll.sequence.Len() != len(b.sequenced) || b.roll.busy.Len() != busy {
		return nil, fmt.Errorf("the roll has %d jobs of coordinators and %d busy ones, want %d and %d", b.roll.sequence.Len(), b.roll.busy.Len(),
			len(b.sequenced), busy)
	}
	return held, nil
}

func checkPart(b *Board, p *part) (jobs int, err error) {
	open := 0
	for u, up := range p.users {
		if up.jobs.len() == 0 || b.users[u.name] != u || up.closed != b.isClosed(p.queue, u) {
			return 0, fmt.Errorf("user %s: empty, unknown, or open when closed", u.name)
		}
		if !up.closed {
			open++
		}
		jobs += up.jobs.len()
		if err := checkBacklog("jobs of "+u.name, &up.jobs); err != nil {
			return 0, err
		}
		for _, e := range up.jobs.all() {
			if e.owner != up || b.inLines(e.id) != e {
				return 0, fmt.Errorf("job %d is not linked back", e.id)
			}
		}
	}
	if open != len(p.own.items) || open != len(p.star.items) || len(p.users)-open != len(p.away.items) {
		return 0, fmt.Errorf("%d open of %d users, but own %d star %d away %d", open, len(p.users), len(p.own.items), len(p.star.items), len(p.away.items))
	}
	for _, err := range []error{
		checkHeap("own", &p.own, func(u *userPart) int32 { return u.ownAt }),
		checkHeap("star", &p.star, func(u *userPart) int32 { return u.starAt }),
		checkHeap("away", &p.away, func(u *userPart) int32 { return u.ownAt }),
	} {
		if err != nil {
			return 0, err
		}
	}
	return jobs, nil
}

// checkRoll compares the roll and the ages with the board.
func checkRoll(b *Board) error {
	groups, jobs := 0, 0
	for name, q := range b.queues {
		if s, ok := b.roll.queues.Get(name); !ok || s != (queueState{q.mode, q.closed}) {
			return fmt.Errorf("queue %s: the roll has %+v %v", name, s, ok)
		}
		var oldest *entry
		for _, p := range q.parts {
			for u, up := range p.users {
				groups++
				_, closedIn := q.closedUsers[u.name]
				want := group{queue: q, user: u, userAt: u.number, own: up.ownTurn, star: up.starTurn, size: p.size, closed: u.closed, closedIn: closedIn}
				if g, ok := b.roll.groups.Get(up.number); !ok || g != want {
					return fmt.Errorf("queue %s user %s: the roll has %+v %v, want %+v", name, u.name, g, ok, want)
				}
				for _, e := range up.jobs.all() {
					jobs++
					if s := b.sequenced[e.id]; s != nil && s.of.head != s {
						return fmt.Errorf("job %d stands and is not the head of coordinator %s", e.id, s.of.name)
					}
					if s, ok := b.roll.jobs.Get(e.standing()); !ok || s != e.standing() {
						return fmt.Errorf("job %d is not on the roll", e.id)
					}
					if oldest == nil || e.older(oldest) {
						oldest = e
					}
				}
			}
		}
		for _, s := range b.sequenced {
			if s.at == held && s.job.Queue == name && (oldest == nil || s.older(oldest)) {
				oldest = &s.entry
			}
		}
		if id, ok := b.Oldest(name); ok != (oldest != nil) || ok && id != oldest.id {
			return fmt.Errorf("queue %s: the oldest is %d %v, want %+v", name, id, ok, oldest)
		}
		if a := &q.ages; len(a.line)-a.head+len(a.late) > 2*q.waiting+spareAges || len(a.line) > 2*(len(a.line)-a.head)+2*spareAges {
			return fmt.Errorf("queue %s: %d waiting, but ages keep %d - %d + %d", name, q.waiting, len(a.line), a.head, len(a.late))
		}
	}
	if b.roll.groups.Len() != groups || b.roll.jobs.Len() != jobs || b.roll.queues.Len() != len(b.queues) || b.roll.mode != b.mode {
		return fmt.Errorf("the roll has %d queues, %d groups, %d jobs; want %d, %d, %d", b.roll.queues.Len(), b.roll.groups.Len(), b.roll.jobs.Len(),
			len(b.queues), groups, jobs)
	}
	used := map[uint32]bool{}
	for name, u := range b.users {
		if used[u.number] || u.number >= b.roll.userNumbers.next {
			return fmt.Errorf("user %s: number %d of %d", name, u.number, b.roll.userNumbers.next)
		}
		used[u.number] = true
	}
	if g, u := b.roll.groupNumbers, b.roll.userNumbers; len(g.free)+groups != int(g.next) || len(u.free)+len(b.users) != int(u.next) {
		return fmt.Errorf("%d groups of %d, %d users of %d numbers, free %d and %d", groups, g.next, len(b.users), u.next, len(g.free), len(u.free))
	}
	return nil
}
