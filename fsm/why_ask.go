package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// Why explains the state of a job: where a waiting job stands, what binds it, and the smallest change that would start it; and the past of
// every job. False: there is no such job. What the answer promises is written in docs/why.md. It is a function of the state, so every node
// gives the same at the same index.
//
// Cost: one pass over the waiting jobs, one over the live claims and one over the sessions, then a step per user for each lane compared.
func (i *Insight) Why(id JobID) (*WhyAnswer, bool) {
	m := i.reader()
	rec, ok := m.find(uint64(id))
	if !ok {
		return nil, false
	}
	a := &WhyAnswer{Job: rec.job, Index: i.index, ClockMs: i.wall, Steps: i.Steps(id)}
	if rec.job.State != pending && rec.job.State != scheduled {
		return a, true
	}
	q := &inquiry{Insight: i, m: m, rec: rec, job: rec.job, answer: a, use: i.usage(0), due: i.wall}
	q.then = q.use
	q.bindGates()
	q.lookAtLanes()
	q.compareLanes()
	return a, true
}

// mostCounted is how many jobs of a coordinator an answer counts.
const mostCounted = 1000

// inquiry is one call of Why about a waiting job.
type inquiry struct {
	*Insight
	m       *Machine // reads facts alone
	rec     *jobRec
	job     *logv1.Job
	answer  *WhyAnswer
	use     *usage
	then    *usage // once no claim of the job's coordinator lives
	busy    uint64 // fence of that claim; 0: none
	held    bool   // by its coordinator
	due     int64  // wall clock from which on the job is pending
	workers []*session
	byName  map[string]*session
	cover   map[coverKey]int
	lanes   []*candidate // that could take the job, by session and lane
}

// bindGates notes what keeps the job out of the lines.
func (q *inquiry) bindGates() {
	j := q.job
	rec, _ := q.queues.Get(j.Queue)
	s, g := rec.GetSettings(), gates{facts: &q.facts, use: q.use}
	if j.State == scheduled {
		q.due = max(q.wall, j.DueMs)
		q.bind(Constraint{Kind: BoundScheduled, UntilMs: j.DueMs})
		q.start(Change{Kind: ChangeWait, UntilMs: j.DueMs})
	}
	q.bindCoordinator()
	if rec.GetPaused() {
		q.bind(Constraint{Kind: BoundQueuePaused, Queue: j.Queue})
		q.start(Change{Kind: ChangeResumeQueue, Queue: j.Queue})
	}
	if limit, n := s.GetMaxRunning(), g.inQueue(j.Queue); reached(limit, n) {
		q.bind(Constraint{Kind: BoundQueueLimit, Queue: j.Queue, Value: n, Most: limit})
	}
	if limit, n := s.GetMaxRunningPerUser(), g.ofUserIn(j.Queue, j.User); reached(limit, n) {
		q.bind(Constraint{Kind: BoundUserQueueLimit, Queue: j.Queue, User: j.User, Value: n, Most: limit})
	}
	if limit, n := q.settings.GetMaxRunningPerUser(), g.ofUser(j.User); reached(limit, n) {
		q.bind(Constraint{Kind: BoundUserLimit, User: j.User, Value: n, Most: limit})
	}
}

// bindCoordinator notes which jobs of its coordinator the job has to wait for: the one that runs, and those that wait and go first.
func (q *inquiry) bindCoordinator() {
	j := q.job
	if j.Coordinator == "" {
		return
	}
	c, _ := q.coordinators.Get(j.Coordinator)
	n, head := q.roll.Before(boardJob(j), mostCounted+1)
	if q.held = c.busy != 0 || n > 0; !q.held {
		return
	}
	more := n > mostCounted
	n = min(n, mostCounted)
	must, running := int64(n), JobID(0)
	if q.busy = c.busy; q.busy != 0 {
		cl, _ := q.claims.Get(q.busy)
		must, running = must+1, JobID(cl.job)
		q.then = q.usage(q.busy)
	}
	q.bind(Constraint{Kind: BoundCoordinator, Coordinator: j.Coordinator, Busy: running, Head: head, Value: int64(n), More: more})
	q.start(Change{Kind: ChangeCoordinator, Coordinator: j.Coordinator, Value: must, More: more})
}

