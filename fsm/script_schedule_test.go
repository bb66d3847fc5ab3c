package fsm_test

import (
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// scheduleCommand reads the commands of schedules. What a leader would have computed from the schedule is taken from it as it is before the batch:
// from=REVISION and saw=NEXT say otherwise.
func (r *scriptRun) scheduleCommand(c *logv1.Command, verb string, w words, arg func(int) string) bool {
	switch verb {
	case "put":
		c.Op = &logv1.Command_PutSchedule{PutSchedule: r.put(arg(0), w)}
	case "unput":
		c.Op = &logv1.Command_DeleteSchedule{DeleteSchedule: &logv1.DeleteSchedule{Name: arg(0), ExpectedRevision: uint64(w.int("expect"))}}
	case "pause":
		c.Op = &logv1.Command_PauseSchedule{PauseSchedule: &logv1.PauseSchedule{Name: arg(1)}}
	case "resume":
		from, saw := r.computed(arg(1), w)
		c.Op = &logv1.Command_ResumeSchedule{ResumeSchedule: &logv1.ResumeSchedule{Name: arg(1), ComputedFrom: from, ComputedNextMs: saw,
			NextMs: w.millis("next"), Passed: w.passed()}}
	case "trigger":
		c.Op = &logv1.Command_TriggerSchedule{TriggerSchedule: &logv1.TriggerSchedule{Name: arg(0)}}
	case "backfill":
		from, _ := r.computed(arg(0), w)
		b := &logv1.BackfillSchedule{Name: arg(0), ComputedFrom: from}
		for n := range w.int("n") { // n=N: so many, from first=T on
			b.TimesMs = append(b.TimesMs, w.millis("first")+n)
		}
		for _, s := range w.bare[1:] {
			b.TimesMs = append(b.TimesMs, mustMillis(s))
		}
		c.Op = &logv1.Command_BackfillSchedule{BackfillSchedule: b}
	case "fire":
		c.Op = &logv1.Command_Fire{Fire: r.dues(w)}
	default:
		return false
	}
	return true
}

func (w words) millis(key string) int64 {
	if s, ok := w.pair[key]; ok {
		return mustMillis(s)
	}
	return 0
}

// computed is what a leader sees of a schedule. A command of the gathering batch that changes it ends that batch.
func (r *scriptRun) computed(name string, w words) (revision uint64, next int64) {
	if _, ok := w.pair["from"]; !ok && r.changes(name, true) {
		r.flush()
	}
	v, _ := r.m.Schedule(name)
	revision, next = v.Record.GetRevision(), v.Record.GetNextMs()
	if _, ok := w.pair["from"]; ok {
		revision = uint64(w.int("from"))
	}
	if _, ok := w.pair["saw"]; ok {
		next = w.millis("saw")
	}
	return revision, next
}

// changes: the gathering batch changes the schedule, or fires something.
func (r *scriptRun) changes(name string, fires bool) bool {
	for _, c := range r.batch {
		if c.GetPutSchedule().GetSchedule().GetName() == name || c.GetPauseSchedule().GetName() == name || c.GetResumeSchedule().GetName() == name ||
			c.GetDeleteSchedule().GetName() == name || fires && c.GetFire() != nil {
			return true
		}
	}
	return false
}

// passed reads passed=COUNT:FIRST:LAST, with + behind the count if there are more.
func (w words) passed() *logv1.Passed {
	s, ok := w.pair["passed"]
	if !ok {
		return nil
	}
	part := strings.Split(s, ":")
	count, more := strings.CutSuffix(part[0], "+")
	return &logv1.Passed{Count: mustMillis(count), FirstMs: mustMillis(part[1]), LastMs: mustMillis(part[2]), More: more}
}

func (r *scriptRun) put(name string, w words) *logv1.PutSchedule {
	s := &logv1.Schedule{Name: name, Spec: "@every 10s", Zone: w.pair["zone"], StartMs: w.millis("start"), EndMs: w.millis("end"),
		JitterMs: w.millis("jitter"), Spread: w.has("spread"), MisfireGraceMs: w.optMillis("grace"), MaxInstances: 1,
		MinIntervalMs: w.millis("min_interval"), Template: w.newJobs()[0], Group: w.pair["group"], Description: w.pair["description"] +
			letters(w.int("description_bytes"))}
	if spec, ok := w.pair["spec"]; ok {
		s.Spec = spec
	}
	if _, ok := w.pair["max"]; ok {
		s.MaxInstances = int32(w.int("max"))
	}
	if v, ok := w.pair["catch_up"]; ok {
		s.CatchUp = enumOf[logv1.CatchUp](v, map[string]logv1.CatchUp{"latest": logv1.CatchUp_CATCH_UP_LATEST, "all": logv1.CatchUp_CATCH_UP_ALL,
			"skip": logv1.CatchUp_CATCH_UP_SKIP})
	}
	if v, ok := w.pair["overlap"]; ok {
		s.Overlap = enumOf[logv1.Overlap](v, map[string]logv1.Overlap{"skip": logv1.Overlap_OVERLAP_SKIP, "queue": logv1.Overlap_OVERLAP_QUEUE})
	}
	if w.has("bare") {
		s.Template = nil
	}
	if w.has("nothing") {
		s = nil
	}
	from, saw := r.computed(name, w)
	return &logv1.PutSchedule{Schedule: s, ExpectedRevision: uint64(w.int("expect")), OffsetMs: w.millis("offset"), AnchorMs: w.millis("anchor"),
		NextMs: w.millis("next"), ComputedFrom: from, ComputedNextMs: saw, Passed: w.passed()}
}

// enumOf reads a word, or a number that the machine must refuse.
func enumOf[T ~int32](s string, known map[string]T) T {
	if v, ok := known[s]; ok {
		return v
	}
	return T(mustUint(s))
}

// dues reads NAME DUE pairs, or n=N dues of nothing. DUE is FIRST[..LAST#COUNT[+]][:TIME,TIME...]>NEXT[/PERIOD]; COUNT+: there are more; PERIOD is
// NEXT-LAST, 0 if NEXT is, unless it is given. FIRST+STEP*N are N dues, one after another. id=, rev= replace what the schedule has.
func (r *scriptRun) dues(w words) *logv1.Fire {
	f := &logv1.Fire{}
	for range w.int("n") {
		f.Dues = append(f.Dues, &logv1.Due{})
	}
	for i := 0; i+1 < len(w.bare); i += 2 {
		if r.changes(w.bare[i], false) {
			r.flush()
		}
		v, _ := r.m.Schedule(w.bare[i])
		for _, d := range duesOf(w.bare[i+1]) {
			d.Schedule, d.Revision = v.Record.GetId(), v.Record.GetRevision()
			if _, ok := w.pair["id"]; ok {
				d.Schedule = uint64(w.int("id"))
			}
			if _, ok := w.pair["rev"]; ok {
				d.Revision = uint64(w.int("rev"))
			}
			f.Dues = append(f.Dues, d)
		}
	}
	return f
}

func duesOf(s string) (list []*logv1.Due) {
	from, many, ok := strings.Cut(s, "+")
	step, n, isMany := strings.Cut(many, "*")
	if !ok || !isMany {
		return append(list, dueOf(s))
	}
	at, by := mustMillis(from), mustMillis(step)
	for range mustUint(n) {
		list = append(list, &logv1.Due{FirstMs: at, LastMs: at, Count: 1, NextMs: at + by, PeriodMs: by})
		at += by
	}
	return list
}

func dueOf(s string) *logv1.Due {
	head, tail, ok := strings.Cut(s, ">")
	if !ok {
		bad("FIRST[..LAST#COUNT[+]][:TIMES]>NEXT[/PERIOD], not %q", s)
	}
	next, period, hasPeriod := strings.Cut(tail, "/")
	head, times, hasTimes := strings.Cut(head, ":")
	first, rest, several := strings.Cut(head, "..")
	d := &logv1.Due{FirstMs: mustMillis(first), Count: 1, NextMs: mustMillis(next)}
	d.LastMs = d.FirstMs
	if several {
		last, count, _ := strings.Cut(rest, "#")
		count, d.More = strings.CutSuffix(count, "+")
		d.LastMs, d.Count = mustMillis(last), mustMillis(count)
	}
	for _, t := range strings.Split(times, ",") {
		if from, to, isRange := strings.Cut(t, "~"); isRange { // every millisecond from .. to
			for at := mustMillis(from); at <= mustMillis(to); at++ {
				d.TimesMs = append(d.TimesMs, at)
			}
		} else if hasTimes {
			d.TimesMs = append(d.TimesMs, mustMillis(t))
		}
	}
	if d.NextMs != 0 {
		d.PeriodMs = d.NextMs - d.LastMs
	}
	if hasPeriod {
		d.PeriodMs = mustMillis(period)
	}
	return d
}
