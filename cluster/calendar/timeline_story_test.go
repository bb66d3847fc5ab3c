package calendar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// story is what came about, in order.
type story struct {
	entries []*entry
	begun   map[string]int // runs that began, by schedule
	fired   map[fireKey]bool
}

// fireKey is what may run at most once.
type fireKey struct {
	schedule string
	fireMs   int64
}

// entry is one line: a tick record, or what a call was answered.
type entry struct {
	atMs int64
	name string
	tick *logv1.TickRecord // with what was added to it since
	said string            // words of an answer
	job  uint64            // of an answer
	gone bool              // its schedule was deleted
}

// jobStory is what became of one job.
type jobStory struct {
	id       uint64
	schedule string
	declared *declared
	claims   []*claimStory
	state    string // beside its claims
	over     bool
}

type claimStory struct {
	startMs, endMs int64
	how            string
}

func newStory() story { return story{begun: map[string]int{}, fired: map[fireKey]bool{}} }

// tick adds an event. A record that was extended stays the line that it was.
func (s *story) tick(t *testing.T, wallMs int64, e fsm.Event) {
	k := e.Tick
	kind := map[logv1.TickResult]fsm.EventKind{logv1.TickResult_TICK_RESULT_FIRED: fsm.ScheduleFired,
		logv1.TickResult_TICK_RESULT_MISSED: fsm.ScheduleMissed, logv1.TickResult_TICK_RESULT_SKIPPED: fsm.ScheduleSkipped,
		logv1.TickResult_TICK_RESULT_COALESCED: fsm.ScheduleCoalesced}[k.GetResult()]
	if e.Kind != kind || k.GetAtMs() != wallMs {
		t.Fatalf("event %v at %d carries %v", e.Kind, wallMs, k)
	}
	switch k.GetReason() {
	case logv1.TickReason_TICK_REASON_ON_TIME, logv1.TickReason_TICK_REASON_CAUGHT_UP:
		key := fireKey{e.Schedule, k.GetFirstMs()}
		if s.fired[key] {
			t.Fatalf("%v fired twice", key)
		}
		s.fired[key] = true
	}
	for _, old := range s.entries {
		if old.tick != nil && old.tick.GetNumber() == k.GetNumber() && old.tick.GetSchedule() == k.GetSchedule() {
			old.tick.LastMs, old.tick.LateMs = k.GetLastMs(), k.GetLateMs()
			old.tick.Count += k.GetCount()
			return
		}
	}
	c := &logv1.TickRecord{Schedule: k.GetSchedule(), Number: k.GetNumber(), Result: k.GetResult(), Reason: k.GetReason(), FirstMs: k.GetFirstMs(),
		LastMs: k.GetLastMs(), Count: k.GetCount(), More: k.GetMore(), AtMs: k.GetAtMs(), LateMs: k.GetLateMs(), Job: k.GetJob(), Refusal: k.GetRefusal()}
	s.entries = append(s.entries, &entry{atMs: wallMs, name: e.Schedule, tick: c})
}

func (s *story) enqueued(atMs int64, job uint64) {
	s.entries = append(s.entries, &entry{atMs: atMs, said: "enqueued", job: job})
}

func (w *world) answer(verb, name, said string) {
	w.story.entries = append(w.story.entries, &entry{atMs: w.now(), name: name, said: verb + " " + said})
}

func (s *jobStory) started(atMs int64, j *logv1.Job) {
	s.schedule = j.GetSchedule()
	s.claims = append(s.claims, &claimStory{startMs: atMs})
}

func (s *jobStory) ended(atMs int64, f *logv1.FinishResult, failed bool) {
	c := s.claims[len(s.claims)-1]
	c.endMs, c.how = atMs, word(f.GetState().String(), "STATE_")
	switch f.GetState() {
	case logv1.State_STATE_SCHEDULED, logv1.State_STATE_PENDING:
		c.how = "failed"
	default:
		s.over = true
	}
}

