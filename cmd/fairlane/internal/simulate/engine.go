package simulate

import (
	"container/heap"
	"context"
	"slices"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// longestStep of the clock while a claim lives: the machine's lease clock moves no further in one batch.
	longestStep = 1000
	// idleLimit ends a simulation in which jobs wait that nobody takes.
	idleLimit = 10 * 60 * 1000
	// leadership of all batches of a simulation.
	leadership = 1
	// firstNonce of the workers; those of real ones are random.
	firstNonce = 0x6661_6972_6c61_6e65
	// mostFences in one heartbeat.
	mostFences = 4096
	// beatEvery, when no claim asks for more.
	beatEvery = 20_000
)

// engine lives through a history again.
type engine struct {
	m       *fsm.Machine
	h       *history
	changes *Changes
	run     int64 // how long a run takes of which nothing is known; 0: not said
	until   int64 // wall clock; 0: no limit
	obs     *observer

	now      int64
	step     int // next of h.steps
	nextBeat int64
	beat     int64

	ids     map[uint64]uint64 // recorded job -> simulated
	former  map[uint64]uint64 // and back
	done    map[uint64]int    // runs of a recorded job that ended, given-back ones not
	live    map[uint64]*task  // by fence
	due     tasks
	workers map[uint64]*worker // by simulated session
	byOld   map[uint64]*worker // by recorded session
	nonce   uint64             // of the last one that registered
	leaving []*worker
	touched []*lane // by the batch that is applied
	parked  []*lane // oldest first
	look    bool    // a parked claim may find something
	refused int     // jobs that the changed settings refuse
}

// worker is a virtual one.
type worker struct {
	session uint64
	name    string
	lanes   []*lane
	live    int
	drains  bool // it takes nothing new
}

// lane keeps one claim parked while it has room, as a real one does.
type lane struct {
	of     *worker
	at     uint32
	slots  int
	taken  int
	parked bool
}

// task is a run that a virtual worker works on.
type task struct {
	*run
	lane    *lane
	ends    int64
	index   int // in due
	outcome *logv1.Finish
}

// tasks in the order in which they end.
type tasks []*task

func (t tasks) Len() int { return len(t) }
func (t tasks) Less(i, j int) bool {
	return t[i].ends < t[j].ends || t[i].ends == t[j].ends && t[i].fence < t[j].fence
}
func (t tasks) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}
func (t *tasks) Push(x any) {
	one := x.(*task)
	one.index = len(*t)
	*t = append(*t, one)
}
func (t *tasks) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// simulate the history on a machine with the state that it began with.
func (e *engine) simulate(ctx context.Context) error {
	e.now = e.h.from
	e.nextBeat = e.now
	if err := e.prepare(); err != nil {
		return err
	}
	if err := e.claims(); err != nil {
		return err
	}
	for idle := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, ok := e.next()
		if !ok {
			return nil
		}
		if e.until > 0 && next > e.until {
			if err := e.walk(e.until); err != nil {
				return err
			}
			return e.apply(nil)
		}
		if len(e.live) == 0 && e.step == len(e.h.steps) && e.scheduled() == 0 {
			if idle += next - e.now; idle > idleLimit {
				return nil
			}
		}
		if err := e.walk(next); err != nil {
			return err
		}
		if err := e.instant(); err != nil {
			return err
		}
		if err := e.claims(); err != nil {
			return err
		}
	}
}

// next instant at which something happens; false: nothing will.
func (e *engine) next() (int64, bool) {
	at, ok := int64(0), false
	note := func(t int64) {
		if t = max(t, e.now); !ok || t < at {
			at, ok = t, true
		}
	}
	if len(e.due) > 0 {
		note(e.due[0].ends)
	}
	if e.step < len(e.h.steps) {
		note(e.h.steps[e.step].at)
	}
	waiting := e.waiting()
	if !ok && waiting == 0 {
		return 0, false // timers that are left forget history and change no order
	}
	wall, lease, hasWall, hasLease := e.m.NextTimers()
	_, leaseNow := e.m.Clocks()
	if hasWall && waiting > 0 {
		note(max(wall, e.now+1))
	}
	if hasLease && len(e.obs.byFence) > 0 {
		note(max(e.now+lease-leaseNow, e.now+1))
	}
	return at, ok
}

// waiting jobs, scheduled or pending.
func (e *engine) waiting() int { return waitingIn(e.m, e.obs.cancelled) }

func (e *engine) scheduled() (n int64) {
	for _, q := range e.m.Queues() {
		n += q.GetCounts().GetScheduled()
	}
	return n
}

// walk the clock to an instant. While claims live, in steps that the lease clock follows, and with the heartbeats that keep them.
func (e *engine) walk(to int64) error {
	for len(e.obs.byFence) > 0 && to-e.now > longestStep {
		e.now += longestStep
		if err := e.apply(e.heartbeats()); err != nil {
			return err
		}
	}
	e.now = to
	return nil
}

func (e *engine) heartbeats() (list []*logv1.Command) {
	if e.now < e.nextBeat {
		return nil
	}
	e.nextBeat = e.now + e.beat
	fences := map[uint64][]uint64{}
	for _, fence := range sorted(e.live) {
		session := e.live[fence].session
		fences[session] = append(fences[session], fence)
	}
	for _, session := range sorted(e.workers) {
		for part := range slices.Chunk(append(fences[session], 0), mostFences) {
			if part[len(part)-1] == 0 {
				part = part[:len(part)-1]
			}
			list = append(list, &logv1.Command{Op: &logv1.Command_Heartbeat{Heartbeat: &logv1.Heartbeat{Session: session, Fences: part}}})
		}
	}
	return list
}

