package calendar

import (
	"cmp"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// maxCandidates is how many times are caught up at once.
	maxCandidates = 1000
	// leastGraceMs is the least grace of a schedule that gives none.
	leastGraceMs = 60_000
)

// passed are the times of a schedule that came up to an instant and are neither fired nor recorded; nil: none. The first is what the record says, on the
// grid or not: zone data that changed do not lose it. g is the grid of its definition; without one the first alone is known.
func passed(s *logv1.ScheduleRecord, g *Grid, toMs int64) *logv1.Passed {
	first := s.GetNextMs()
	if first == 0 || first > toMs {
		return nil
	}
	p := &logv1.Passed{FirstMs: first, LastMs: first, Count: 1}
	if g == nil {
		return p
	}
	if rest := g.Between(first+1, toMs); rest.GetCount() > 0 {
		p.LastMs, p.Count, p.More = rest.GetLastMs(), 1+rest.GetCount(), rest.GetMore()
	}
	return p
}

// Plan is what is due of a schedule at nowMs; nil: nothing. g is the grid of its definition.
func Plan(s *logv1.ScheduleRecord, g *Grid, nowMs int64) *logv1.Due {
	p := passed(s, g, nowMs-s.GetOffsetMs())
	if s.GetPaused() || p == nil {
		return nil
	}
	due := &logv1.Due{Schedule: s.GetId(), Revision: s.GetRevision(), FirstMs: p.FirstMs, LastMs: p.LastMs, Count: p.Count, More: p.More}
	// The period is the grace of a schedule that gives none; an end bounds the times, not the distance between them.
	if next, ok := g.endless().Next(due.GetLastMs()); ok {
		due.PeriodMs = next - due.GetLastMs()
		if next <= g.highMs {
			due.NextMs = next
		}
	}
	if due.GetCount() > 1 {
		due.TimesMs = catchUp(s, g, due, nowMs)
	}
	return due
}

// catchUp gives times_ms of several that are due.
func catchUp(s *logv1.ScheduleRecord, g *Grid, due *logv1.Due, nowMs int64) []int64 {
	first, last := due.GetFirstMs(), due.GetLastMs()
	switch s.GetSchedule().GetCatchUp() {
	case logv1.CatchUp_CATCH_UP_SKIP:
		return nil
	case logv1.CatchUp_CATCH_UP_ALL:
	default:
		if before, ok := g.newest(first+1, last-1); ok {
			return []int64{before}
		}
		return []int64{first}
	}
	// One more than can be caught up: it ends those that are not, whether it is inside its grace or not.
	times := g.tail(first+1, last, maxCandidates+1)
	if len(times) <= maxCandidates {
		times = append([]int64{first}, times...)
	}
	at, period := len(times), due.GetPeriodMs()
	for at > 0 {
		t := times[at-1]
		if grace := graceOf(s, period); grace >= 0 && nowMs-t-s.GetOffsetMs() > grace {
			break
		}
		if at--; at > 0 {
			period = t - times[at-1]
		}
	}
	return times[max(0, at-1):]
}

// Planned is a schedule and what is due of it.
type Planned struct {
	Schedule *logv1.ScheduleRecord
	Due      *logv1.Due
}

// Compare is the order in which schedules stand in one Fire: by the due time of the first job that comes of them, then by name. The machine numbers
// jobs in that order, and those of a coordinator that are due at the same time run by number. What came before that job and does not run counts for
// nothing.
func (p Planned) Compare(q Planned) int {
	return cmp.Or(cmp.Compare(p.dueMs(), q.dueMs()), cmp.Compare(p.Schedule.GetSchedule().GetName(), q.Schedule.GetSchedule().GetName()))
}

func (p Planned) dueMs() int64 {
	first, times := p.Due.GetLastMs(), p.Due.GetTimesMs()
	if p.Schedule.GetSchedule().GetCatchUp() == logv1.CatchUp_CATCH_UP_ALL && len(times) > 0 {
		if int64(len(times)) < p.Due.GetCount() && len(times) > 1 { // the first ends those that are not caught up
			times = times[1:]
		}
		first = times[0]
	}
	return first + p.Schedule.GetOffsetMs()
}

// graceOf a tick that is followed by another after a period, 0: by none. -1: unlimited.
func graceOf(s *logv1.ScheduleRecord, periodMs int64) int64 {
	if g := s.GetSchedule(); g.MisfireGraceMs != nil {
		return g.GetMisfireGraceMs()
	}
	return max(leastGraceMs, periodMs)
}
