package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// noon is a full minute.
const noon = int64(1_800_000_000_000)

// viewOf a schedule that runs every minute and is due at next.
func viewOf(id uint64, next int64) fsm.ScheduleView {
	return fsm.ScheduleView{Record: &logv1.ScheduleRecord{
		Id: id, Revision: 1, NextMs: next, AnchorMs: next,
		Schedule: &logv1.Schedule{
			Name: fmt.Sprintf("s%05d", id), Spec: "@every 1m", CatchUp: logv1.CatchUp_CATCH_UP_LATEST, MaxInstances: 1,
			Overlap: logv1.Overlap_OVERLAP_SKIP, StartMs: next, Template: &logv1.NewJob{Kind: "k", User: "ana"},
		},
	}}
}

func fireOf(dues ...*logv1.Due) *pending {
	return newPending(&logv1.Command{Op: &logv1.Command_Fire{Fire: &logv1.Fire{Dues: dues}}})
}

// waitingFire is a leadership whose proposer does not run, and a Fire that waits for the next batch.
func waitingFire(t *testing.T) (l *leadership, fire *pending, answered chan error) {
	l = blocked(t)
	l.fires = newFiring(l.ctx)
	fire, answered = fireOf(&logv1.Due{Schedule: 1, Count: 1}), make(chan error, 1)
	go func() {
		_, err := l.submitFire(fire)
		answered <- err
	}()
	for !func() bool { now, _ := l.hasWork(); return now }() {
		<-l.work
	}
	return l, fire, answered
}

// A Fire needs no room in the queue, goes in front of finishes and claims, and keeps no large command waiting.
func TestFireRides(t *testing.T) {
	l, fire, answered := waitingFire(t)
	large := enqueue(1)
	large.GetEnqueue().Jobs[0].Payload = make([]byte, packBytes)
	first := newPending(large)
	if err := l.submit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for range maxQueued {
		_ = l.submit(t.Context(), newPending(enqueue(1)))
	}
	if b := l.pack(); b == nil || len(b.pending) != 2 || b.pending[0] != fire || b.pending[1] != first {
		t.Fatalf("with a full queue and a large command at its head: %+v", b)
	}
	l.mu.Lock()
	l.answer(fire, answer{result: &logv1.Result{}})
	l.mu.Unlock()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	again := fireOf(&logv1.Due{Schedule: 1, Count: 1})
	l.mu.Lock()
	l.fires.next = again
	l.mu.Unlock()
	l.normal = queue{}
	for _, c := range []*logv1.Command{finish(1, 1), claim(1), output(1, 1, 0, "x")} {
		if err := l.submit(t.Context(), newPending(c)); err != nil {
			t.Fatal(err)
		}
	}
	b := l.pack()
	if len(b.pending) != 4 || b.pending[0].command.GetOutput() == nil || b.pending[1] != again || b.pending[2].command.GetFinish() == nil {
		t.Errorf("batch %v, want output, the fire, the finish, the claim", b.entry.GetCommands())
	}
	if b.riders != 2 {
		t.Errorf("the proposer gathers for all but %d commands, want all but output and the fire", b.riders)
	}
}

// From the moment at which a node begins to shut down, no Fire goes into a batch.
func TestNoFireOnceShutdownBegan(t *testing.T) {
	l, fire, answered := waitingFire(t)
	n := l.node
	l.node = &Node{config: n.config, machine: n.machine, closing: make(chan struct{}), log: n.log}
	close(l.node.closing)
	l.nextTick = time.Now()
	if b := l.pack(); b == nil || len(b.pending) != 0 || fire.where != isAnswered {
		t.Errorf("a node that shuts down packs %+v", b)
	}
	if err := <-answered; !errors.Is(err, ErrShutdown) {
		t.Error(err)
	}
	l.keepFiring() // ends by itself
	l.stopFiring()
	if l.fires.ctx.Err() == nil {
		t.Error("the duty is not stopped")
	}
}

func TestEndOfLeadershipAnswersTheFire(t *testing.T) {
	l, _, answered := waitingFire(t)
	l.close(ErrNotLeader)
	if err := <-answered; !errors.Is(err, ErrNotLeader) {
		t.Error(err)
	}
	if _, err := l.submitFire(fireOf()); !errors.Is(err, ErrNotLeader) {
		t.Errorf("after the end: %v", err)
	}
}

