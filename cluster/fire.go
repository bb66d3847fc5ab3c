package cluster

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// fireDues and fireWeight bound one Fire, whichever comes first, so that claims and enqueues find room beside it in every batch.
	fireDues   = 256
	fireWeight = packCommands / 4
	// timesPerWeight: so many times in a command cost what one command costs.
	timesPerWeight = 16
	// fireLook is the longest time between two looks at the clock: it may have been set forward.
	fireLook = time.Second
)

// firing is how the leader's duty to fire meets the proposer. The duty has one Fire in flight.
type firing struct {
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{} // closed when the duty has ended; only if it has begun
	// earlier has room for one signal: a schedule may be due before the duty looks again.
	earlier chan struct{}
	// next is the Fire that waits for the next batch. Guarded by leadership.mu.
	next *pending
}

func newFiring(ctx context.Context) firing {
	f := firing{done: make(chan struct{}), earlier: make(chan struct{}, 1)}
	f.ctx, f.stop = context.WithCancel(ctx)
	return f
}

// stopFiring ends the duty and waits for its end: no Fire goes into a batch after this. It may be repeated.
func (l *leadership) stopFiring() {
	l.fires.stop()
	<-l.fires.done
}

// keepFiring says which schedules are due, when they are, until the leadership ends or the node shuts down. What is due is always read from
// the state anew, so an answer that was lost, a change meanwhile and a leader before this one need no care: a Fire that is not of the
// state as it is changes nothing (docs/design.md §9, docs/decisions/0012-fires.md).
func (l *leadership) keepFiring() {
	defer close(l.fires.done)
	d := newDueBook(l.node.log)
	for l.fires.ctx.Err() == nil && !l.node.isClosing() {
		fire, wait := l.nextFire(d)
		if fire == nil {
			l.awaitFire(wait)
			continue
		}
		result, err := l.submitFire(fire)
		if err != nil || !d.answered(fire.command.GetFire(), result.GetFire()) {
			l.awaitFire(refusedPause) // nothing came of it: not at once again
		}
	}
}

// nextFire reads what is due now. nil: nothing is, for so long.
func (l *leadership) nextFire(d *dueBook) (fire *pending, wait time.Duration) {
	own := l.node.config.Clock.WallMillis()
	var now int64
	var views []fsm.ScheduleView
	limit := fireDues + len(d.aside) + 1 // those aside leave room for a whole Fire
	l.node.View(func(m *fsm.Machine) {
		replicated, _ := m.Clocks()
		now = max(own, replicated)
		if at, ok := m.NextFire(); ok && at <= later(now, fireLook) {
			views = m.DueSchedules(later(now, fireLook), limit)
		}
	})
	p := d.plan(views, len(views) < limit, now)
	switch {
	case len(p.dues) > 0:
		fire = newPending(&logv1.Command{Op: &logv1.Command_Fire{Fire: &logv1.Fire{Dues: p.dues}}})
		fire.templates = p.templates
		return fire, 0
	case !p.whole: // all that were read are aside now, and others may be due behind them
		return nil, 0
	}
	return nil, time.Duration(min(p.next-now, fireLook.Milliseconds())) * time.Millisecond
}

func later(at int64, d time.Duration) int64 { return at + min(d.Milliseconds(), math.MaxInt64-at) }

// awaitFire waits, until something may be due earlier at the most.
func (l *leadership) awaitFire(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.fires.earlier:
	case <-timer.C:
	case <-l.fires.ctx.Done():
	}
}

// submitFire puts a Fire into the next batch and waits for its answer. It has a place of its own there, so a full queue of commands never
// keeps schedules from firing.
func (l *leadership) submitFire(p *pending) (*logv1.Result, error) {
	l.mu.Lock()
	err := l.closed
	if err == nil {
		l.fires.next = p
		poke(l.work)
	}
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-p.answered:
		return p.outcome.result, p.outcome.err
	case <-l.fires.ctx.Done():
		a := l.abandon(p, l.fires.ctx.Err())
		return a.result, a.err
	}
}

// takeFire adds the Fire that waits, at the front, where it leaves a large command alone. The machine runs it after the finishes of the batch
// and before its claims, those of finishes too. While the node shuts down none goes out.
func (l *leadership) takeFire(b *batch) {
	p := l.fires.next
	l.fires.next = nil
	switch {
	case p == nil || p.where == isAnswered:
	case l.node.isClosing():
		l.answer(p, answer{err: ErrShutdown})
	default:
		b.add(p)
		b.riders++
	}
}

// dueBook is what the duty knows of schedules beside the state. Its goroutine alone.
type dueBook struct {
	log   hclog.Logger
	grids grids
	// aside are schedules that cannot be fired as they are; they must not hold up the others. By id.
	aside map[uint64]aside
	// stale are dues that the machine did not take, until the state is read again. By schedule.
	stale map[uint64]*logv1.Due
}

// aside is why a schedule is left, for as long as it has the revision: for ever, or until again.
type aside struct {
	revision uint64
	again    time.Time // zero: never
}

func newDueBook(log hclog.Logger) *dueBook {
	return &dueBook{log: log, grids: make(grids), aside: make(map[uint64]aside), stale: make(map[uint64]*logv1.Due)}
}

