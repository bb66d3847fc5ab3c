package cluster

import (
	"context"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const (
	// maxParked claims wait on the leader; further ones are told to come back later.
	maxParked = 131_072
)

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
	// numbered counts parked claims by their call, for which there may be more than one.
	numbered map[callID]int
	// woken claims go into the next batch.
	woken []*pending
	// rescan lists the ages that are still to be looked at.
	rescan []uint64
	// orphans are the wishes of woken claims whose callers left; other claims get them.
	orphans []wish
	// bound counts parked claims of workers that serve one user.
	bound int
}

func newParking() parking {
	return parking{
		waiters: scheduler.NewWaiters(), byAge: make(map[uint64]*pending), sessions: make(map[fsm.SessionID]map[uint64]*pending),
		numbered: make(map[callID]int),
	}
}

// callID is a numbered call of a session.
type callID struct{ session, number uint64 }

// id of the call; numbered is false for one that cannot be repeated.
func (p *pending) id() (id callID, numbered bool) {
	r := p.command.GetRepeat()
	return callID{r.GetSession(), r.GetNumber()}, r != nil
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
		case <-p.answered:
			return p.outcome.result, p.outcome.parked, p.outcome.err
		case <-over.C:
			l.waitOver(p)
		case <-ctx.Done():
			a := l.abandon(p, ctx.Err())
			return a.result, a.parked, a.err
		}
	}
}

// waitOver is waitNoLonger for a caller that does not hold mu.
func (l *leadership) waitOver(p *pending) {
	l.mu.Lock()
	defer l.unlock()
	l.waitNoLonger(p)
}

// waitNoLonger answers a parked claim that nothing came for. One that is on its way gets the answer of the log. The caller holds mu.
func (l *leadership) waitNoLonger(p *pending) {
	p.waits = false
	if p.where != isParked {
		return
	}
	l.unpark(p)
	l.node.View(func(m *fsm.Machine) {
		if hasAnswer(m, p) {
			l.hurry(p)
			return
		}
		l.answer(p, answer{result: nothing(m.AppliedIndex()), parked: time.Since(p.since)})
	})
}

// hurryRepeats sends parked repeats of an answered claim through the log for the stored answer: a caller whose connection broke asks
// again while its first call is still parked here.
func (l *leadership) hurryRepeats(p *pending) {
	id, numbered := p.id()
	if p.claim == nil || !numbered || l.numbered[id] == 0 {
		return
	}
	for _, other := range l.ofSession(fsm.SessionID(p.claim.GetSession())) {
		if o, numbered := other.id(); numbered && o == id {
			l.unpark(other)
			l.hurry(other)
		}
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
	if p.ticket != nil && p.ticket.line.err != nil {
		return false // the caller of a line that has ended hears of the end with the last answer
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
	if id, numbered := p.id(); numbered {
		l.numbered[id]++
	}
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
	if id, numbered := p.id(); numbered {
		if l.numbered[id]--; l.numbered[id] == 0 {
			delete(l.numbered, id)
		}
	}
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
	poke(l.work)
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
