package calendar_test

import (
	"fmt"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// window counts the grid times of one schedule, definition after definition, with nothing but Grid.Between.
type window struct {
	closed   int64 // of the definitions before this one
	grid     *calendar.Grid
	fromMs   int64 // first time of this definition; 0: it has none
	pausedMs int64 // since when it is paused; 0: it is not
}

func (w *world) openWindow(name string, def calendar.Definition, next int64) {
	old := w.windows[name]
	if old == nil {
		old = &window{}
		w.windows[name] = old
	}
	old.grid, old.fromMs = w.parse(def), next
}

// closeWindow counts the times of the definition that ends. atEnd: the file ends, so times that come to fire later are not over, and those
// of a pause are not told yet.
func (w *world) closeWindow(name string, atEnd bool) {
	s := w.windows[name]
	if s == nil || s.fromMs == 0 {
		return
	}
	to := w.wall()
	if v, ok := w.m.Schedule(name); ok && atEnd {
		if s.pausedMs > 0 {
			to = s.pausedMs
		}
		to -= v.Record.GetOffsetMs()
	}
	if to >= s.fromMs {
		p := s.grid.Between(s.fromMs, to)
		if p.GetMore() {
			w.t.Fatalf("%s: too many grid times to count", name)
		}
		s.closed += p.GetCount()
	}
	s.fromMs = 0
}

// forget a schedule that was deleted.
func (w *world) forget(name string) {
	delete(w.windows, name)
	for _, e := range w.story.entries {
		if e.name == name {
			e.gone = true
		}
	}
	for k := range w.story.fired {
		if k.schedule == name {
			delete(w.story.fired, k)
		}
	}
}

// leavesTimes: an edit touches neither grid nor offset.
func leavesTimes(old *logv1.ScheduleRecord, s *logv1.Schedule) bool {
	a := old.GetSchedule()
	return old != nil && a.GetSpec() == s.GetSpec() && a.GetZone() == s.GetZone() && a.GetStartMs() == s.GetStartMs() && a.GetEndMs() == s.GetEndMs() &&
		a.GetJitterMs() == s.GetJitterMs() && a.GetSpread() == s.GetSpread()
}

// checkPut: an edit that leaves the times alone changes none of what is stored of them. Else the next time is the first of the grid after now and
// after what is over, or, of a new one, now itself.
func (w *world) checkPut(p *logv1.PutSchedule, old *logv1.ScheduleRecord, now int64) {
	if leavesTimes(old, p.GetSchedule()) {
		if p.GetAnchorMs() != old.GetAnchorMs() || p.GetNextMs() != old.GetNextMs() || p.GetPassed().GetCount() != 0 {
			w.t.Fatalf("at %s: the edit %v changes times of %v", w.stamp(now), p, old)
		}
		return
	}
	g := w.parse(calendar.DefinitionOf(p.GetSchedule(), p.GetAnchorMs()))
	after, _ := g.Next(max(now, old.GetTakenMs()))
	if isNow := old == nil && p.GetNextMs() == now && g.Between(now, now).GetCount() == 1; !isNow && p.GetNextMs() != after {
		w.t.Fatalf("at %s: the first time is %s, the grid says %s", w.stamp(now), w.next(p.GetNextMs()), w.next(after))
	}
}

// sums is what became of the grid times of a schedule.
type sums struct{ fired, missed, skipped, coalesced, triggered, backfilled int64 }

// told adds up the lines of the story.
func (w *world) told(name string) (s sums, backfill bool) {
	for _, e := range w.story.entries {
		if e.name != name || e.gone || e.tick == nil {
			continue
		}
		n := e.tick.GetCount()
		switch e.tick.GetReason() {
		case logv1.TickReason_TICK_REASON_TRIGGER:
			s.triggered += n
			continue
		case logv1.TickReason_TICK_REASON_BACKFILL:
			s.backfilled += n
			continue
		}
		switch e.tick.GetResult() {
		case logv1.TickResult_TICK_RESULT_FIRED:
			s.fired += n
		case logv1.TickResult_TICK_RESULT_MISSED:
			s.missed += n
		case logv1.TickResult_TICK_RESULT_SKIPPED:
			s.skipped += n
		case logv1.TickResult_TICK_RESULT_COALESCED:
			s.coalesced += n
		}
	}
	return s, s.backfilled > 0
}

// accounts gives one line for every schedule that exists, and fails if its grid times do not come out.
func (w *world) accounts() (out []string) {
	for _, d := range w.tl.schedules {
		name := d.schedule.GetName()
		v, ok := w.m.Schedule(name)
		if !ok {
			continue
		}
		w.closeWindow(name, true)
		t := v.Record.GetTotals()
		got := sums{int64(t.GetFired()), int64(t.GetMissed()), int64(t.GetSkipped()), int64(t.GetCoalesced()), int64(t.GetTriggered()),
			int64(t.GetBackfilled())}
		if told, backfill := w.told(name); told != got && !backfill {
			w.t.Errorf("%s: the totals are %+v, the events say %+v", name, got, told)
		}
		waiting := int64(0)
		for _, k := range w.m.WaitingTicks(name, 10_000) {
			if k.GetCause() != logv1.FireCause_FIRE_CAUSE_BACKFILL {
				waiting++
			}
		}
		grid := w.windows[name].closed
		line := fmt.Sprintf("%d grid times = %d fired + %d missed + %d skipped + %d coalesced + %d waiting", grid, got.fired, got.missed,
			got.skipped, got.coalesced, waiting)
		if sum := got.fired + got.missed + got.skipped + got.coalesced + waiting; sum != grid {
			w.t.Errorf("%s: %s, but these are %d", name, line, sum)
		}
		if got.triggered > 0 {
			line += fmt.Sprintf(", %d triggered", got.triggered)
		}
		if got.backfilled > 0 {
			line += fmt.Sprintf(", %d backfilled", got.backfilled)
		}
		if len(w.tl.schedules) > 1 {
			line = name + ": " + line
		}
		out = append(out, line)
		w.checkHistory(name)
	}
	return out
}

// mostTicks that the machine keeps of a schedule.
const mostTicks = 64

// checkHistory: the records that are kept are the newest of the story, in its order.
func (w *world) checkHistory(name string) {
	list, _, _ := w.m.Ticks(name, 0, mostTicks)
	var told []*logv1.TickRecord
	for i := len(w.story.entries) - 1; i >= 0 && len(told) < mostTicks; i-- {
		if e := w.story.entries[i]; e.name == name && !e.gone && e.tick != nil {
			told = append(told, e.tick)
		}
	}
	if len(list) != len(told) {
		w.t.Errorf("%s: %d records are kept, the events tell %d", name, len(list), len(told))
		return
	}
	for i, a := range list {
		b := told[i]
		if a.GetNumber() != b.GetNumber() || a.GetResult() != b.GetResult() || a.GetReason() != b.GetReason() || a.GetFirstMs() != b.GetFirstMs() ||
			a.GetLastMs() != b.GetLastMs() || a.GetCount() != b.GetCount() || a.GetMore() != b.GetMore() || a.GetJob() != b.GetJob() {
			w.t.Errorf("%s: the record is %v, the events tell %v", name, a, b)
		}
	}
}