// lift works out which limits must rise for the job once these claims have ended, and how everything is gated then.
func (q *inquiry) lift(ended []*logv1.Job) (g gates, changes []Change) {
	j := q.job
	rec, _ := q.queues.Get(j.Queue)
	g = gates{facts: &q.facts, use: q.then, lifted: j.Queue, ended: ended}
	if n := g.inQueue(j.Queue); reached(rec.GetSettings().GetMaxRunning(), n) {
		g.queueLimit = n + 1
		changes = append(changes, Change{Kind: ChangeRaiseQueueLimit, Queue: j.Queue, Value: n + 1})
	}
	if n := g.ofUserIn(j.Queue, j.User); reached(rec.GetSettings().GetMaxRunningPerUser(), n) {
		g.userQueueLimit = n + 1
		changes = append(changes, Change{Kind: ChangeRaiseUserQueueLimit, Queue: j.Queue, User: j.User, Value: n + 1})
	}
	if n := g.ofUser(j.User); reached(q.settings.GetMaxRunningPerUser(), n) {
		g.userLimit = n + 1
		changes = append(changes, Change{Kind: ChangeRaiseUserLimit, User: j.User, Value: n + 1})
	}
	return g, changes
}

func (q *inquiry) bind(list ...Constraint) {
	q.answer.Constraints = append(q.answer.Constraints, list...)
}

func (q *inquiry) start(changes ...Change) {
	q.answer.Start = append(q.answer.Start, changes...)
}

// boardJob is the job as it will stand in the lines: a scheduled one gets a new place, behind all others.
func (q *inquiry) boardJob() scheduler.Job {
	j := boardJob(q.job)
	if q.job.State == scheduled {
		j.Place = scheduler.Place(q.lastPlace + 1)
	}
	return j
}

// compareLanes takes the lane that needs the fewest changes, then the fewest claims ahead, and completes the answer with it.
func (q *inquiry) compareLanes() {
	list := q.shortList()
	var mayExclude []JobID
	for _, c := range list {
		mayExclude = append(mayExclude, c.offer.Excluded...)
	}
	tally := q.roll.Tally(q.boardJob(), mayExclude)
	q.standInLines(tally)
	best := &candidate{offer: scheduler.Offer{Chain: []string{q.job.Queue}}, changes: []Change{{Kind: ChangeAddLane, Queue: q.job.Queue, User: q.job.User}}}
	if len(list) == 0 {
		list = append(list, best)
	}
	for i, c := range list {
		after, raises := q.lift(c.ended)
		s, stands := tally.Ahead(c.offer, after.assumption(turnsOf{q.m}))
		if !stands {
			panic("broken invariant: a lane that could take the job never gets it")
		}
		if c.ahead, c.raises = s.Claims, raises; i == 0 || c.ahead < best.ahead {
			best = c
		}
	}
	q.answer.Lane = best.name
	q.start(best.raises...)
	q.start(best.changes...)
	if best.ahead > 0 {
		q.bind(Constraint{Kind: BoundBehind, Lane: best.name, Value: int64(best.ahead)})
		q.start(Change{Kind: ChangeClaimsAhead, Value: int64(best.ahead)})
	}
}

// standInLines says where the job stands, unless something keeps it out of the lines.
func (q *inquiry) standInLines(tally *scheduler.Tally) {
	if q.job.State == scheduled || q.held {
		return
	}
	for _, line := range []string{q.job.Queue, scheduler.Any} {
		if s, stands := tally.Ahead(scheduler.Offer{Chain: []string{line}}, scheduler.Assumption{}); stands {
			q.answer.Lines = append(q.answer.Lines, linePlace(s))
		}
	}
}

func linePlace(s scheduler.Standing) LinePlace {
	p := LinePlace{Line: s.Line, Mode: s.Mode, UserPosition: s.UserPosition, UserWaiting: s.UserWaiting, Ahead: s.Claims, Waiting: s.Waiting,
		UsersAhead: s.UsersAhead}
	for _, u := range s.Users {
		p.Users = append(p.Users, UserAhead{User: u.User, Jobs: u.Jobs})
	}
	return p
}
