package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const (
	// maxParked claims wait on the leader; further ones are told to come back later.
	maxParked = 131_072
	// wakeTries bounds how many parked claims are peeked for one job.
	wakeTries = 1024
	// rescanStep is how many parked claims are looked at between two batches when any of them may have something.
	rescanStep = 256
	// defaultQueue of an enqueue that names none.
	defaultQueue = "default"
)

// wish is a kind of job for which a parked claim was woken; zero count: none.
type wish struct {
	queue, user string
	size        scheduler.Size
	count       int
}

// claimSpot is where a parked claim stands. Guarded by leadership.mu.
type claimSpot struct {
	age    uint64 // 0: never parked; lower is older; kept when the claim is woken in vain
	offer  scheduler.Offer
	shelf  bool // it lies in the index of waiters: its lane has room
	wish   wish
	since  time.Time     // parked first
	parked time.Duration // until it last went into a batch
}

// parking holds the claims that wait on the leader. Guarded by leadership.mu.
type parking struct {
	ages     uint64
	waiters  *scheduler.Waiters
	byAge    map[uint64]*pending
	sessions map[fsm.SessionID]map[uint64]*pending
	// woken claims go into the next batch.
	woken []*pending
	// rescan lists the ages that are still to be looked at.
	rescan []uint64
	// bound counts parked claims of workers that serve one user.
	bound int
}

func newParking() parking {
	return parking{
		waiters: scheduler.NewWaiters(), byAge: make(map[uint64]*pending), sessions: make(map[fsm.SessionID]map[uint64]*pending),
	}
}

// Claim proposes a claim; if nothing is there for it, it waits on this node for up to wait without a log entry. parked is
// how long it waited. Errors are those of Propose.
func (n *Node) Claim(ctx context.Context, command *logv1.Command, wait time.Duration) (result *logv1.Result, parked time.Duration, err error) {
	if wait <= 0 || command.GetClaim() == nil {
		result, err = n.Propose(ctx, command)
		return result, 0, err
	}
	l, err := n.lead()
	if err != nil {
		return nil, 0, err
	}
	p := newPending(command)
	p.waits = true
	if err := l.submit(ctx, p); err != nil {
		return nil, 0, err
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		select {
		case a := <-p.answered:
			return a.result, a.parked, a.err
		case <-over.C:
			l.waitOver(p)
		case <-ctx.Done():
			a := l.abandon(p, ctx.Err())
			return a.result, a.parked, a.err
		}
	}
}

// waitOver answers a parked claim that nothing came for. One that is on its way gets the answer of the log.
func (l *leadership) waitOver(p *pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.waits = false
	if p.where == isParked {
		l.unpark(p)
		l.answer(p, answer{result: nothing(l.node.machine.applied()), parked: time.Since(p.since)})
	}
}

// nothing is the machine's answer to a claim for which nothing is there.
func nothing(index uint64) *logv1.Result {
	return &logv1.Result{Index: index, Value: &logv1.Result_Claim{Claim: &logv1.ClaimResult{Empty: logv1.Empty_EMPTY_NOTHING}}}
}

// keepsWaiting tells whether a claim stays (or becomes) parked after this answer of the machine.
func (l *leadership) keepsWaiting(p *pending, result *logv1.Result) bool {
	if p.claim == nil || !p.waits || p.where == isAnswered || result.GetRefusal() != nil {
		return false
	}
	switch result.GetClaim().GetEmpty() {
	case logv1.Empty_EMPTY_NOTHING:
		return true
	case logv1.Empty_EMPTY_AT_CAPACITY:
		return p.age > 0 // a new claim is told, so that the worker backs off
	default:
		return false
	}
}

// park a claim, at its old age if it has one.
func (l *leadership) park(m *fsm.Machine, p *pending) {
	session := fsm.SessionID(p.claim.GetSession())
	offer, ok := m.Offer(session, p.claim.GetLane())
	if !ok { // the session or lane is gone: the log says so
		l.hurry(p)
		return
	}
	if len(l.byAge) >= maxParked {
		l.answer(p, answer{err: &BusyError{RetryAfter: busyRetry}})
		return
	}
	if p.age == 0 {
		l.ages++
		p.age, p.since = l.ages, time.Now()
	}
	p.where, p.offer, p.wish = isParked, offer, wish{}
	l.byAge[p.age] = p
	if l.sessions[session] == nil {
		l.sessions[session] = make(map[uint64]*pending)
	}
	l.sessions[session][p.age] = p
	if offer.OnlyUser {
		l.bound++
	}
	if p.shelf = m.Peek(session, p.claim.GetLane()) != fsm.PeekAtCapacity; p.shelf {
		l.waiters.Park(p.age, offer)
	}
}

// unpark takes a claim out of the parking; the caller says what becomes of it.
func (l *leadership) unpark(p *pending) {
	session := fsm.SessionID(p.claim.GetSession())
	delete(l.byAge, p.age)
	delete(l.sessions[session], p.age)
	if len(l.sessions[session]) == 0 {
		delete(l.sessions, session)
	}
	if p.offer.OnlyUser {
		l.bound--
	}
	if p.shelf {
		l.waiters.Unpark(p.age)
		p.shelf = false
	}
}

// rouse a parked claim: it goes into the next batch.
func (l *leadership) rouse(p *pending, w wish) {
	l.unpark(p)
	p.where, p.wish = isWoken, w
	l.woken = append(l.woken, p)
}

// hurry sends a claim through the log for its final answer, whatever that is.
func (l *leadership) hurry(p *pending) {
	p.waits = false
	p.where = isWoken
	l.woken = append(l.woken, p)
}

