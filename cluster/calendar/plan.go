package calendar

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

const (
	// maxCandidates is how many times are caught up at once.
	maxCandidates = 1000
	// leastGraceMs is the least grace of a schedule that gives none.
	leastGraceMs = 60_000
)

// Plan is what is due of a schedule at nowMs; nil: nothing. g is the grid of its definition. The first time is what the record says, on the grid or not:
// zone data that changed do not lose it.
func Plan(s *logv1.ScheduleRecord, g *Grid, nowMs int64) *logv1.Due {
	first, newest := s.GetNextMs(), nowMs-s.GetOffsetMs()
	if s.GetPaused() || first == 0 || first > newest {
		return nil
	}
	due := &logv1.Due{Schedule: s.GetId(), Revision: s.GetRevision(), FirstMs: first, LastMs: first, Count: 1}
	rest := g.Between(first+1, newest)
	if rest.GetCount() > 0 {
		due.LastMs, due.Count, due.More = rest.GetLastMs(), 1+rest.GetCount(), rest.GetMore()
	}
	if next, ok := g.Next(due.GetLastMs()); ok {
		due.NextMs, due.PeriodMs = next, next-due.GetLastMs()
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

// graceOf a tick that is followed by another after a period, 0: by none. -1: unlimited.
func graceOf(s *logv1.ScheduleRecord, periodMs int64) int64 {
	if g := s.GetSchedule(); g.MisfireGraceMs != nil {
		return g.GetMisfireGraceMs()
	}
	return max(leastGraceMs, periodMs)
}
