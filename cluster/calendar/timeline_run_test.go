package calendar_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// mostDues of one Fire command, as the leader packs them.
const mostDues = 256

// world is a machine with a leader, workers and a clock, all simulated. Real time is what happenings are written in; the clock of the leader
// is real time plus its skew. The monotonic clock stands still, so no lease ends.
type world struct {
	t  *testing.T
	tl *timeline
	m  *fsm.Machine

	index      uint64
	realMs     int64
	skewMs     int64
	leadership uint64
	backMs     int64 // when there is a leader again; 0: there is one
	working    bool
	session    uint64
	declared   map[string]*declared // as last put
	waiting    []happening          // calls that wait for a leader
	lastFire   []*logv1.Fire        // the commands of the last fire
	runs       []*run               // claims that have not ended
	jobs       map[uint64]*jobStory
	story      story
	windows    map[string]*window
}

// run is a claimed job in the hands of a worker.
type run struct {
	job, fence uint64

	coordinator string
	endMs       int64 // real time
	fails       bool
}

func newWorld(t *testing.T, tl *timeline) *world {
	return &world{t: t, tl: tl, m: fsm.New(), realMs: tl.beginMs, leadership: 1, working: true, declared: map[string]*declared{},
		jobs: map[uint64]*jobStory{}, story: newStory(), windows: map[string]*window{}}
}

// play runs the whole timeline.
func (w *world) play() {
	res := w.apply(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "worker", Nonce: 1,
		Lanes: []*logv1.Lane{{Chain: []string{"*"}, Slots: w.tl.lanes}}}}})
	w.session = res[0].GetSession().GetSession()
	for _, d := range w.tl.schedules {
		if said := w.put(d); said != "" && said != "created" {
			w.answer("put", d.schedule.Name, said)
		}
	}
	w.settleInstant()
	for len(w.tl.happenings) > 0 {
		w.realMs = w.nextInstant()
		w.leaderReturns()
		w.finishAndFire(true)
		for len(w.tl.happenings) > 0 && w.tl.happenings[0].atMs <= w.realMs {
			h := w.tl.happenings[0]
			w.tl.happenings = w.tl.happenings[1:]
			w.happen(h)
		}
		w.settleInstant()
	}
}

// nextInstant is the earliest time at which anything can happen.
func (w *world) nextInstant() int64 {
	next := w.tl.happenings[0].atMs
	if w.backMs > 0 {
		return max(w.realMs, min(next, w.backMs))
	}
	note := func(machineMs int64, ok bool) {
		if at := machineMs - w.skewMs; ok && at > w.realMs {
			next = min(next, at)
		}
	}
	note(w.m.NextFire())
	wallMs, _, hasWall, _ := w.m.NextTimers()
	note(wallMs, hasWall)
	for _, r := range w.runs {
		next = min(next, max(r.endMs, w.realMs))
	}
	return next
}

// leaderReturns ends a time without a leader: the calls that waited come before its first fires.
func (w *world) leaderReturns() {
	if w.backMs == 0 || w.realMs < w.backMs {
		return
	}
	w.backMs = 0
	w.leadership++
	w.finishAndFire(false)
	held := w.waiting
	w.waiting = nil
	for _, h := range held {
		w.happen(h)
	}
}

// settleInstant lets everything follow that follows at this instant.
func (w *world) settleInstant() {
	for w.backMs == 0 && (w.claimAll() || w.finishAndFire(true)) {
	}
}

// now is the clock by which the leader says what is due: its own, but never behind the machine's.
func (w *world) now() int64 {
	wall, _ := w.m.Clocks()
	return max(w.realMs+w.skewMs, wall)
}

// finishAndFire proposes one batch of the runs that ended and, if fire is set, of the fires that are due. False: there was nothing.
func (w *world) finishAndFire(fire bool) bool {
	if w.backMs > 0 {
		return false
	}
	var commands []*logv1.Command
	var left, ended []*run
	for _, r := range w.runs {
		if r.endMs > w.realMs {
			left = append(left, r)
			continue
		}
		ended = append(ended, r)
		f := &logv1.Finish{Session: w.session, Fence: r.fence, Outcome: &logv1.Finish_Success{Success: &logv1.Success{}}}
		if r.fails {
			f.Outcome = &logv1.Finish_Failure{Failure: &logv1.Failure{Error: "as declared"}}
		}
		commands = append(commands, &logv1.Command{Op: &logv1.Command_Finish{Finish: f}})
	}
	w.runs = left
	var fires []*logv1.Fire
	if fire {
		fires = w.due(w.now())
	}
	for _, f := range fires {
		commands = append(commands, &logv1.Command{Op: &logv1.Command_Fire{Fire: f}})
	}
	if len(fires) > 0 {
		w.lastFire = fires
	}
	if len(commands) == 0 && !w.timerDue() {
		return false
	}
	results := w.apply(commands...)
	for i, r := range ended {
		w.jobs[r.job].ended(w.wall(), results[i].GetFinish(), r.fails)
	}
	for i := range fires {
		for k, s := range results[len(ended)+i].GetFire().GetStatuses() {
			if s != logv1.FireStatus_FIRE_STATUS_OK {
				w.t.Fatalf("at %s: the machine refuses what the leader computed of its own state: %v, %v", w.stamp(w.wall()), s, fires[i].Dues[k])
			}
		}
	}
	return true
}

