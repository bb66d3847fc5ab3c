package scheduler

// Pick is the answer of Next.
type Pick struct {
	Job      Job
	Line     string // the line it was found in: a queue's name or Any
	Position int    // of that line in the offer's chain
}

// Next returns the job that the offer gets: the chain is tried left to right.
// It takes nothing and changes nothing. Cost: queues in the chain x sizes in use,
// plus the queues in which the chosen user waits (for "*"), plus exclusions;
// never the backlog.
func (b *Board) Next(offer Offer) (Pick, bool) {
	s := search{board: b, offer: offer}
	if len(offer.Excluded) > 0 {
		s.exclude(offer.Excluded)
	}
	for position, line := range offer.Chain {
		var best *entry
		switch {
		case line == Any:
			best = s.inStar()
		case b.queues[line] != nil && !b.queues[line].closed:
			best = s.inQueue(b.queues[line])
		}
		if best != nil {
			return Pick{Job: b.jobOf(best), Line: line, Position: position}, true
		}
	}
	return Pick{}, false
}

// search is one call of Next. Users that have excluded jobs ("touched") do not
// stand where their heaps say; they are skipped in the heaps and looked at one by one.
type search struct {
	board        *Board
	offer        Offer
	excluded     map[JobID]struct{}
	touched      map[*userPart]*entry // best job left; nil: none
	touchedUsers []*userPart          // the keys, in the order of the exclusions
	touchedParts []*part
}

func (s *search) exclude(ids []JobID) {
	for _, id := range ids {
		e := s.board.inLines(id)
		if e == nil {
			continue
		}
		if s.excluded == nil {
			s.excluded = make(map[JobID]struct{}, len(ids))
			s.touched = make(map[*userPart]*entry, len(ids))
			s.touchedUsers = make([]*userPart, 0, len(ids))
		}
		s.excluded[id] = struct{}{}
		if _, known := s.touched[e.owner]; !known {
			s.touched[e.owner] = nil
			s.touchedUsers = append(s.touchedUsers, e.owner)
			if !s.isTouchedPart(e.owner.part) {
				s.touchedParts = append(s.touchedParts, e.owner.part)
			}
		}
	}
	for _, up := range s.touchedUsers {
		if best, found := up.jobs.bestExcept(s.isExcluded); found {
			s.touched[up] = best
		}
	}
}

func (s *search) isExcluded(e *entry) bool {
	_, excluded := s.excluded[e.id]
	return excluded
}

func (s *search) isTouched(up *userPart) bool {
	_, touched := s.touched[up]
	return touched
}

func (s *search) isTouchedPart(p *part) bool {
	for _, touched := range s.touchedParts {
		if touched == p {
			return true
		}
	}
	return false
}

// bestOf returns the best job of a user in a part that the offer may take, or nil.
func (s *search) bestOf(up *userPart) *entry {
	if up == nil || up.closed || up.part.queue.closed || !s.offer.fits(up.part.size) {
		return nil
	}
	if s.touched != nil {
		if best, touched := s.touched[up]; touched {
			return best
		}
	}
	return up.jobs.best
}

// inQueue returns the job that the line of an open queue gives.
func (s *search) inQueue(q *queue) *entry {
	if s.offer.OnlyUser {
		return s.ofUserIn(q, s.board.users[s.offer.User])
	}
	var first candidate
	for _, p := range q.parts {
		if !s.offer.fits(p.size) {
			break
		}
		c := s.firstOwn(p)
		if c.best != nil && (first.best == nil || c.ownBefore(first)) {
			first = c
		}
	}
	if first.best == nil || q.mode == FIFO {
		return first.best
	}
	return s.ofUserIn(q, first.user.user)
}

// inStar returns the job that the line "*" gives.
func (s *search) inStar() *entry {
	if s.offer.OnlyUser {
		return s.ofUser(s.board.users[s.offer.User])
	}
	var first candidate
	consider := func(c candidate) {
		if c.best != nil && (first.best == nil || c.starBefore(first)) {
			first = c
		}
	}
	for size := range s.board.star {
		if s.board.sizes[size] == 0 {
			continue
		}
		if !s.offer.fits(Size(size)) {
			break
		}
		line := &s.board.star[size]
		if s.touched == nil {
			if p := line.top(); p != nil {
				consider(p.star.top().asCandidate())
			}
		} else if p, found := line.bestExcept(0, s.isTouchedPart); found {
			consider(p.star.top().asCandidate())
		}
	}
	for _, p := range s.touchedParts {
		if !p.queue.closed && s.offer.fits(p.size) {
			consider(s.firstStar(p))
		}
	}
	if first.best == nil || s.board.mode == FIFO {
		return first.best
	}
	return s.ofUser(first.user.user)
}

// firstOwn returns the user that the queue's line serves first in a part.
func (s *search) firstOwn(p *part) (first candidate) {
	if s.touched == nil {
		if up := p.own.top(); up != nil {
			first = up.asCandidate()
		}
		return first
	}
	if up, found := p.own.bestExcept(0, s.isTouched); found {
		first = up.asCandidate()
	}
	for _, up := range s.touchedUsers {
		if up.part != p {
			continue
		}
		c := candidate{user: up, best: s.bestOf(up)}
		if c.best != nil && (first.best == nil || c.ownBefore(first)) {
			first = c
		}
	}
	return first
}

// firstStar returns the user that the line "*" serves first in a touched part.
func (s *search) firstStar(p *part) (first candidate) {
	if up, found := p.star.bestExcept(0, s.isTouched); found {
		first = up.asCandidate()
	}
	for _, up := range s.touchedUsers {
		if up.part != p {
			continue
		}
		c := candidate{user: up, best: s.bestOf(up)}
		if c.best != nil && (first.best == nil || c.starBefore(first)) {
			first = c
		}
	}
	return first
}

// ofUserIn returns a user's best job in a queue, over the sizes that fit.
func (s *search) ofUserIn(q *queue, u *user) (best *entry) {
	if u == nil {
		return nil
	}
	for _, p := range q.parts {
		if e := s.bestOf(p.of(u)); e != nil && (best == nil || e.ahead(best)) {
			best = e
		}
	}
	return best
}

// ofUser returns a user's best job over all open queues and the sizes that fit.
func (s *search) ofUser(u *user) (best *entry) {
	if u == nil {
		return nil
	}
	for _, up := range u.parts {
		if e := s.bestOf(up); e != nil && (best == nil || e.ahead(best)) {
			best = e
		}
	}
	return best
}