// instant does all that is due now: runs end, then comes what comes from outside.
func (e *engine) instant() error {
	list := e.heartbeats()
	for len(e.due) > 0 && e.due[0].ends <= e.now {
		list = append(list, e.finish(heap.Pop(&e.due).(*task)))
	}
	if err := e.apply(list); err != nil {
		return err
	}
	for e.step < len(e.h.steps) && e.h.steps[e.step].at <= e.now {
		s := &e.h.steps[e.step]
		e.step++
		if err := e.outside(s); err != nil {
			return err
		}
	}
	return e.depart()
}

// finish of a run; the freed slot asks for the next job with it, as a real worker does.
func (e *engine) finish(t *task) *logv1.Command {
	f := &logv1.Finish{Session: t.session, Fence: t.fence, Outcome: &logv1.Finish_Success{Success: &logv1.Success{}}}
	if t.outcome != nil {
		f.Outcome = t.outcome.GetOutcome()
	}
	if !t.lane.of.drains {
		f.Next = &logv1.NextClaim{Lane: t.lane.at}
	}
	return &logv1.Command{Op: &logv1.Command_Finish{Finish: f}}
}

// apply one batch at this instant, and more at once if the machine asks for them.
func (e *engine) apply(commands []*logv1.Command) error {
	_, err := e.applied(commands)
	return err
}

func (e *engine) applied(commands []*logv1.Command) ([]*logv1.Result, error) {
	var results []*logv1.Result
	for more := true; more; commands = nil {
		b := e.batch(commands)
		out := e.m.Apply(e.m.AppliedIndex()+1, b)
		if len(commands) > 0 {
			results = out.Results
		}
		began, ended := e.obs.observe(e.m, b, &out)
		for _, r := range ended {
			e.ended(r)
		}
		for _, r := range began {
			if err := e.began(r); err != nil {
				return nil, err
			}
		}
		e.look = e.look || len(out.Ready) > 0 || len(out.Freed) > 0 || out.Rescan
		more = out.More
	}
	e.park()
	return results, nil
}

// began a run: how long it will take is known from the recording, or guessed from its like.
func (e *engine) began(r *run) error {
	w := e.workers[r.session]
	if w == nil {
		return nil
	}
	l := w.lanes[r.lane]
	l.taken++
	w.live++
	e.touched = append(e.touched, l)
	if r.beat > 0 {
		e.beat = min(e.beat, r.beat)
		e.nextBeat = min(e.nextBeat, e.now+e.beat)
	}
	job, _ := e.m.Job(fsm.JobID(r.job))
	ms, outcome, err := e.service(e.numberThen(r.job), job)
	if err != nil {
		return err
	}
	if r.cancelled > 0 { // it was already when the window began: all that is known is when its worker let go
		ms = e.letGo(e.numberThen(r.job))
	}
	t := &task{run: r, lane: l, ends: e.now + ms, outcome: outcome}
	e.live[r.fence] = t
	heap.Push(&e.due, t)
	return nil
}

// service time and outcome of the next run of a job; old is its recorded number.
func (e *engine) service(old uint64, job *logv1.Job) (int64, *logv1.Finish, error) {
	var is planned
	if p := e.h.plans[old]; p != nil && e.done[old] < len(p.runs) {
		if is = p.runs[e.done[old]]; !is.atLeast {
			return is.ms, is.outcome, nil
		}
	}
	ms, ok := e.h.meanOf(job.GetKind(), job.GetQueue())
	if !ok {
		if ms, ok = e.run, e.run > 0; !ok {
			return 0, nil, &NoServiceTimeError{job.GetKind()}
		}
	}
	return max(ms, is.ms), nil, nil
}

// letGo is how long the worker of a recorded job took to let go of it, once it was cancelled.
func (e *engine) letGo(recorded uint64) int64 {
	if p := e.h.plans[recorded]; p != nil {
		return p.letGo
	}
	return 0
}

func (e *engine) ended(r *run) {
	t := e.live[r.fence]
	if t == nil {
		return
	}
	delete(e.live, r.fence)
	if t.index < len(e.due) && e.due[t.index] == t {
		heap.Remove(&e.due, t.index)
	}
	t.lane.taken--
	t.lane.of.live--
	e.touched = append(e.touched, t.lane)
	if r.how != byRelease {
		e.done[e.numberThen(r.job)]++
	}
}

// park a claim in each lane that was touched, has room and has none parked; the youngest at the end.
func (e *engine) park() {
	for _, l := range e.touched {
		if !l.of.drains && !l.parked && l.taken < l.slots {
			l.parked = true
			e.parked = append(e.parked, l)
			e.look = true
		}
	}
	e.touched = e.touched[:0]
}

// claims of parked lanes, oldest first, until nobody finds anything.
func (e *engine) claims() error {
	for e.look {
		e.look = false
		for i := 0; i < len(e.parked) && e.waiting() > 0; {
			l := e.parked[i]
			session := fsm.SessionID(l.of.session)
			if l.of.drains || l.taken >= l.slots {
				l.parked = false
				e.parked = slices.Delete(e.parked, i, i+1)
				continue
			}
			if e.m.Peek(session, l.at) != fsm.PeekJob {
				i++
				continue
			}
			l.parked = false
			e.parked = slices.Delete(e.parked, i, i+1)
			e.look = true
			c := &logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: uint64(session), Lane: l.at}}}
			if err := e.apply([]*logv1.Command{c}); err != nil {
				return err
			}
		}
	}
	return nil
}

// reasonText of a refusal.
func reasonText(r *logv1.Refusal) string {
	text := strings.ToLower(strings.TrimPrefix(r.GetReason().String(), "REASON_"))
	for _, p := range r.GetParams() {
		text += " " + p.GetKey() + "=" + p.GetValue()
	}
	return text
}