func (w *world) timerDue() bool {
	at, _, ok, _ := w.m.NextTimers()
	return ok && at <= w.now() && at > w.wall()
}

// due is what the leader proposes at a time of its clock: the machine's list, so many to a Fire, and each Fire in its own order.
func (w *world) due(nowMs int64) (fires []*logv1.Fire) {
	var all []calendar.Planned
	for _, v := range w.m.DueSchedules(nowMs, 1_000_000) {
		d := calendar.Plan(v.Record, w.grid(v.Record), nowMs)
		if d == nil {
			w.t.Fatalf("at %s: %s is due, and nothing of it is", w.stamp(nowMs), v.Record.GetSchedule().GetName())
		}
		all = append(all, calendar.Planned{Schedule: v.Record, Due: d})
	}
	for some := range slices.Chunk(all, mostDues) {
		slices.SortFunc(some, calendar.Planned.Compare)
		f := &logv1.Fire{}
		for _, p := range some {
			f.Dues = append(f.Dues, p.Due)
		}
		fires = append(fires, f)
	}
	return fires
}

func (w *world) grid(r *logv1.ScheduleRecord) *calendar.Grid {
	return w.parse(calendar.DefinitionOf(r.GetSchedule(), r.GetAnchorMs()))
}

func (w *world) parse(d calendar.Definition) *calendar.Grid {
	g, err := calendar.Parse(d)
	if err != nil {
		w.t.Fatalf("%v: %v", d, err)
	}
	return g
}

// claimAll lets the worker take what it can.
func (w *world) claimAll() (any bool) {
	for w.working && w.backMs == 0 && w.m.Peek(fsm.SessionID(w.session), 0) == fsm.PeekJob {
		got := w.apply(&logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: w.session}}})[0].GetClaim()
		j := got.GetJob()
		r := &run{job: j.GetId(), fence: got.GetFence(), coordinator: j.GetCoordinator()}
		length, fails := w.lengthOf(j)
		r.endMs, r.fails = w.realMs+length, fails
		for _, other := range w.runs {
			if r.coordinator != "" && other.coordinator == r.coordinator {
				w.t.Fatalf("at %s: jobs %d and %d of coordinator %s run at the same time", w.stamp(w.wall()), other.job, r.job, r.coordinator)
			}
		}
		w.runs = append(w.runs, r)
		w.job(j.GetId()).started(w.wall(), j)
		any = true
	}
	return any
}

// lengthOf a run that begins: by the schedule as it was declared when the job was made, or by the call that enqueued it.
func (w *world) lengthOf(j *logv1.Job) (ms int64, fails bool) {
	s := w.job(j.GetId())
	d := s.declared
	if d == nil {
		d = w.declared[j.GetSchedule()]
	}
	s.declared = d
	of := d.schedule.GetName()
	if of == "" {
		of = fmt.Sprint("job ", j.GetId())
	}
	w.story.begun[of]++
	return d.run(w.story.begun[of])
}

func (w *world) job(id uint64) *jobStory {
	if w.jobs[id] == nil {
		w.jobs[id] = &jobStory{id: id}
	}
	return w.jobs[id]
}

func (w *world) wall() int64 {
	wall, _ := w.m.Clocks()
	return wall
}

// apply applies one batch to the machine, and to one that is restored from the snapshot before it: both must be equal afterwards.
func (w *world) apply(commands ...*logv1.Command) []*logv1.Result {
	w.index += 2
	b := &logv1.Batch{Rules: fsm.Rules, NowMs: w.realMs + w.skewMs, MonotonicMs: 1000, Leadership: w.leadership, Commands: commands}
	var half *fsm.Machine
	if w.index < 400 || w.index%64 == 0 {
		half = w.restored()
	}
	out := w.m.Apply(w.index, b)
	if half != nil {
		half.Apply(w.index, b)
		if w.digest(w.m) != w.digest(half) {
			w.t.Fatalf("index %d: the machine and the one that was restored before this batch differ", w.index)
		}
		if err := w.m.CheckInvariants(); err != nil {
			w.t.Fatalf("index %d: %v", w.index, err)
		}
	}
	for _, e := range out.Events {
		if e.Tick != nil {
			w.story.tick(w.t, out.WallMs, e)
		}
		if e.Tick.GetJob() != 0 {
			w.job(e.Tick.GetJob()).schedule = e.Schedule
		}
	}
	if out.More {
		return append(out.Results, w.apply()...)
	}
	return out.Results
}

func (w *world) restored() *fsm.Machine {
	var buf bytes.Buffer
	if _, err := w.m.Snapshot().WriteTo(&buf); err != nil {
		w.t.Fatal(err)
	}
	m, err := fsm.Restore(&buf)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) digest(m *fsm.Machine) [32]byte {
	d, err := m.Snapshot().Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}
