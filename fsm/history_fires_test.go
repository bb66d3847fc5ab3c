package fsm_test

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// fire plays the leader: it says what is due of all schedules, in the order of their times. Sometimes it is wrong.
func (h *history) fire() *logv1.Command {
	now := h.clock
	var due []*drawnSchedule
	for _, name := range h.scheduleNames() {
		if d := h.schedules[name]; d.next != 0 && d.next+d.offset <= now && (!d.paused || h.one(12)) && !h.one(8) {
			due = append(due, d)
		}
	}
	slices.SortStableFunc(due, func(a, b *drawnSchedule) int { return cmp.Compare(a.next+a.offset, b.next+b.offset) })
	f := &logv1.Fire{}
	for _, d := range due {
		times := d.dues(now)
		if len(times) > 1001 && h.one(3) { // as many as a list can hold, when the leader looked
			times = times[:1001]
		}
		if len(times) > 1 && (h.one(3) || len(times) > 110 && d.def.GetOverlap() == logv1.Overlap_OVERLAP_QUEUE && h.one(2)) {
			f.Dues = append(f.Dues, h.oneByOne(d, times)...)
			continue
		}
		f.Dues = append(f.Dues, h.due(d, times, now))
	}
	if len(f.Dues) == 0 && !h.one(10) {
		return nil
	}
	for _, d := range f.Dues {
		if h.one(25) {
			h.spoilDue(d)
		}
	}
	if d := h.schedule(); d != nil && h.one(15) { // before its time, or of one that is over
		f.Dues = append(f.Dues, h.due(d, []int64{d.next}, now))
	}
	h.fired = &logv1.Command{Op: &logv1.Command_Fire{Fire: f}}
	return h.fired
}

// fireAgain is a command of a former leader that comes once more.
func (h *history) fireAgain() *logv1.Command {
	if h.fired == nil || !h.one(4) {
		return nil
	}
	return h.fired
}

// due is what a leader says of the times that are due.
func (h *history) due(d *drawnSchedule, times []int64, now int64) *logv1.Due {
	last := times[len(times)-1]
	out := &logv1.Due{Schedule: d.id, Revision: d.revision, FirstMs: times[0], LastMs: last, Count: int64(len(times)), NextMs: after(d.def, d.anchor, last)}
	if out.NextMs != 0 {
		out.PeriodMs = out.NextMs - last
	}
	if out.Count == 1 {
		return out
	}
	switch d.def.GetCatchUp() {
	case logv1.CatchUp_CATCH_UP_UNSPECIFIED, logv1.CatchUp_CATCH_UP_LATEST:
		out.TimesMs = times[len(times)-2 : len(times)-1]
	case logv1.CatchUp_CATCH_UP_ALL:
		if h.one(4) {
			now -= int64(h.below(3_000)) // a clock that is behind
		}
		out.TimesMs = candidates(d, times, now, out.PeriodMs)
	}
	out.More = int64(len(out.TimesMs)) < out.Count && h.one(10)
	return out
}

// candidates of catch_up all are the newest times inside the grace, without a gap; the newest of the others stands before them.
func candidates(d *drawnSchedule, times []int64, now, period int64) []int64 {
	from := len(times)
	for ; from > 0 && len(times)-from < 1000; from-- {
		grace := max(60_000, period)
		if d.def.MisfireGraceMs != nil {
			grace = d.def.GetMisfireGraceMs()
		}
		if grace >= 0 && now-(times[from-1]+d.offset) > grace {
			break
		}
		if from > 1 {
			period = times[from-1] - times[from-2]
		}
	}
	return times[max(from-1, 0):]
}

// oneByOne fires the first of the times each by itself, as a leader does that keeps up.
func (h *history) oneByOne(d *drawnSchedule, times []int64) (dues []*logv1.Due) {
	most := 1 + h.below(4)
	if h.one(2) {
		most = 100 + h.below(40)
	}
	for _, at := range times[:min(len(times), most)] {
		dues = append(dues, h.due(d, []int64{at}, 0))
	}
	return dues
}

// spoilDue makes a due that must not be taken.
func (h *history) spoilDue(d *logv1.Due) {
	switch h.below(11) {
	case 0:
		d.Schedule += uint64(1 + h.below(3))
	case 1:
		d.Revision--
	case 2:
		d.FirstMs--
	case 3:
		d.Count = -int64(h.below(2))
	case 4:
		d.LastMs = d.FirstMs - 1
	case 5:
		d.NextMs = d.LastMs
	case 6:
		d.TimesMs = append([]int64{d.LastMs}, d.TimesMs...)
		d.Count += 2
	case 7:
		d.Count, d.TimesMs = 3, []int64{d.FirstMs - 1, d.LastMs}
	case 8:
		d.Count, d.TimesMs = 3, []int64{d.LastMs + 1}
	case 9:
		d.LastMs += 50_000
		d.NextMs = 0
	case 10:
		for len(d.TimesMs) < 1002 {
			d.LastMs++
			d.TimesMs = append(d.TimesMs, d.LastMs)
		}
		d.Count, d.NextMs = 2000, 0
	}
}

// observeSchedules learns from the answer to a command about schedules, if it is no repeated one.
func (h *history) observeSchedules(c *logv1.Command, res *logv1.Result) {
	if res.GetRefusal() != nil || res.GetIndex() != h.index {
		return
	}
	name, r := "", res.GetSchedule()
	switch op := c.GetOp().(type) {
	case *logv1.Command_Fire:
		h.observeFire(op.Fire, res.GetFire())
	case *logv1.Command_TriggerSchedule:
		h.jobs = max(h.jobs, int(r.GetJob()))
	case *logv1.Command_PutSchedule:
		name = op.PutSchedule.GetSchedule().GetName()
		if d := h.schedules[name]; d == nil || d.revision < r.GetRevision() || d.id != r.GetSchedule() {
			fresh := &drawnSchedule{id: r.GetSchedule(), def: proto.Clone(op.PutSchedule.GetSchedule()).(*logv1.Schedule), anchor: op.PutSchedule.GetAnchorMs(),
				next: r.GetNextMs()}
			if d != nil && d.id == fresh.id {
				fresh.paused, fresh.taken = d.paused, max(d.taken, op.PutSchedule.GetPassed().GetLastMs())
			}
			h.schedules[name] = fresh
		}
	case *logv1.Command_DeleteSchedule:
		delete(h.schedules, op.DeleteSchedule.GetName())
	case *logv1.Command_PauseSchedule:
		name = op.PauseSchedule.GetName()
		if d := h.schedules[name]; d != nil {
			d.paused = true
		}
	case *logv1.Command_ResumeSchedule:
		name = op.ResumeSchedule.GetName()
		if d := h.schedules[name]; d != nil {
			d.paused, d.next, d.taken = false, r.GetNextMs(), max(d.taken, op.ResumeSchedule.GetPassed().GetLastMs())
		}
	}
	if d := h.schedules[name]; d != nil && r.GetRevision() >= d.revision {
		d.revision, d.offset = r.GetRevision(), r.GetOffsetMs()
	}
}

func (h *history) observeFire(f *logv1.Fire, r *logv1.FireResult) {
	for i, status := range r.GetStatuses() {
		for _, d := range h.schedules {
			if d.id == f.GetDues()[i].GetSchedule() && status == logv1.FireStatus_FIRE_STATUS_OK {
				d.next, d.taken = f.GetDues()[i].GetNextMs(), f.GetDues()[i].GetLastMs()
			}
		}
	}
}
