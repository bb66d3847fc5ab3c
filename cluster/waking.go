package cluster

import (
	"slices"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const (
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
	var passed []*pending
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
		l.wakeReady(m, wish{queue: r.Queue, user: r.User, size: r.Size, count: r.Count, any: r.Any})
	}
	for _, w := range missed {
		l.wakeReady(m, w)
	}
	if outcome.Rescan {
		l.rescanAll()
	}
}

func (l *leadership) wakeReady(m *fsm.Machine, w wish) {
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

// passOn the wish of a woken claim that takes nothing. The caller holds mu.
func (l *leadership) passOn(w wish) {
	if w.count > 0 {
		l.orphans = append(l.orphans, w)
		poke(l.work)
	}
}

// look for takers of what is left over, and at the next parked claims of a rescan.
func (l *leadership) look(m *fsm.Machine) {
	orphans := l.orphans
	l.orphans = nil
	for _, w := range orphans {
		l.wakeReady(m, w)
	}
	step := l.rescan[:min(len(l.rescan), rescanStep)]
	for _, age := range step {
		p, ok := l.byAge[age]
		if ok && finds(m.Peek(fsm.SessionID(p.claim.GetSession()), p.claim.GetLane())) {
			l.rouse(p, wish{})
		}
	}
	l.rescan = l.rescan[len(step):]
}