// A change of a schedule ends the wait of the duty; other events do not.
func TestChangesWakeTheDuty(t *testing.T) {
	l := blocked(t)
	l.fires = newFiring(l.ctx)
	l.watchTicks(&fsm.Outcome{Events: []fsm.Event{{Kind: fsm.JobEnqueued}, {Kind: fsm.SettingsChanged}}})
	if len(l.fires.earlier) != 0 {
		t.Error("an enqueue wakes the duty")
	}
	l.watchTicks(&fsm.Outcome{Events: []fsm.Event{{Kind: fsm.JobEnqueued}, {Kind: fsm.ScheduleChanged}}})
	if len(l.fires.earlier) != 1 {
		t.Fatal("a changed schedule does not wake the duty")
	}
	l.awaitFire(time.Hour)
}

// A Fire has at most 256 dues and a quarter of a batch's weight, in the order in which they are due.
func TestPlanIsBounded(t *testing.T) {
	d := newDueBook(hclog.NewNullLogger())
	var views []fsm.ScheduleView
	for id := range uint64(fireDues + 10) {
		views = append(views, viewOf(id+1, noon))
	}
	p := d.plan(views, true, noon)
	if len(p.dues) != fireDues || len(p.templates) != fireDues || p.whole {
		t.Fatalf("%d dues, %d templates, whole %v", len(p.dues), len(p.templates), p.whole)
	}
	for i, due := range p.dues {
		if due.GetSchedule() != uint64(i+1) || due.GetFirstMs() != noon || due.GetCount() != 1 {
			t.Fatalf("due %d is %v", i, due)
		}
	}
	// Each of these has a thousand times.
	for _, v := range views {
		v.Record.Schedule.CatchUp, v.Record.Schedule.MisfireGraceMs = logv1.CatchUp_CATCH_UP_ALL, new(int64)
		*v.Record.Schedule.MisfireGraceMs = -1
	}
	p = d.plan(views, true, noon+2000*60_000)
	weight := 0
	for _, due := range p.dues {
		weight += weightOf(due)
	}
	if len(p.dues) == 0 || weight > fireWeight || weight < fireWeight/2 || p.whole {
		t.Errorf("%d dues weigh %d, want at most %d", len(p.dues), weight, fireWeight)
	}
	if fire := fireOf(p.dues...); fire.weight != weight || fire.bytes > packBytes/2 {
		t.Errorf("the command weighs %d in %d bytes, its dues %d", fire.weight, fire.bytes, weight)
	}
}

// Which schedules go into a Fire is by the time that came first; inside it they stand by the due time of what runs, then by name, so that members of a
// coordinator that catch up to the same time run by name. The answer is by position.
func TestPlanOrdersAFire(t *testing.T) {
	d := newDueBook(hclog.NewNullLogger())
	const minute = 60_000
	offset := viewOf(2, noon-minute) // due at noon + 70, after those due at noon
	offset.Record.OffsetMs = 70
	all := viewOf(3, noon-2*minute) // its first job is due then
	all.Record.Schedule.CatchUp = logv1.CatchUp_CATCH_UP_ALL
	all.Record.Schedule.MisfireGraceMs = new(int64)
	*all.Record.Schedule.MisfireGraceMs = -1
	skip := viewOf(5, noon-minute)
	skip.Record.Schedule.CatchUp = logv1.CatchUp_CATCH_UP_SKIP
	skip.Record.Schedule.Template.User = "of skip"
	late := viewOf(4, noon-3*minute)
	late.Record.Schedule.Template.User = "of late"
	views := []fsm.ScheduleView{late, all, skip, offset, viewOf(1, noon)}
	p := d.plan(views, true, noon+100)
	var ids []uint64
	for _, due := range p.dues {
		ids = append(ids, due.GetSchedule())
	}
	if want := []uint64{3, 1, 4, 5, 2}; !slices.Equal(ids, want) {
		t.Fatalf("fires %v, want %v", ids, want)
	}
	if len(p.templates) != 4 || p.templates[2].GetUser() != "of late" {
		t.Errorf("templates %v, want those of 3, 1, 4, 2", p.templates)
	}
	statuses := make([]logv1.FireStatus, len(ids))
	for i := range statuses {
		statuses[i] = logv1.FireStatus_FIRE_STATUS_OK
	}
	statuses[2] = logv1.FireStatus_FIRE_STATUS_STALE
	if !d.answered(&logv1.Fire{Dues: p.dues}, &logv1.FireResult{Statuses: statuses}) || len(d.stale) != 1 || d.stale[4] == nil {
		t.Errorf("stale %v, want 4", d.stale)
	}
}

