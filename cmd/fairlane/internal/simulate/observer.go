package simulate

import (
	"cmp"
	"slices"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// ending is how a run ended.
type ending uint8

const (
	byFinish  ending = iota + 1 // the worker reported an outcome
	byRelease                   // given back, not charged
	byLoss                      // lease or run limit over, or the worker gone
	byLetGo                     // the job was cancelled and the worker let go
)

// run is one claim of a job.
type run struct {
	fence, job, session uint64
	lane                uint32
	user, queue, kind   string
	start               int64 // wall clock, ms
	early               bool  // it began before the window, so its wait does not count
	cancelled           int64 // when its job was cancelled; 0: it was not

	lease, beat int64 // as the claim's answer says; 0 for an early run

	// The end. final: the job's state is final after it.
	end     int64
	how     ending
	outcome *logv1.Finish // byFinish
	final   bool
}

// claimed is one line of the order.
type claimed struct {
	AtMs   int64  `json:"at_ms"`
	Job    uint64 `json:"job"`
	Queue  string `json:"queue"`
	User   string `json:"user"`
	Worker string `json:"worker"`
	Lane   uint32 `json:"lane"`
	WaitMs int64  `json:"wait_ms"`
}

// workerLife is one session of a worker.
type workerLife struct {
	session      uint64
	name, user   string
	lanes        []*logv1.Lane
	opened, seen int64
	closed       bool
	draining     bool
	busy         []int64 // slot time in ms, by lane
	runs         []int64 // claims, by lane
}

// observer watches a machine and measures. It sees batches in order.
type observer struct {
	mostOrder int

	from, now int64
	ready     map[uint64]int64 // since when a pending job may be claimed
	byFence   map[uint64]*run
	byJob     map[uint64]*run
	held      map[uint64]bool // jobs whose next claim does not count as waiting: they ran when the window began
	workers   map[uint64]*workerLife
	// cancelled runs live on until their workers let go.
	cancelled int

	queues, users map[string]*waits
	all           waits
	jobs          map[uint64]bool // claimed at least once in the window
	order         []claimed
	claims        int
	firstWork     int64 // when the first job came or waited; -1: never
	lastEnd       int64
	left          int // waiting jobs after the last batch
}

// waits of one queue or user, in ms.
type waits struct {
	list []int64
	jobs map[uint64]bool
}

func newObserver(mostOrder int) *observer {
	return &observer{
		mostOrder: mostOrder, ready: map[uint64]int64{}, byFence: map[uint64]*run{}, byJob: map[uint64]*run{}, held: map[uint64]bool{},
		workers: map[uint64]*workerLife{}, queues: map[string]*waits{}, users: map[string]*waits{}, jobs: map[uint64]bool{}, firstWork: -1,
	}
}

// begin the window with what the machine holds.
func (o *observer) begin(m *fsm.Machine, at int64) {
	o.from, o.now = at, at
	session := map[uint64]uint64{} // by fence
	for after, more := fsm.SessionID(0), true; more; {
		page := m.Workers(after, pageSize)
		for _, w := range page {
			after = w.Session
			o.open(w, at)
			for _, fence := range w.Fences {
				session[fence] = uint64(w.Session)
			}
		}
		more = len(page) == pageSize
	}
	defer func() { o.left = waitingIn(m, o.cancelled) }()
	for _, j := range jobsIn(m, logv1.State_STATE_PENDING, logv1.State_STATE_RUNNING, logv1.State_STATE_CANCELLED) {
		switch _, live := session[j.GetFence()]; {
		case j.GetState() == logv1.State_STATE_PENDING:
			o.ready[j.GetId()] = max(j.GetEnqueuedMs(), j.GetDueMs(), j.GetPlacedMs())
			o.work()
		case j.GetState() == logv1.State_STATE_RUNNING || live:
			r := &run{fence: j.GetFence(), job: j.GetId(), session: session[j.GetFence()], lane: j.GetLane(), user: j.GetUser(),
				queue: j.GetQueue(), kind: j.GetKind(), start: at, early: true}
			if j.GetState() == logv1.State_STATE_CANCELLED {
				r.cancelled = at
				o.cancelled++
			}
			o.byFence[r.fence], o.byJob[r.job] = r, r
			o.work()
		}
	}
}

// pageSize of what is read of a machine.
const pageSize = 10_000

// jobsIn lists the jobs in these states, the oldest first.
func jobsIn(m *fsm.Machine, states ...logv1.State) (list []*logv1.Job) {
	in := m.Insight()
	for before := fsm.JobID(0); ; {
		page, next := in.Jobs(fsm.JobFilter{States: states, Before: before, Limit: pageSize})
		list = append(list, page...)
		if next == 0 {
			slices.Reverse(list)
			return list
		}
		before = next
	}
}

// work is there: the makespan begins with the first.
func (o *observer) work() {
	if o.firstWork < 0 {
		o.firstWork = o.now
	}
}

func (o *observer) open(w fsm.WorkerView, at int64) {
	life := &workerLife{session: uint64(w.Session), name: w.Name, user: w.User, opened: at, seen: at, draining: w.Draining,
		busy: make([]int64, len(w.Lanes)), runs: make([]int64, len(w.Lanes))}
	for _, l := range w.Lanes {
		life.lanes = append(life.lanes, l.Lane)
	}
	o.workers[life.session] = life
}

// observe one batch that the machine has just applied: which runs it began and ended, in order.
func (o *observer) observe(m *fsm.Machine, b *logv1.Batch, out *fsm.Outcome) (began, ended []*run) {
	if o.from == 0 { // the machine began empty: its time begins with the first batch
		o.from = out.WallMs
	}
	o.now = out.WallMs
	end := func(r *run, how ending) {
		if r == nil || o.byFence[r.fence] != r {
			return
		}
		o.end(m, r, how)
		ended = append(ended, r)
	}
	grants := o.commands(b, out, end)
	for i := range out.Events {
		e := &out.Events[i]
		switch e.Kind {
		case fsm.SessionOpened:
			if page := m.Workers(e.Session-1, 1); len(page) == 1 && page[0].Session == e.Session {
				o.open(page[0], o.now)
			}
		case fsm.SessionEnded, fsm.SessionReplaced:
			if w := o.workers[uint64(e.Session)]; w != nil {
				w.closed = true
			}
		case fsm.WorkerDraining:
			if w := o.workers[uint64(e.Session)]; w != nil {
				w.draining = !w.draining
			}
		case fsm.JobEnqueued:
			o.work()
		case fsm.JobReady:
			o.ready[uint64(e.Job)] = o.now
		case fsm.JobClaimed:
			began = append(began, o.claim(e, grants[uint64(e.Fence)]))
		case fsm.JobCancelled:
			if r := o.byJob[uint64(e.Job)]; r != nil {
				r.cancelled = o.now
				o.cancelled++
			}
		case fsm.LeaseEnded, fsm.RunLimit:
			end(o.byFence[uint64(e.Fence)], byLoss)
		case fsm.JobReleased:
			end(o.byFence[uint64(e.Fence)], byRelease)
		}
	}
	for _, c := range b.GetCommands() { // what a leaving worker held of cancelled jobs has no event
		if d := c.GetDeregister(); d != nil && o.workers[d.GetSession()] != nil && o.workers[d.GetSession()].closed {
			for _, fence := range sorted(o.byFence) {
				if r := o.byFence[fence]; r.session == d.GetSession() {
					end(r, byLetGo)
				}
			}
		}
	}
	o.left = waitingIn(m, o.cancelled)
	return began, ended
}

// waitingIn counts the waiting jobs, scheduled or pending. A cancelled job whose claim lives is final already.
func waitingIn(m *fsm.Machine, cancelled int) int {
	t := m.Totals()
	return t.Jobs - (t.Claims - cancelled)
}

// grant is what the answer to a claim says beside its event.
type grant struct {
	session     uint64
	lease, beat int64
}

// commands notes signs of life, ends the runs that workers reported, and gathers the grants by fence. Answers that were only given
// again say nothing new.
func (o *observer) commands(b *logv1.Batch, out *fsm.Outcome, end func(*run, ending)) map[uint64]grant {
	grants := map[uint64]grant{}
	note := func(session uint64, c *logv1.ClaimResult) {
		if c.GetJob() != nil {
			grants[c.GetFence()] = grant{session, c.GetLeaseMs(), c.GetHeartbeatMs()}
		}
	}
	for i, c := range b.GetCommands() {
		res := out.Results[i]
		if w := o.workers[sessionOf(c)]; w != nil && !w.closed {
			w.seen = o.now
		}
		if res.GetRefusal() != nil || res.GetIndex() != out.Index || res.GetPlace() != uint32(i) {
			continue
		}
		switch op := c.GetOp().(type) {
		case *logv1.Command_Claim:
			note(op.Claim.GetSession(), res.GetClaim())
		case *logv1.Command_Finish:
			note(op.Finish.GetSession(), res.GetFinish().GetNext())
			if r := o.byFence[op.Finish.GetFence()]; r != nil && res.GetFinish().GetRefusal() == nil {
				how := byFinish
				if res.GetFinish().GetCancelled() {
					how = byLetGo
				}
				r.outcome = op.Finish
				end(r, how)
			}
		case *logv1.Command_Release:
			for k, fence := range op.Release.GetFences() {
				if k < len(res.GetRelease().GetStatuses()) && res.GetRelease().GetStatuses()[k] == logv1.ClaimStatus_CLAIM_STATUS_CANCELLED {
					end(o.byFence[fence], byLetGo)
				}
			}
		}
	}
	return grants
}

// sessionOf the worker that sent the command; 0: none, or nobody can tell.
func sessionOf(c *logv1.Command) uint64 {
	switch op := c.GetOp().(type) {
	case *logv1.Command_Claim:
		return op.Claim.GetSession()
	case *logv1.Command_Heartbeat:
		return op.Heartbeat.GetSession()
	case *logv1.Command_Finish:
		return op.Finish.GetSession()
	case *logv1.Command_Release:
		return op.Release.GetSession()
	case *logv1.Command_Deregister:
		return op.Deregister.GetSession()
	case *logv1.Command_Output:
		return op.Output.GetSession()
	}
	return 0
}

func (o *observer) claim(e *fsm.Event, g grant) *run {
	r := &run{fence: uint64(e.Fence), job: uint64(e.Job), session: g.session, lane: e.Lane, user: e.User, queue: e.Queue, start: o.now,
		lease: g.lease, beat: g.beat}
	o.byFence[r.fence], o.byJob[r.job] = r, r
	since, known := o.ready[r.job]
	delete(o.ready, r.job)
	if w := o.workers[r.session]; w != nil {
		w.runs[r.lane]++
	}
	if o.held[r.job] {
		delete(o.held, r.job)
		r.early = true
		return r
	}
	wait := int64(0)
	if known {
		wait = max(0, o.now-since)
	}
	o.claims++
	o.jobs[r.job] = true
	for _, w := range []*waits{&o.all, group(o.queues, r.queue), group(o.users, r.user)} {
		w.add(r.job, wait)
	}
	if len(o.order) < o.mostOrder {
		o.order = append(o.order, claimed{AtMs: o.now - o.from, Job: r.job, Queue: r.queue, User: r.user, Worker: e.Worker, Lane: r.lane, WaitMs: wait})
	}
	return r
}

func (o *observer) end(m *fsm.Machine, r *run, how ending) {
	r.end, r.how = o.now, how
	if r.cancelled > 0 {
		o.cancelled--
	}
	delete(o.byFence, r.fence)
	if o.byJob[r.job] == r {
		delete(o.byJob, r.job)
	}
	if j, ok := m.Job(fsm.JobID(r.job)); ok {
		r.final = j.GetState() >= logv1.State_STATE_SUCCEEDED
		r.kind = j.GetKind()
	} else {
		r.final = true
	}
	if w := o.workers[r.session]; w != nil {
		w.busy[r.lane] += r.end - r.start
	}
	o.lastEnd = max(o.lastEnd, o.now)
}

func group(in map[string]*waits, name string) *waits {
	w := in[name]
	if w == nil {
		w = &waits{}
		in[name] = w
	}
	return w
}

func (w *waits) add(job uint64, wait int64) {
	if w.jobs == nil {
		w.jobs = map[uint64]bool{}
	}
	w.jobs[job] = true
	w.list = append(w.list, wait)
}

// sorted keys of a map.
func sorted[K cmp.Ordered, V any](in map[K]V) []K {
	keys := make([]K, 0, len(in))
	for k := range in {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
