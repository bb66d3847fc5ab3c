package scheduler

import "fmt"

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

// checkBoard returns what is wrong with the structure of a board.
func checkBoard(b *Board) error {
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
			if should := !q.closed && len(p.star.items) > 0; should != (p.starAt >= 0) {
				return fmt.Errorf("queue %s size %d: stands in * at %d, want standing %v", name, p.size, p.starAt, should)
			} else if should {
				standing++
			}
		}
		if waiting != q.waiting {
			return fmt.Errorf("queue %s: %d jobs, counted %d", name, waiting, q.waiting)
		}
		jobs += waiting
	}
	if jobs != len(b.jobs) {
		return fmt.Errorf("%d jobs in parts, %d in the map", jobs, len(b.jobs))
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

func checkPart(b *Board, p *part) (jobs int, err error) {
	open := 0
	for u, up := range p.users {
		if len(up.jobs.items) == 0 || b.users[u.name] != u || up.closed != b.isClosed(p.queue, u) {
			return 0, fmt.Errorf("user %s: empty, unknown, or open when closed", u.name)
		}
		if !up.closed {
			open++
		}
		jobs += len(up.jobs.items)
		if err := checkHeap("jobs of "+u.name, &up.jobs, func(e *entry) int32 { return e.at }); err != nil {
			return 0, err
		}
		for _, e := range up.jobs.items {
			if e.owner != up || b.jobs[e.id] != e {
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
