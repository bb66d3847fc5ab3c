package fsm_test

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// outcomes counts what became of one tick or of several, and gathers it: misses and skips that follow each other become one record.
func (n *naive) outcomes(s *naiveSchedule, r *logv1.TickRecord, cause logv1.FireCause) {
	n.count(s, r, cause)
	if k := len(s.run); k > 0 {
		if last := s.run[k-1]; last.Result == r.Result && last.Reason == r.Reason && r.Job == 0 {
			last.FirstMs, last.LastMs = min(last.FirstMs, r.FirstMs), max(last.LastMs, r.LastMs)
			last.Count, last.More = last.Count+r.Count, last.More || r.More
			return
		}
	}
	s.run = append(s.run, r)
}

func (n *naive) count(s *naiveSchedule, r *logv1.TickRecord, cause logv1.FireCause) {
	t, by := s.totals, uint64(r.GetCount())
	fired := r.GetResult() == logv1.TickResult_TICK_RESULT_FIRED
	switch {
	case cause == byTrigger:
		t.Triggered++
		return
	case cause == byBackfill:
		if fired {
			t.Backfilled++
		}
		return
	}
	switch r.GetResult() {
	case logv1.TickResult_TICK_RESULT_FIRED:
		late := max(0, n.wall-(r.GetLastMs()+s.offset))
		t.Fired++
		t.LastLateMs, t.MostLateMs = late, max(t.MostLateMs, late)
		t.SumLateMs += late
	case logv1.TickResult_TICK_RESULT_MISSED:
		t.Missed += by
	case logv1.TickResult_TICK_RESULT_SKIPPED:
		t.Skipped += by
	case logv1.TickResult_TICK_RESULT_COALESCED:
		t.Coalesced += by
	}
}

// tell writes the records of what was gathered, and an event for each.
func (n *naive) tell(s *naiveSchedule) {
	for _, r := range s.run {
		r.Schedule, r.AtMs, r.Index, r.LateMs = s.id, n.wall, n.index, max(0, n.wall-(r.GetLastMs()+s.offset))
		if r.GetReason() == logv1.TickReason_TICK_REASON_TRIGGER {
			r.LateMs = 0
		}
		if k := len(s.records); k > 0 && n.follows(s.records[k-1], r) {
			last := s.records[k-1]
			r.Number = last.Number
			n.tickEvent(s, r)
			whole := proto.Clone(r).(*logv1.TickRecord)
			whole.FirstMs, whole.Count, whole.More = last.FirstMs, last.Count+r.Count, last.More || r.More
			s.records[k-1] = whole
			continue
		}
		n.lastTick++
		r.Number = n.lastTick
		n.tickEvent(s, r)
		s.records = append(s.records, r)
	}
	s.run = nil
}

// follows: skips for these reasons go on in the newest record; since rules 5 only those that are newer, and for more reasons.
func (n *naive) follows(last, r *logv1.TickRecord) bool {
	joined := []logv1.TickReason{logv1.TickReason_TICK_REASON_MIN_INTERVAL, logv1.TickReason_TICK_REASON_MAX_INSTANCES}
	if n.rules >= 5 {
		joined = append(joined, logv1.TickReason_TICK_REASON_LINE_FULL, logv1.TickReason_TICK_REASON_REFUSED)
	}
	newer := n.rules < 5 || last.GetLastMs() < r.GetFirstMs()
	return newer && last.Reason == r.Reason && last.GetRefusal().GetReason() == r.GetRefusal().GetReason() && slices.Contains(joined, r.Reason)
}

func (n *naive) tickEvent(s *naiveSchedule, r *logv1.TickRecord) {
	kind := strings.TrimPrefix(r.GetResult().String(), "TICK_RESULT_")
	queue, user := "", ""
	if r.GetJob() != 0 {
		if queue = s.def.GetTemplate().GetQueue(); queue == "" {
			queue = "default"
		}
		user = s.def.GetTemplate().GetUser()
	}
	n.events = append(n.events, fmt.Sprintf("Schedule%s%s %s job=%d queue=%s user=%s %s", kind[:1], strings.ToLower(kind[1:]), s.def.GetName(), r.GetJob(),
		queue, user, recordText(r)))
}

// recordText prints a record: the parameters of a refusal aside.
func recordText(r *logv1.TickRecord) string {
	word := func(s, prefix string) string { return strings.ToLower(strings.TrimPrefix(s, prefix)) }
	out := fmt.Sprintf("tick %d of %d %s %s %d..%d count=%d more=%v at=%d index=%d job=%d", r.GetNumber(),
		r.GetSchedule(), word(r.GetResult().String(), "TICK_RESULT_"),
		word(r.GetReason().String(), "TICK_REASON_"), r.GetFirstMs(), r.GetLastMs(), r.GetCount(), r.GetMore(), r.GetAtMs(), r.GetIndex(), r.GetJob())
	switch r.GetResult() {
	case logv1.TickResult_TICK_RESULT_FIRED, logv1.TickResult_TICK_RESULT_MISSED:
		out += fmt.Sprintf(" late=%d", r.GetLateMs())
	}
	if r.GetRefusal() != nil {
		out += " " + word(r.GetRefusal().GetReason().String(), "REASON_")
	}
	return out
}
