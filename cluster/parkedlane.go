package cluster

import (
	"github.com/tidwall/btree"

	"github.com/fairlane-scheduler/fairlane/fsm"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// parkedLane is a lane with parked claims. All of them would find the same, so the oldest stands for all in the index of waiters. Guarded by
// leadership.mu.
type parkedLane struct {
	ref    fsm.LaneRef
	claims btree.Map[uint64, *pending] // by age; never empty but within unpark
	// offer under which it lies in the index. The lane may have less memory by now, but for every job that fits the offer a claim of it was there.
	offer scheduler.Offer
	// rests: it was full when it was looked at, so it lies not in the index until it is freed of something.
	rests bool
	// under is the age under which it lies in the index; 0: it does not.
	under uint64
}

// oldest of the claims.
func (x *parkedLane) oldest() *pending {
	_, p, _ := x.claims.Min()
	return p
}

// lane with parked claims, or nil.
func (l *leadership) lane(ref fsm.LaneRef) *parkedLane { return l.sessions[ref.Session][ref.Lane] }

// shelve lets a lane lie in the index under the age of its oldest claim, or not at all if it rests or has none.
func (l *leadership) shelve(x *parkedLane) {
	age := uint64(0)
	if first, _, any := x.claims.Min(); any && !x.rests {
		age = first
	}
	if age == x.under {
		return
	}
	l.unshelve(x)
	if x.under = age; age == 0 {
		return
	}
	l.waiters.Park(age, x.offer)
	if x.offer.OnlyUser {
		l.bound++
	}
}

// unshelve takes a lane out of the index, until shelve.
func (l *leadership) unshelve(x *parkedLane) {
	if x.under == 0 {
		return
	}
	l.waiters.Unpark(x.under)
	x.under = 0
	if x.offer.OnlyUser {
		l.bound--
	}
}

// reshelve lets a lane lie in the index under another offer.
func (l *leadership) reshelve(x *parkedLane, offer scheduler.Offer) {
	l.unshelve(x)
	x.offer, x.rests = offer, false
	l.shelve(x)
}

// lower lets a lane, in which a claim finds nothing, lie in the index with the memory that it has now.
func (l *leadership) lower(m *fsm.Machine, x *parkedLane) {
	if offer, ok := m.Offer(x.ref.Session, x.ref.Lane); ok && (x.rests || offer.FreeBytes < x.offer.FreeBytes) {
		l.reshelve(x, offer)
	}
}

// rest takes a full lane out of the index, until it is freed of something.
func (l *leadership) rest(x *parkedLane) {
	x.rests = true
	l.shelve(x)
}