func TestPlanSaysWhatComesNext(t *testing.T) {
	d := newDueBook(hclog.NewNullLogger())
	soon := viewOf(2, noon)
	soon.Record.OffsetMs = 70
	p := d.plan([]fsm.ScheduleView{viewOf(1, noon), soon, viewOf(3, noon+100)}, false, noon)
	if len(p.dues) != 1 || p.next != noon+70 || !p.whole {
		t.Errorf("%+v", p)
	}
	busy := viewOf(4, noon)
	busy.Instances = 1 // as many as may run
	if p := d.plan([]fsm.ScheduleView{busy}, true, noon); len(p.dues) != 1 || len(p.templates) != 0 {
		t.Errorf("a claim would be woken for a tick that makes no job: %+v", p)
	}
	d.aside[9] = aside{revision: 1}
	if d.plan([]fsm.ScheduleView{busy}, false, noon); len(d.aside) != 1 {
		t.Error("one that was not read, for there are more than were, is not aside any more")
	}
	if p := d.plan(nil, true, noon); len(p.dues) != 0 || p.next != math.MaxInt64 || !p.whole {
		t.Errorf("nothing is there: %+v", p)
	}
}

// What cannot be fired is said once for each revision, and does not hold up the others.
func TestPlanPutsAside(t *testing.T) {
	var said bytes.Buffer
	d := newDueBook(hclog.New(&hclog.LoggerOptions{Output: &said}))
	bad, good := viewOf(1, noon), viewOf(2, noon)
	bad.Record.Schedule.Spec = "@whenever"
	look := func(views ...fsm.ScheduleView) (ids []uint64) {
		t.Helper()
		for _, due := range d.plan(views, true, noon).dues {
			ids = append(ids, due.GetSchedule())
		}
		return ids
	}
	for range 3 {
		if ids := look(bad, good); len(ids) != 1 || ids[0] != 2 {
			t.Fatalf("fires %v, want 2 alone", ids)
		}
	}
	if n := strings.Count(said.String(), "does not fire"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
	bad.Record.Revision++
	look(bad, good)
	if n := strings.Count(said.String(), "does not fire"); n != 2 {
		t.Errorf("a new revision: said %d times: %s", n, said.String())
	}
	// Only what is due stays aside.
	if look(good); len(d.aside) != 0 {
		t.Errorf("%d schedules are aside that are not due", len(d.aside))
	}
	// One that changed and can be read fires.
	look(bad)
	mended := viewOf(1, noon)
	mended.Record.Revision = 3
	if ids := look(mended); len(ids) != 1 {
		t.Error("a mended schedule stays aside")
	}
}

// What the machine does not take although the schedule is as it was waits: it would be proposed again and again.
func TestPlanLeavesWhatIsNotTaken(t *testing.T) {
	d := newDueBook(hclog.NewNullLogger())
	one, two := viewOf(1, noon), viewOf(2, noon)
	p := d.plan([]fsm.ScheduleView{one, two}, true, noon)
	stale := logv1.FireStatus_FIRE_STATUS_STALE
	fire := &logv1.Fire{Dues: p.dues}
	if d.answered(fire, &logv1.FireResult{Statuses: []logv1.FireStatus{stale, stale}}) {
		t.Error("an answer that took nothing")
	}
	two.Record.NextMs += 60_000 // it changed
	if p := d.plan([]fsm.ScheduleView{one, two}, true, noon+60_000); len(p.dues) != 1 || p.dues[0].GetSchedule() != 2 {
		t.Errorf("fires %v, want the one that changed", p.dues)
	}
	if p := d.plan([]fsm.ScheduleView{one}, true, noon+60_000); len(p.dues) != 0 {
		t.Errorf("at once again: %v", p.dues)
	}
	left := d.aside[1]
	left.again = time.Now()
	d.aside[1] = left
	if p := d.plan([]fsm.ScheduleView{one}, true, noon+60_000); len(p.dues) != 1 {
		t.Error("a second later it is not tried again")
	}
	if !d.answered(fire, &logv1.FireResult{Statuses: []logv1.FireStatus{logv1.FireStatus_FIRE_STATUS_OK, logv1.FireStatus_FIRE_STATUS_EARLY}}) {
		t.Error("one of two was taken")
	}
	if len(d.stale) != 0 {
		t.Error("early is not stale")
	}
}

// A Fire of which nothing was taken is not followed by the next at once, whatever the machine has against it.
func TestARefusedFireIsNotRepeatedAtOnce(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.Clock = newHandClock(noon) })
	n := w.nodes[0]
	n.leading.Load().stopFiring() // the one below takes its place
	w.put(n, minutely("report", noon))
	l := &leadership{node: n, work: make(chan struct{}, 1), parking: newParking()}
	l.ctx, l.cancel = context.WithCancel(t.Context())
	l.fires = newFiring(l.ctx)
	ended := make(chan struct{})
	go func() { l.keepFiring(); close(ended) }()
	var before time.Time
	for range 4 {
		<-l.work
		l.mu.Lock()
		fire := l.fires.next
		l.fires.next = nil
		if gap := time.Since(before); gap < refusedPause {
			t.Errorf("fire %v comes %v after the answer to the one before", fire.command, gap)
		}
		before = time.Now()
		early := []logv1.FireStatus{logv1.FireStatus_FIRE_STATUS_EARLY}
		l.answer(fire, answer{result: &logv1.Result{Value: &logv1.Result_Fire{Fire: &logv1.FireResult{Statuses: early}}}})
		l.mu.Unlock()
	}
	l.stopFiring()
	<-ended
}

