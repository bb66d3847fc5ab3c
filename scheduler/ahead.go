package scheduler

import (
	"cmp"
	"slices"
)

// mostUsersAhead is how many users Standing names.
const mostUsersAhead = 10

// Assumption opens, for a question, what is closed on the board. The zero value opens nothing. A function is asked only for what is closed;
// nil answers no.
type Assumption struct {
	OpenQueue  func(queue string) bool
	OpenUser   func(user string) bool // in all queues, unless it is closed in one
	OpenUserIn func(queue, user string) bool
	// Turns are asked for the turn of the job's user when the job is not on the roll; else they may be nil.
	Turns Turns
}

// UserAhead is a user with jobs that go first.
type UserAhead struct {
	User string
	Jobs uint64
}

// Standing is where a job stands for an offer.
type Standing struct {
	Line     string
	Position int // of the line in the offer's chain
	Mode     Mode
	// Claims by this offer come first, if the job of each ends before the next claim and nothing else happens: no coordinator puts its next
	// job into the lines, either.
	Claims uint64
	// UserPosition among the jobs of the user in this line that the offer may take, from 1; UserWaiting is how many they are.
	UserPosition, UserWaiting uint64
	// Waiting jobs stand in the line that the offer may take, this one included.
	Waiting uint64
	// UsersAhead have jobs that go first in this line, perhaps the job's own; Users are the ten with most of them, then by name.
	UsersAhead uint64
	Users      []UserAhead
}

// Ahead returns how many claims by the offer come before the job. False: it never gets the job, as the chain does not name it, it does not
// fit, it is excluded, or it is closed. Whether a job that is not on the roll is closed for its user is for the caller to know. See docs/design.md §7 for the order and docs/decisions/0008-roll.md for the formula.
func (t *Tally) Ahead(offer Offer, as Assumption) (Standing, bool) {
	if !offer.Takes(t.job.Queue, t.job.User, t.job.Size) || slices.Contains(offer.Excluded, t.job.ID) {
		return Standing{}, false
	}
	position := slices.IndexFunc(offer.Chain, func(name string) bool { return name == t.job.Queue || name == Any })
	l := line{tally: t, offer: offer, as: as, name: offer.Chain[position], earlier: offer.Chain[:position]}
	if !l.jobIsOpen() {
		return Standing{}, false
	}
	l.mode = t.roll.mode
	if l.name != Any {
		if q, known := t.roll.queues.Get(l.name); known {
			l.mode = q.mode
		}
	}
	first := l.sumUp()
	s := Standing{Line: l.name, Position: position, Mode: l.mode}
	l.stand(&s)
	s.Claims += first
	return s, true
}

// line is the one line of an offer in which the job is found.
type line struct {
	tally   *Tally
	offer   Offer
	as      Assumption
	name    string
	earlier []string // lines that are tried before: their jobs all go first
	mode    Mode
}

// place of a queue in the chain.
type place uint8

const (
	outside place = iota
	before        // in an earlier line
	inside        // in the line
)

// where says whether the jobs of a queue count, and how.
func (l *line) where(q *queue) place {
	if l.tally.stateOf(q).closed && (l.as.OpenQueue == nil || !l.as.OpenQueue(q.name)) {
		return outside
	}
	switch {
	case slices.Contains(l.earlier, q.name):
		return before
	case l.name == Any || l.name == q.name:
		return inside
	}
	return outside
}

// isOpen: the jobs of this group stand in the lines of their queue.
func (l *line) isOpen(g *group) bool {
	return (!g.closed || l.as.OpenUser != nil && l.as.OpenUser(g.user.name)) &&
		(!g.closedIn || l.as.OpenUserIn != nil && l.as.OpenUserIn(g.queue.name, g.user.name))
}