// lines of the whole story, a heading before each day.
func (w *world) lines() (out []string) {
	day := ""
	for _, e := range w.story.entries {
		if d := w.local(e.atMs).Format(time.DateOnly); d != day {
			day = d
			out = append(out, "-- "+d)
		}
		out = append(out, w.line(e))
	}
	return out
}

func (w *world) line(e *entry) string {
	b := []string{w.clock(e.atMs, e.atMs)}
	if len(w.tl.schedules) > 1 && e.name != "" {
		b = append(b, e.name)
	}
	if e.tick == nil {
		b = append(b, e.said)
		return strings.Join(append(b, w.jobWords(e.atMs, e.job)...), " ")
	}
	k := e.tick
	b = append(b, word(k.GetResult().String(), "TICK_RESULT_"), w.clock(k.GetFirstMs(), e.atMs))
	if k.GetCount() != 1 {
		more := ""
		if k.GetMore() {
			more = "+"
		}
		b = append(b, "..", w.clock(k.GetLastMs(), e.atMs), fmt.Sprintf("x%d%s", k.GetCount(), more))
	}
	b = append(b, word(k.GetReason().String(), "TICK_REASON_"))
	if r := k.GetRefusal(); r != nil {
		b = append(b, word(r.GetReason().String(), "REASON_"))
	}
	result := k.GetResult()
	if k.GetLateMs() != 0 && (result == logv1.TickResult_TICK_RESULT_FIRED || result == logv1.TickResult_TICK_RESULT_MISSED) {
		b = append(b, "late", lengthWords(k.GetLateMs()))
	}
	return strings.Join(append(b, w.jobWords(e.atMs, k.GetJob())...), " ")
}

// jobWords: "job 3: 10:05:00 to 10:05:30 failed, 10:05:31 to 10:06:01 succeeded".
func (w *world) jobWords(atMs int64, id uint64) []string {
	if id == 0 {
		return nil
	}
	j, ok := w.m.Job(fsm.JobID(id))
	state := ""
	if ok {
		state = word(j.GetState().String(), "STATE_")
	}
	var parts []string
	claims := w.job(id).claims
	for _, c := range claims {
		if c.endMs == 0 {
			parts = append(parts, w.short(c.startMs, atMs)+" to - "+state)
			continue
		}
		parts = append(parts, w.short(c.startMs, atMs)+" to "+w.short(c.endMs, atMs)+" "+c.how)
	}
	if state == "pending" || state == "scheduled" || len(claims) == 0 {
		parts = append(parts, state)
	}
	return []string{fmt.Sprintf("job %d:", id), strings.Join(parts, ", ")}
}

func (w *world) local(ms int64) time.Time { return time.UnixMilli(ms).In(w.tl.zone) }

func (w *world) stamp(ms int64) string { return w.local(ms).Format("2006-01-02T15:04:05.999-07:00") }

// clock is a time with its offset, and with its date if that is not the one of the line.
func (w *world) clock(ms, lineMs int64) string {
	layout := "15:04:05.999-07:00"
	if w.local(ms).Format(time.DateOnly) != w.local(lineMs).Format(time.DateOnly) {
		layout = "2006-01-02T" + layout
	}
	return w.local(ms).Format(layout)
}

// short is the same without the offset, if that is the one of the line.
func (w *world) short(ms, lineMs int64) string {
	full := w.clock(ms, lineMs)
	_, a := w.local(ms).Zone()
	_, b := w.local(lineMs).Zone()
	if a == b {
		return full[:len(full)-len("+01:00")]
	}
	return full
}

// next is a fire time that is to come, in full.
func (w *world) next(ms int64) string {
	if ms == 0 {
		return "none"
	}
	return w.stamp(ms)
}

// lengthWords: 90s is "1m30s", 2h "2h", three days "72h".
func lengthWords(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