// The grids that are kept are bounded, and shared by schedules with one definition.
func TestGridsAreBounded(t *testing.T) {
	g := make(grids)
	for i := range int64(mostGrids + 5) {
		if _, err := g.of(viewOf(1, noon+i).Record); err != nil {
			t.Fatal(err)
		}
	}
	if len(g) > mostGrids {
		t.Errorf("%d grids are kept", len(g))
	}
	before := len(g)
	for id := range uint64(5) {
		if _, err := g.of(viewOf(id, noon+mostGrids).Record); err != nil || len(g) != before {
			t.Errorf("%d grids, were %d: %v", len(g), before, err)
		}
	}
}

func TestTicksAreCounted(t *testing.T) {
	var n Node
	fired, missed := logv1.TickResult_TICK_RESULT_FIRED, logv1.TickResult_TICK_RESULT_MISSED
	for _, tick := range []*logv1.TickRecord{
		{Result: fired, Reason: logv1.TickReason_TICK_REASON_ON_TIME, Count: 1, LateMs: 5},
		{Result: fired, Reason: logv1.TickReason_TICK_REASON_ON_TIME, Count: 1, LateMs: 6},
		{Result: fired, Reason: logv1.TickReason_TICK_REASON_CAUGHT_UP, Count: 1, LateMs: 400_000},
		{Result: fired, Reason: logv1.TickReason_TICK_REASON_TRIGGER, Count: 1},
		{Result: missed, Reason: logv1.TickReason_TICK_REASON_GRACE, Count: 7, LateMs: 90_000},
		{Result: 99, Reason: 99, Count: 1},
	} {
		n.ticks.count(tick)
	}
	s := n.TickStats()
	want := "FIRED ON_TIME 2, FIRED CAUGHT_UP 1, FIRED TRIGGER 1, MISSED GRACE 7"
	var got []string
	for _, c := range s.Counts {
		got = append(got, fmt.Sprint(strings.TrimPrefix(c.Result.String(), "TICK_RESULT_"), " ", strings.TrimPrefix(c.Reason.String(), "TICK_REASON_"), " ", c.Count))
	}
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("counted %s, want %s", text, want)
	}
	if s.Late[0] != 1 || s.Late[1] != 1 || s.Late[len(s.Late)-1] != 1 || len(s.Late) != len(s.LateBounds)+1 || s.LateSumMs != 400_011 {
		t.Errorf("lateness %v, in all %d ms", s.Late, s.LateSumMs)
	}
}