func (l *line) jobIsOpen() bool {
	t := l.tally
	if q, known := t.roll.queues.Get(t.job.Queue); known && q.closed && (l.as.OpenQueue == nil || !l.as.OpenQueue(t.job.Queue)) {
		return false
	}
	for i := range t.parts {
		if p := &t.parts[i]; p.userAt == t.own && p.queue.name == t.job.Queue && !l.isOpen(&p.group) {
			return false
		}
	}
	return true
}

// sumUp fills the sums of the users with the line, and counts the jobs of earlier lines.
func (l *line) sumUp() (first uint64) {
	t := l.tally
	clear(t.users)
	var last *queue
	var at place
	counted := false // the job itself
	for i := range t.parts {
		p := &t.parts[i]
		if p.queue != last {
			last, at = p.queue, l.where(p.queue)
		}
		if at == outside || !l.offer.fits(p.size) || l.offer.OnlyUser && p.userAt != t.own || !l.isOpen(&p.group) {
			continue
		}
		if len(t.excluded) > 0 && len(l.offer.Excluded) > 0 {
			p = t.without(p, l.offer.Excluded)
		}
		if at == before {
			first += uint64(p.waiting)
			continue
		}
		turn := p.own
		if l.name == Any {
			turn = p.star
		}
		if p.userAt == t.own && p.size == t.job.Size && p.queue.name == t.job.Queue {
			whole := tallied{group: p.group, waiting: p.waiting, best: p.best, ahead: p.ahead}
			whole.add(&t.self, &t.self)
			p, counted = &whole, true
		}
		t.users[p.userAt].merge(p, turn)
	}
	if !counted {
		alone := tallied{waiting: 1, best: t.self}
		alone.user = &user{name: t.job.User}
		t.users[t.own].merge(&alone, l.as.Turns.Turn(l.name, t.job.User))
	}
	return first
}

func (s *sum) merge(p *tallied, turn Fence) {
	if p.waiting == 0 {
		return
	}
	if s.waiting == 0 || p.best.older(&s.oldest) {
		s.oldest = p.best
	}
	s.user, s.turn = p.user, turn
	s.waiting += p.waiting
	s.ahead += p.ahead
}

// stand works out what goes first in the line. By rank, in fifo and for a worker of one user: whatever is ahead of the job. In round robin
// a user is served again only after all others that wait. So by the time the job's user is served for the (r+1)th time, r being its jobs
// that are ahead, each other user was served r times, and once more if it stands ahead now, or has no jobs left.
func (l *line) stand(s *Standing) {
	t := l.tally
	own := t.users[t.own]
	s.UserPosition, s.UserWaiting = uint64(own.ahead)+1, uint64(own.waiting)
	for i := range t.users {
		u := &t.users[i]
		s.Waiting += uint64(u.waiting)
		jobs := u.ahead
		if l.mode == RoundRobin && !l.offer.OnlyUser && i != int(t.own) {
			rounds := own.ahead
			if u.turn < own.turn || u.turn == own.turn && u.oldest.older(&own.oldest) {
				rounds++
			}
			jobs = min(u.waiting, rounds)
		}
		if jobs == 0 {
			continue
		}
		s.Claims += uint64(jobs)
		s.UsersAhead++
		if n := len(s.Users); n < mostUsersAhead || s.Users[n-1].Jobs <= uint64(jobs) {
			s.name(UserAhead{User: u.user.name, Jobs: uint64(jobs)})
		}
	}
}

// name keeps the users with most jobs ahead.
func (s *Standing) name(u UserAhead) {
	if n := len(s.Users); n == mostUsersAhead && compareAhead(s.Users[n-1], u) < 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(s.Users, u, compareAhead)
	s.Users = slices.Insert(s.Users, at, u)
	s.Users = s.Users[:min(len(s.Users), mostUsersAhead)]
}

func compareAhead(a, b UserAhead) int {
	return cmp.Or(cmp.Compare(b.Jobs, a.Jobs), cmp.Compare(a.User, b.User))
}