// takeWoken puts woken claims into the batch, as far as they fit.
func (l *leadership) takeWoken(b *batch) (claims []*pending) {
	for len(l.woken) > 0 {
		p := l.woken[0]
		if p.where == isWoken {
			if b.weight+p.weight > packCommands || !b.takes(p) {
				break
			}
			l.depart(b, p)
			claims = append(claims, p)
		}
		l.woken[0] = nil
		l.woken = l.woken[1:]
	}
	if len(l.woken) == 0 {
		l.woken = nil
	}
	return claims
}

// depart counts a claim that was parked into the batch.
func (l *leadership) depart(b *batch, p *pending) {
	if p.age > 0 {
		p.parked = time.Since(p.since)
	}
	l.fly(b, p)
}

// wakeFor wakes parked claims for the jobs of an enqueue that is in the same batch.
func (l *leadership) wakeFor(m *fsm.Machine, b *batch, enqueue *logv1.Enqueue) (claims []*pending) {
	for _, job := range enqueue.GetJobs() {
		if len(l.byAge) == 0 || b.weight >= packCommands {
			return claims
		}
		if job.GetDelayMs() > 0 || job.GetRunAtMs() > 0 {
			continue
		}
		w := wish{queue: job.GetQueue(), user: job.GetUser(), size: scheduler.SizeOf(job.GetMemoryBytes()), count: 1}
		if w.queue == "" {
			w.queue = defaultQueue
		}
		// The job is not there yet, so nothing is what a claim with room for it finds.
		p := l.oldest(m, w, func(found fsm.Peek) bool { return found == fsm.PeekNothing || found == fsm.PeekJob })
		if p == nil {
			continue
		}
		l.unpark(p)
		p.wish = w
		l.depart(b, p)
		claims = append(claims, p)
	}
	return claims
}

// oldest parked claim that can take such a job and whose look at the machine is good.
func (l *leadership) oldest(m *fsm.Machine, w wish, good func(fsm.Peek) bool) (found *pending) {
	var passed []*pending
	for range wakeTries {
		age, ok := l.waiters.Wake(w.queue, w.user, w.size)
		if !ok {
			break
		}
		p := l.byAge[age]
		look := m.Peek(fsm.SessionID(p.claim.GetSession()), p.claim.GetLane())
		if good(look) {
			found = p
			break
		}
		l.waiters.Unpark(age)
		if p.shelf = look != fsm.PeekAtCapacity; p.shelf { // a full lane comes back when it frees something
			passed = append(passed, p)
		}
	}
	for _, p := range passed {
		l.waiters.Park(p.age, p.offer)
	}
	return found
}

// finds is the look of a claim that would get a job now.
func finds(found fsm.Peek) bool { return found == fsm.PeekJob }

// wakeAfter wakes parked claims for what a batch made ready, and for the wishes of claims that were woken in vain.
func (l *leadership) wakeAfter(m *fsm.Machine, outcome *fsm.Outcome, missed []wish) {
	if len(l.byAge) == 0 {
		l.rescan = nil
		return
	}
	for i := range outcome.Events {
		switch e := &outcome.Events[i]; e.Kind {
		case fsm.SessionReplaced, fsm.SessionEnded, fsm.WorkerDraining:
			for _, p := range l.ofSession(e.Session) {
				l.unpark(p)
				l.hurry(p)
			}
		}
	}
	for _, freed := range outcome.Freed {
		l.reoffer(m, freed)
	}
	for _, r := range outcome.Ready {
		l.wakeReady(m, wish{r.Queue, r.User, r.Size, r.Count})
	}
	for _, w := range missed {
		l.wakeReady(m, w)
	}
	if outcome.Rescan {
		l.rescanAll()
	}
}

func (l *leadership) wakeReady(m *fsm.Machine, w wish) {
	if w.user == "" && w.count > 0 && l.bound > 0 {
		l.rescanAll() // the index knows no "any user" for workers that serve one
	}
	for range w.count {
		p := l.oldest(m, w, finds)
		if p == nil {
			return
		}
		l.rouse(p, wish{w.queue, w.user, w.size, 1})
	}
}

// reoffer the parked claims of a lane that has more room than before.
func (l *leadership) reoffer(m *fsm.Machine, freed fsm.LaneRef) {
	for _, p := range l.ofSession(freed.Session) {
		if p.claim.GetLane() != freed.Lane {
			continue
		}
		l.unpark(p)
		l.park(m, p)
		if p.where == isParked && finds(m.Peek(freed.Session, freed.Lane)) {
			l.rouse(p, wish{})
		}
	}
}

// ofSession lists the parked claims of a session, oldest first.
func (l *leadership) ofSession(session fsm.SessionID) []*pending {
	mine := l.sessions[session]
	if len(mine) == 0 {
		return nil
	}
	list := make([]*pending, 0, len(mine))
	for _, p := range mine {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pending) int { return int(int64(a.age - b.age)) })
	return list
}

func (l *leadership) rescanAll() {
	l.rescan = l.rescan[:0]
	for age := range l.byAge {
		l.rescan = append(l.rescan, age)
	}
	slices.Sort(l.rescan)
}

// look at the next parked claims of a rescan.
func (l *leadership) look(m *fsm.Machine) {
	step := l.rescan[:min(len(l.rescan), rescanStep)]
	for _, age := range step {
		p, ok := l.byAge[age]
		if ok && finds(m.Peek(fsm.SessionID(p.claim.GetSession()), p.claim.GetLane())) {
			l.rouse(p, wish{})
		}
	}
	l.rescan = l.rescan[len(step):]
}