// plan is what comes of the schedules that are due.
type plan struct {
	dues []*logv1.Due
	// templates of the jobs that the dues probably make.
	templates []*logv1.NewJob
	// next is the time of the first schedule that is not due yet; MaxInt64: none is known.
	next int64
	// whole: every schedule that is due was looked at.
	whole bool
}

// plannedView is what a Fire does with a schedule, and how the schedule is.
type plannedView struct {
	calendar.Planned
	view fsm.ScheduleView
}

// plan one Fire from schedules in the order of their times, by which those that do not fit wait for the next. all: there are no others whose time comes
// as soon.
func (d *dueBook) plan(views []fsm.ScheduleView, all bool, now int64) plan {
	p := plan{next: math.MaxInt64, whole: all}
	seen := make(map[uint64]bool, len(d.aside))
	var planned []plannedView
	weight := 0
	for _, v := range views {
		s := v.Record
		if at := s.GetNextMs() + s.GetOffsetMs(); at > now {
			p.next, p.whole = at, true
			break
		}
		seen[s.GetId()] = true
		if d.isAside(s) {
			continue
		}
		due := d.due(s, now)
		if due == nil {
			continue
		}
		weight += weightOf(due)
		if full := len(planned) == fireDues || weight > fireWeight; full && len(planned) > 0 {
			p.whole = false
			break
		}
		planned = append(planned, plannedView{calendar.Planned{Schedule: s, Due: due}, v})
	}
	slices.SortFunc(planned, func(a, b plannedView) int { return a.Compare(b.Planned) })
	for _, one := range planned {
		p.dues = append(p.dues, one.Due)
		if makesJob(one.view, one.Due) {
			p.templates = append(p.templates, one.Schedule.GetSchedule().GetTemplate())
		}
	}
	clear(d.stale)
	if p.whole {
		d.forget(seen)
	}
	return p
}

// forget the schedules aside that are not due any more.
func (d *dueBook) forget(due map[uint64]bool) {
	for id := range d.aside {
		if !due[id] {
			delete(d.aside, id)
		}
	}
}

// isAside: the schedule is left as it is for now.
func (d *dueBook) isAside(s *logv1.ScheduleRecord) bool {
	left, ok := d.aside[s.GetId()]
	return ok && left.revision == s.GetRevision() && (left.again.IsZero() || time.Now().Before(left.again))
}

// due of a schedule whose time has come; nil: it was put aside.
func (d *dueBook) due(s *logv1.ScheduleRecord, now int64) *logv1.Due {
	if old := d.stale[s.GetId()]; old != nil && old.GetRevision() == s.GetRevision() && old.GetFirstMs() == s.GetNextMs() {
		d.leave(s, time.Now().Add(fireLook), "the machine does not take what is due of it")
		return nil
	}
	grid, err := d.grids.of(s)
	if err != nil {
		d.leave(s, time.Time{}, "this version cannot read its spec: "+err.Error())
		return nil
	}
	due := calendar.Plan(s, grid, now)
	if due == nil {
		d.leave(s, time.Now().Add(fireLook), "its time has come, but by its spec nothing is due")
	}
	return due
}

// leave a schedule aside. It is said once for each revision.
func (d *dueBook) leave(s *logv1.ScheduleRecord, again time.Time, why string) {
	if left, known := d.aside[s.GetId()]; !known || left.revision != s.GetRevision() {
		d.log.Error("a schedule does not fire", "schedule", s.GetSchedule().GetName(), "revision", s.GetRevision(), "why", why)
	}
	d.aside[s.GetId()] = aside{revision: s.GetRevision(), again: again}
}

// answered notes what the machine did not take; false: it took nothing.
func (d *dueBook) answered(fire *logv1.Fire, result *logv1.FireResult) (some bool) {
	for i, due := range fire.GetDues() {
		status := logv1.FireStatus_FIRE_STATUS_UNSPECIFIED
		if i < len(result.GetStatuses()) {
			status = result.GetStatuses()[i]
		}
		switch status {
		case logv1.FireStatus_FIRE_STATUS_OK:
			some = true
		case logv1.FireStatus_FIRE_STATUS_STALE:
			d.stale[due.GetSchedule()] = due
		}
	}
	return some
}

func weightOf(due *logv1.Due) int { return 1 + len(due.GetTimesMs())/timesPerWeight }

// makesJob: as the state is now, a job comes of what is due.
func makesJob(v fsm.ScheduleView, due *logv1.Due) bool {
	s := v.Record.GetSchedule()
	skips := due.GetCount() > 1 && s.GetCatchUp() == logv1.CatchUp_CATCH_UP_SKIP
	return !skips && v.Instances < int(s.GetMaxInstances())
}

// mostGrids that the leader keeps read.
const mostGrids = 32_768

// grids that were read, by what they depend on.
type grids map[calendar.Definition]*calendar.Grid

func (g grids) of(s *logv1.ScheduleRecord) (*calendar.Grid, error) {
	d := calendar.DefinitionOf(s.GetSchedule(), s.GetAnchorMs())
	if grid := g[d]; grid != nil {
		return grid, nil
	}
	grid, err := calendar.Parse(d)
	if err != nil {
		return nil, err
	}
	if len(g) >= mostGrids {
		for old := range g { // any one
			delete(g, old)
			break
		}
	}
	g[d] = grid
	return grid, nil
}
