package fsm_test

import (
	"fmt"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func describeSchedule(s *logv1.ScheduleResult) string {
	out := fmt.Sprintf("schedule %d revision=%d next=%d", s.GetSchedule(), s.GetRevision(), s.GetNextMs())
	if s.GetOffsetMs() != 0 {
		out += fmt.Sprintf(" offset=%d", s.GetOffsetMs())
	}
	if s.GetChange() != 0 {
		out += " " + strings.ToLower(strings.TrimPrefix(s.GetChange().String(), "SCHEDULE_CHANGE_"))
	}
	if s.GetJob() != 0 {
		out += fmt.Sprintf(" job=%d", s.GetJob())
	}
	if s.GetTicks() != 0 {
		out += fmt.Sprintf(" ticks=%d", s.GetTicks())
	}
	return out
}

func describeFire(f *logv1.FireResult) string {
	out := "fire"
	for _, s := range f.GetStatuses() {
		out += " " + strings.ToLower(strings.TrimPrefix(s.String(), "FIRE_STATUS_"))
	}
	return out
}

// numbers prints those that are not 0, each behind its name.
func numbers(list ...any) (out string) {
	for i := 0; i+1 < len(list); i += 2 {
		if text := fmt.Sprint(list[i+1]); text != "0" {
			out += fmt.Sprintf(" %v=%s", list[i], text)
		}
	}
	return out
}

func scheduleText(v fsm.ScheduleView) string {
	r, t := v.Record, v.Record.GetTotals()
	out := fmt.Sprintf("schedule %d %s revision=%d next=%d", r.GetId(), r.GetSchedule().GetName(), r.GetRevision(), r.GetNextMs())
	if r.GetPaused() {
		out += " paused"
	}
	out += numbers("offset", r.GetOffsetMs(), "anchor", r.GetAnchorMs(), "taken", r.GetTakenMs(), "created", r.GetCreatedMs(), "changed", r.GetChangedMs())
	out += numbers("instances", v.Instances, "waiting", v.Waiting, "fired", t.GetFired(), "missed", t.GetMissed(), "skipped", t.GetSkipped(),
		"coalesced", t.GetCoalesced(), "triggered", t.GetTriggered(), "backfilled", t.GetBackfilled())
	if t.GetSumLateMs() > 0 {
		out += fmt.Sprintf(" late=%d/%d/%d", t.GetLastLateMs(), t.GetSumLateMs(), t.GetMostLateMs())
	}
	out += numbers("last_job", r.GetLastJob(), "last_start", r.GetLastStartMs(), "last_end", r.GetLastEndMs())
	if r.GetLastState() != 0 {
		out += " " + stateText(r.GetLastState())
	}
	return out
}

func tickText(t *logv1.TickRecord) string {
	out := fmt.Sprintf("tick %d %s %s %d", t.GetNumber(), strings.ToLower(strings.TrimPrefix(t.GetResult().String(), "TICK_RESULT_")),
		strings.ToLower(strings.TrimPrefix(t.GetReason().String(), "TICK_REASON_")), t.GetFirstMs())
	if t.GetLastMs() != t.GetFirstMs() || t.GetCount() != 1 {
		out += fmt.Sprintf("..%d", t.GetLastMs())
	}
	if t.GetCount() != 1 {
		out += fmt.Sprintf(" count=%d", t.GetCount())
	}
	if t.GetMore() {
		out += " more"
	}
	out += numbers("late", t.GetLateMs(), "job", t.GetJob())
	if t.GetRefusal() != nil {
		out += " (" + refusalText(t.GetRefusal()) + ")"
	}
	return out
}

// causeText of a job or a waiting tick.
func causeText(c logv1.FireCause) string {
	return strings.ToLower(strings.TrimPrefix(c.String(), "FIRE_CAUSE_"))
}

// querySchedule prints schedules as they are, their history, or what waits.
func (r *scriptRun) querySchedule(verb string, w words) bool {
	switch verb {
	case "schedule":
		for _, name := range w.bare {
			if v, ok := r.m.Schedule(name); ok {
				r.printf("%s", scheduleText(v))
			} else {
				r.printf("no schedule %s", name)
			}
		}
	case "schedules":
		list, next := r.m.Schedules(w.pair["prefix"], w.pair["group"], w.pair["after"], r.limit(w))
		out := "schedules"
		for _, v := range list {
			out += " " + v.Record.GetSchedule().GetName()
		}
		if next != "" {
			out += ", after " + next + " there are more"
		}
		r.printf("%s", out)
	case "ticks":
		r.printTicks(w)
	case "waiting":
		list := r.m.WaitingTicks(w.bare[0], r.limit(w))
		for _, t := range list {
			r.printf("waits %d %s %d%s", t.GetNumber(), causeText(t.GetCause()), t.GetFireMs(), numbers("until", t.GetDeadlineMs()))
		}
		if len(list) == 0 {
			r.printf("nothing waits")
		}
	case "due":
		out := "due"
		for _, v := range r.m.DueSchedules(mustMillis(w.bare[0]), r.limit(w)) {
			out += " " + v.Record.GetSchedule().GetName()
		}
		at, ok := r.m.NextFire()
		r.printf("%s, next %d %v", out, at, ok)
	case "sums":
		t, schedules, paused := r.m.ScheduleSums()
		r.printf("sums schedules=%d paused=%d%s", schedules, paused, numbers("fired", t.GetFired(), "missed", t.GetMissed(), "skipped", t.GetSkipped(),
			"coalesced", t.GetCoalesced(), "triggered", t.GetTriggered(), "backfilled", t.GetBackfilled(), "late", t.GetSumLateMs(), "most", t.GetMostLateMs()))
	case "made":
		for _, s := range w.bare {
			j, _ := r.m.Job(fsm.JobID(mustUint(s)))
			r.printf("job %s %s schedule=%q/%d fire=%d %s%s", s, stateText(j.GetState()), j.GetSchedule(), j.GetScheduleId(), j.GetFireMs(),
				causeText(j.GetFireCause()), numbers("first_due", j.GetFirstDueMs(), "retry_of", j.GetRetryOf()))
		}
	default:
		return false
	}
	return true
}

func (r *scriptRun) limit(w words) int {
	if _, ok := w.pair["limit"]; ok {
		return int(w.int("limit"))
	}
	return 100
}

func (r *scriptRun) printTicks(w words) {
	list, next, known := r.m.Ticks(w.bare[0], uint64(w.int("before")), r.limit(w))
	if !known {
		r.printf("no schedule %s", w.bare[0])
		return
	}
	if w.has("count") {
		r.printf("%d ticks, %d to %d, next %d", len(list), list[len(list)-1].GetNumber(), list[0].GetNumber(), next)
		return
	}
	for _, t := range list {
		r.printf("%s", tickText(t))
	}
	if len(list) == 0 {
		r.printf("no ticks")
	}
	if next != 0 {
		r.printf("below %d there are more", next)
	}
}
