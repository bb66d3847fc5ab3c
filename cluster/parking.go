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
)

// claimSpot is where a parked claim stands. Guarded by leadership.mu.
type claimSpot struct {
	age    uint64 // 0: never parked; lower is older; kept when the claim is woken in vain
	first  bool   // woken for its lane, not for a job that is known: the lane is looked at again afterwards
	wish   wish
	since  time.Time     // parked first
	parked time.Duration // until it last went into a batch
}

// parking holds the claims that wait on the leader. Guarded by leadership.mu.
//
// Whenever nothing is on its way (no batch in flight, and no queue, woken, ajar, orphans or rescan), no parked claim would get a job. What keeps it so:
//   - As long as a job stands in the lines and a parked claim that lies in the index would get it, some claim is woken for its kind: each kind
//     that becomes ready wakes one, and what comes of that wakes another while jobs of the kind are left, until no claim is found.
//   - Lanes that were full when they were looked at rest, out of the index. What frees a slot of them, or gives a lane more memory than it lies in
//     the index with, looks at the lane itself; so does whatever makes jobs claimable that have no kind (rescan).
//   - A lane that was looked at and had something is looked at again after the batch that its claim was in, until it has nothing.
type parking struct {
	ages     uint64
	waiters  *scheduler.Waiters
	byAge    map[uint64]*pending
	sessions map[fsm.SessionID]map[uint32]*parkedLane
	// numbered are the parked claims by their call, for which there may be more than one.
	numbered map[callID][]*pending
	// woken claims go into the next batch.
	woken []*pending
	// ajar lists lanes that may have more to claim.
	ajar []fsm.LaneRef
	// rescan lists the lanes that are still to be looked at; rescanAgain: all of them once more afterwards.
	rescan      []fsm.LaneRef
	rescanAgain bool
	// orphans are the wishes of woken claims whose callers left; other claims get them.
	orphans []wish
	// bound counts lanes in the index of workers that serve one user.
	bound int
}

func newParking() parking {
	return parking{
		waiters: scheduler.NewWaiters(), byAge: make(map[uint64]*pending), sessions: make(map[fsm.SessionID]map[uint32]*parkedLane),
		numbered: make(map[callID][]*pending),
	}
}

// hasWakes tells whether parked claims are woken, or are to be.
func (p *parking) hasWakes() bool {
	return len(p.woken)+len(p.rescan)+len(p.orphans)+len(p.ajar) > 0 || p.rescanAgain
}

// lane of a claim.
func (p *pending) lane() fsm.LaneRef {
	return fsm.LaneRef{Session: fsm.SessionID(p.claim.GetSession()), Lane: p.claim.GetLane()}
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
	if p.claim == nil || !numbered {
		return
	}
	for _, other := range slices.Clone(l.numbered[id]) {
		l.unpark(other)
		l.hurry(other)
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
	ref := p.lane()
	look := m.Peek(ref.Session, ref.Lane)
	offer, ok := m.Offer(ref.Session, ref.Lane)
	if !ok && look != fsm.PeekAtCapacity { // the session or lane is gone, or drains: the log says so
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
	p.where, p.wish, p.first = isParked, wish{}, false
	l.byAge[p.age] = p
	if id, numbered := p.id(); numbered {
		l.numbered[id] = append(l.numbered[id], p)
	}
	lane := l.lane(ref)
	if lane == nil {
		lane = &parkedLane{ref: ref, offer: offer}
		if l.sessions[ref.Session] == nil {
			l.sessions[ref.Session] = make(map[uint32]*parkedLane)
		}
		l.sessions[ref.Session][ref.Lane] = lane
	}
	lane.claims.Set(p.age, p)
	if look == fsm.PeekAtCapacity {
		lane.rests = true
	}
	l.shelve(lane)
	if look == fsm.PeekJob {
		l.open(ref)
	}
}

// unpark takes a claim out of the parking; the caller says what becomes of it.
func (l *leadership) unpark(p *pending) {
	delete(l.byAge, p.age)
	if id, numbered := p.id(); numbered {
		if l.numbered[id] = slices.DeleteFunc(l.numbered[id], func(other *pending) bool { return other == p }); len(l.numbered[id]) == 0 {
			delete(l.numbered, id)
		}
	}
	lane := l.lane(p.lane())
	lane.claims.Delete(p.age)
	l.shelve(lane)
	if lane.claims.Len() > 0 {
		return
	}
	session := l.sessions[lane.ref.Session]
	if delete(session, lane.ref.Lane); len(session) == 0 {
		delete(l.sessions, lane.ref.Session)
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
