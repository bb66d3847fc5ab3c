package cluster

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const (
	// wakeTries bounds how many lanes with parked claims are peeked for one job.
	wakeTries = 1024
	// rescanStep is how many lanes with parked claims are looked at between two batches when any of them may have something.
	rescanStep = 256
	// defaultQueue of an enqueue that names none.
	defaultQueue = "default"
)

// wish is a kind of job for which a parked claim was woken; zero count: none.
type wish struct {
	queue, user string
	size        scheduler.Size
	count       int
	any         bool // of any user and size
}

// grantedBy: the claim got a job of the kind for which it was woken. It may have got another one, that its chain prefers.
func (w wish) grantedBy(result *logv1.Result) bool {
	job := result.GetClaim().GetJob()
	return job != nil && job.GetQueue() == w.queue && (w.any || job.GetUser() == w.user && scheduler.SizeOf(job.GetMemoryBytes()) == w.size)
}

// wakeFor wakes parked claims for the jobs that a command of the same batch makes.
func (l *leadership) wakeFor(m *fsm.Machine, b *batch, jobs []*logv1.NewJob) (claims []*pending) {
	for _, job := range jobs {
		if len(l.byAge) == 0 || b.weight >= packCommands {
			return claims
		}
		if job.GetDelayMs() > 0 || job.GetRunAtMs() > 0 || b.behind(m, job.GetCoordinator()) {
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

// behind tells whether a new job of a coordinator comes behind another one, so that nobody can claim it in this batch. When its turn
// comes the machine says so.
func (b *batch) behind(m *fsm.Machine, coordinator string) bool {
	if coordinator == "" {
		return false
	}
	if c, _, _, _ := m.Coordinator(coordinator, 0); c.Busy != 0 || c.Head != 0 || b.coordinated[coordinator] {
		return true
	}
	if b.coordinated == nil {
		b.coordinated = make(map[string]bool)
	}
	b.coordinated[coordinator] = true
	return false
}

// oldest parked claim that can take such a job and whose look at the machine is good.
func (l *leadership) oldest(m *fsm.Machine, w wish, good func(fsm.Peek) bool) (found *pending) {
	var passed []*parkedLane
	for tries := 0; ; tries++ {
		age, ok := l.waiters.Wake(w.queue, w.user, w.size)
		if !ok {
			break
		}
		if tries == wakeTries {
			l.rescanAll() // a few at a time, between batches
			break
		}
		p := l.byAge[age]
		lane := l.lane(p.lane())
		look := m.Peek(lane.ref.Session, lane.ref.Lane)
		if good(look) {
			found = p
			break
		}
		if look == fsm.PeekAtCapacity { // it comes back when the lane is freed of something
			l.rest(lane)
			continue
		}
		l.unshelve(lane)
		passed = append(passed, lane)
	}
	for _, lane := range passed {
		l.shelve(lane)
		l.lower(m, lane)
	}
	return found
}

// finds is the look of a claim that would get a job now.
func finds(found fsm.Peek) bool { return found == fsm.PeekJob }

// wakeAfter wakes parked claims for what a batch made ready, and for what the claims that were woken into it may have left.
func (l *leadership) wakeAfter(m *fsm.Machine, outcome *fsm.Outcome, missed []wish, granted map[wish]bool) {
	if len(l.byAge) == 0 {
		l.rescan, l.rescanAgain, l.ajar = nil, false, nil
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
	l.rouseAjar(m)
	for _, r := range outcome.Ready {
		l.wakeReady(m, wish{queue: r.Queue, user: r.User, size: r.Size, count: r.Count, any: r.Any})
	}
	for _, w := range missed {
		l.wakeReady(m, w)
	}
	l.wakeLeft(m, granted)
	if outcome.Rescan {
		l.rescanAll()
	}
}

func (l *leadership) wakeReady(m *fsm.Machine, w wish) {
	if !m.Stands(w.queue, w.user, w.size, w.any) {
		return
	}
	if w.any && l.bound > 0 {
		l.rescanAll() // the index knows no "any user" for workers that serve one
	}
	for range w.count {
		p := l.oldest(m, w, finds)
		if p == nil {
			return
		}
		one := w
		one.count = 1
		l.rouse(p, one)
	}
}

// wakeLeft wakes one more claim for each wish that was granted, if jobs of its kind are left and nobody is on the way for them: the claim may have
// got a job that became ready in the same batch, and then nobody was woken for that one.
func (l *leadership) wakeLeft(m *fsm.Machine, granted map[wish]bool) {
	if len(granted) == 0 {
		return
	}
	for _, p := range l.woken {
		delete(granted, p.wish)
	}
	kinds := slices.SortedFunc(maps.Keys(granted), func(a, b wish) int {
		return cmp.Or(cmp.Compare(a.queue, b.queue), cmp.Compare(a.user, b.user), cmp.Compare(a.size, b.size))
	})
	for _, w := range kinds {
		l.wakeReady(m, w)
	}
}

// reoffer a lane that has more room than before. If it did not rest, and has no more memory than it lies in the index with, its claims were
// there for every job that they could take by now.
func (l *leadership) reoffer(m *fsm.Machine, freed fsm.LaneRef) {
	lane := l.lane(freed)
	if lane == nil {
		return
	}
	offer, ok := m.Offer(freed.Session, freed.Lane)
	if !ok || !lane.rests && offer.FreeBytes <= lane.offer.FreeBytes { // not ok: it is full again, or its claims were told of its end
		return
	}
	l.reshelve(lane, offer)
	l.rouseLane(m, lane, 1)
}

// rouseLane wakes the oldest claims of a lane, so many, if one of them would get a job. How many jobs there are is not known; so each of them has
// two more woken while there are any, and few go into a batch in vain. A lane that has nothing lies in the index with what it has by now: what
// it has more of later is looked at then.
func (l *leadership) rouseLane(m *fsm.Machine, lane *parkedLane, count int) {
	switch m.Peek(lane.ref.Session, lane.ref.Lane) {
	case fsm.PeekAtCapacity:
		l.rest(lane)
	case fsm.PeekJob:
		for range min(count, lane.claims.Len()) {
			p := lane.oldest()
			l.rouse(p, wish{})
			p.first = true
		}
	case fsm.PeekNothing:
		l.lower(m, lane)
	}
}

// open notes that a lane is to be looked at. The caller holds mu.
func (l *leadership) open(lane fsm.LaneRef) {
	l.ajar = append(l.ajar, lane)
	poke(l.work)
}

// ofSession lists the parked claims of a session, oldest first.
func (l *leadership) ofSession(session fsm.SessionID) (list []*pending) {
	for _, lane := range l.sessions[session] {
		list = append(list, lane.claims.Values()...)
	}
	slices.SortFunc(list, func(a, b *pending) int { return cmp.Compare(a.age, b.age) })
	return list
}

// rescanAll has every lane looked at, those with the oldest claims first. One that goes on ends first, else the last lanes might never be reached.
func (l *leadership) rescanAll() {
	l.rescanAgain = true
	poke(l.work)
}

// nextRescan lists the lanes that are looked at now.
func (l *leadership) nextRescan() (step []fsm.LaneRef) {
	if len(l.rescan) == 0 && l.rescanAgain {
		l.rescanAgain = false
		var lanes []*parkedLane
		for _, session := range l.sessions {
			for _, lane := range session {
				lanes = append(lanes, lane)
			}
		}
		slices.SortFunc(lanes, func(a, b *parkedLane) int { return cmp.Compare(a.oldest().age, b.oldest().age) })
		for _, lane := range lanes {
			l.rescan = append(l.rescan, lane.ref)
		}
	}
	n := min(len(l.rescan), rescanStep)
	step, l.rescan = l.rescan[:n], l.rescan[n:]
	return step
}

// passOn the wish of a woken claim that takes nothing. The caller holds mu.
func (l *leadership) passOn(w wish) {
	if w.count > 0 {
		l.orphans = append(l.orphans, w)
		poke(l.work)
	}
}

// rouseAjar looks at the lanes that may have more.
func (l *leadership) rouseAjar(m *fsm.Machine) {
	ajar := l.ajar
	l.ajar = nil
	for _, ref := range ajar {
		if lane := l.lane(ref); lane != nil {
			l.rouseLane(m, lane, 2)
		}
	}
}

// look for takers of what is left over, and at the next lanes of a rescan.
func (l *leadership) look(m *fsm.Machine) {
	l.rouseAjar(m)
	orphans := l.orphans
	l.orphans = nil
	for _, w := range orphans {
		l.wakeReady(m, w)
	}
	for _, ref := range l.nextRescan() {
		if lane := l.lane(ref); lane != nil {
			l.rouseLane(m, lane, 1)
		}
	}
}
