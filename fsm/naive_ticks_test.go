package fsm_test

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// fire answers each of the dues by itself.
func (n *naive) fire(f *logv1.Fire) string {
	out := "fire"
	for _, d := range f.GetDues() {
		out += " " + n.fireOne(d)
	}
	return out
}

func (n *naive) fireOne(d *logv1.Due) string {
	s := n.scheduleByID(d.GetSchedule())
	switch {
	case s == nil || s.paused || d.GetRevision() != s.revision || s.next == 0 || d.GetFirstMs() != s.next:
		return "stale"
	case d.GetLastMs()+s.offset > n.wall:
		return "early"
	case malformed(s, d):
		return "stale"
	}
	s.next = d.GetNextMs()
	s.over += d.GetCount()
	s.taken = d.GetLastMs()
	if d.GetCount() == 1 {
		n.single(s, d.GetFirstMs(), d.GetPeriodMs())
	} else {
		n.several(s, d)
	}
	n.tell(s)
	return "ok"
}

func malformed(s *naiveSchedule, d *logv1.Due) bool {
	times := d.GetTimesMs()
	if d.GetCount() < 1 || d.GetLastMs() < d.GetFirstMs() || d.GetNextMs() != 0 && d.GetNextMs() <= d.GetLastMs() || !rising(times) || len(times) > 1001 {
		return true
	}
	for _, at := range times {
		if at < d.GetFirstMs() || at > d.GetLastMs() {
			return true
		}
	}
	if (d.GetCount() == 1) != (d.GetFirstMs() == d.GetLastMs()) || d.GetCount() > d.GetLastMs()-d.GetFirstMs()+1 ||
		d.GetPeriodMs() < 0 || int64(len(times)) > d.GetCount() {
		return true
	}
	if d.GetCount() == 1 || s.def.GetCatchUp() == logv1.CatchUp_CATCH_UP_SKIP {
		return false
	}
	if s.def.GetCatchUp() != logv1.CatchUp_CATCH_UP_ALL {
		return len(times) != 1 || times[0] == d.GetLastMs() || d.GetCount()-1 > times[0]-d.GetFirstMs()+1
	}
	if len(times) == 0 || times[len(times)-1] != d.GetLastMs() {
		return true
	}
	if int64(len(times)) == d.GetCount() {
		return times[0] != d.GetFirstMs()
	}
	return d.GetCount()-int64(len(times)-1) > times[0]-d.GetFirstMs()+1
}

// tooLate says whether a tick is later than its grace; period is the distance to the next grid time, 0: none comes.
func (n *naive) tooLate(s *naiveSchedule, at, period int64) bool {
	grace := s.grace(period)
	return grace >= 0 && n.wall-(at+s.offset) > grace
}

func (s *naiveSchedule) grace(period int64) int64 {
	if s.def.MisfireGraceMs != nil {
		return s.def.GetMisfireGraceMs()
	}
	return max(60_000, period)
}

func (s *naiveSchedule) deadline(at, period int64) int64 {
	if grace := s.grace(period); grace >= 0 {
		return at + s.offset + grace
	}
	return 0
}

func missed(first, last, count int64, why logv1.TickReason) *logv1.TickRecord {
	return &logv1.TickRecord{Result: logv1.TickResult_TICK_RESULT_MISSED, Reason: why, FirstMs: first, LastMs: last, Count: count}
}

func skipped(first, last, count int64, why logv1.TickReason) *logv1.TickRecord {
	return &logv1.TickRecord{Result: logv1.TickResult_TICK_RESULT_SKIPPED, Reason: why, FirstMs: first, LastMs: last, Count: count}
}

// single is one tick that is due by itself, or the newest of several.
func (n *naive) single(s *naiveSchedule, at, period int64) {
	if n.tooLate(s, at, period) {
		n.outcomes(s, missed(at, at, 1, logv1.TickReason_TICK_REASON_GRACE), byTick)
		return
	}
	queues := s.def.GetOverlap() == logv1.Overlap_OVERLAP_QUEUE
	if n.rules >= 5 && queues && len(s.queue) >= 100 {
		for len(s.queue) > 0 && s.queue[0].deadline != 0 && s.queue[0].deadline < n.wall {
			n.outcomes(s, missed(s.queue[0].fire, s.queue[0].fire, 1, logv1.TickReason_TICK_REASON_GRACE), byTick)
			s.queue = s.queue[1:]
		}
	}
	full := n.instances(s) >= int(s.def.GetMaxInstances())
	switch {
	case queues && (len(s.queue) > 0 || full) && len(s.queue) >= 100:
		n.outcomes(s, skipped(at, at, 1, logv1.TickReason_TICK_REASON_LINE_FULL), byTick)
	case queues && (len(s.queue) > 0 || full):
		n.tell(s)
		n.lastTick++
		s.queue = append(s.queue, &naiveTick{number: n.lastTick, fire: at, cause: byTick, deadline: s.deadline(at, period)})
	case full:
		n.outcomes(s, skipped(at, at, 1, logv1.TickReason_TICK_REASON_MAX_INSTANCES), byTick)
	case n.tooSoon(s):
		n.outcomes(s, skipped(at, at, 1, logv1.TickReason_TICK_REASON_MIN_INTERVAL), byTick)
	default:
		n.startOrRefuse(s, at, byTick)
	}
}

func (n *naive) tooSoon(s *naiveSchedule) bool {
	ago := n.wall - s.lastStart
	return s.def.GetMinIntervalMs() > 0 && s.lastStart > 0 && ago >= 0 && ago < s.def.GetMinIntervalMs()
}

// several ticks are due at once.
func (n *naive) several(s *naiveSchedule, d *logv1.Due) {
	times, count := d.GetTimesMs(), d.GetCount()
	switch s.def.GetCatchUp() {
	case logv1.CatchUp_CATCH_UP_SKIP:
		r := skipped(d.GetFirstMs(), d.GetLastMs(), count, logv1.TickReason_TICK_REASON_CATCH_UP_SKIP)
		r.More = d.GetMore()
		n.outcomes(s, r, byTick)
	case logv1.CatchUp_CATCH_UP_UNSPECIFIED, logv1.CatchUp_CATCH_UP_LATEST:
		n.outcomes(s, &logv1.TickRecord{Result: logv1.TickResult_TICK_RESULT_COALESCED, Reason: logv1.TickReason_TICK_REASON_NEWER,
			FirstMs: d.GetFirstMs(), LastMs: times[0], Count: count - 1, More: d.GetMore()}, byTick)
		n.single(s, d.GetLastMs(), d.GetPeriodMs())
	case logv1.CatchUp_CATCH_UP_ALL:
		if dropped := count - int64(len(times)-1); int64(len(times)) < count {
			why := logv1.TickReason_TICK_REASON_GRACE
			if len(times)-1 == 1000 {
				why = logv1.TickReason_TICK_REASON_BACKLOG_FULL
			}
			r := missed(d.GetFirstMs(), times[0], dropped, why)
			r.More = d.GetMore()
			n.outcomes(s, r, byTick)
			times = times[1:]
		}
		n.catchUp(s, times, d.GetPeriodMs())
	}
}

// catchUp takes the candidates of catch_up all.
func (n *naive) catchUp(s *naiveSchedule, times []int64, lastPeriod int64) {
	var run []*naiveTick
	for i, at := range times {
		period := lastPeriod
		if i+1 < len(times) {
			period = times[i+1] - at
		}
		if n.tooLate(s, at, period) {
			n.outcomes(s, missed(at, at, 1, logv1.TickReason_TICK_REASON_GRACE), byCatchUp)
			continue
		}
		n.tell(s)
		run = append(run, &naiveTick{fire: at, cause: byCatchUp, deadline: s.deadline(at, period)})
	}
	if len(run) == 0 {
		return
	}
	behind := n.backlogIsActive(s) || len(s.backlog) > 0
	if !behind && n.instances(s) >= int(s.def.GetMaxInstances()) && s.def.GetOverlap() != logv1.Overlap_OVERLAP_QUEUE {
		n.outcomes(s, skipped(run[0].fire, run[len(run)-1].fire, int64(len(run)), logv1.TickReason_TICK_REASON_MAX_INSTANCES), byCatchUp)
		return
	}
	for _, t := range run {
		n.lastTick++
		t.number = n.lastTick
	}
	s.backlog = append(s.backlog, run...)
	for len(s.backlog) > 1000 {
		t := s.backlog[0]
		s.backlog = s.backlog[1:]
		n.outcomes(s, missed(t.fire, t.fire, 1, logv1.TickReason_TICK_REASON_BACKLOG_FULL), t.cause)
	}
	n.mark(s)
}

// pumpMarked starts what waits for the schedules that have room since the last time.
func (n *naive) pumpMarked() {
	for _, id := range n.marked {
		if s := n.scheduleByID(id); s != nil {
			n.pump(s)
			s.handed = false
		}
	}
	n.marked = nil
}

func (n *naive) pump(s *naiveSchedule) {
	for {
		room := int(s.def.GetMaxInstances()) - n.instances(s)
		backlog := len(s.backlog) > 0 && room > 0 && !n.backlogIsActive(s)
		queue := len(s.queue) > 0 && room > 0
		if backlog && queue && room == 1 && !s.handed && s.queue[0].number < s.backlog[0].number {
			backlog = false
		}
		switch {
		case backlog:
			t := s.backlog[0]
			s.backlog = s.backlog[1:]
			n.goOn(s, t)
		case queue:
			t := s.queue[0]
			s.queue = s.queue[1:]
			n.goOn(s, t)
		default:
			n.tell(s)
			return
		}
	}
}

// goOn is the turn of a tick that waited.
func (n *naive) goOn(s *naiveSchedule, t *naiveTick) {
	switch {
	case t.deadline != 0 && n.wall > t.deadline:
		n.outcomes(s, missed(t.fire, t.fire, 1, logv1.TickReason_TICK_REASON_GRACE), t.cause)
	case t.cause != byBackfill && n.tooSoon(s):
		n.outcomes(s, skipped(t.fire, t.fire, 1, logv1.TickReason_TICK_REASON_MIN_INTERVAL), t.cause)
	default:
		n.startOrRefuse(s, t.fire, t.cause)
	}
}

func (n *naive) startOrRefuse(s *naiveSchedule, at int64, cause logv1.FireCause) {
	reason := map[logv1.FireCause]logv1.TickReason{byTick: logv1.TickReason_TICK_REASON_ON_TIME, byCatchUp: logv1.TickReason_TICK_REASON_CAUGHT_UP,
		byBackfill: logv1.TickReason_TICK_REASON_BACKFILL}[cause]
	if refusal := n.start(s, at, cause, reason); refusal != "" {
		r := skipped(at, at, 1, logv1.TickReason_TICK_REASON_REFUSED)
		r.Refusal = &logv1.Refusal{Reason: logv1.Reason(logv1.Reason_value["REASON_"+strings.ToUpper(refusal)])}
		n.outcomes(s, r, cause)
	}
}

// start makes a job from the template, and its record before it.
func (n *naive) start(s *naiveSchedule, at int64, cause logv1.FireCause, reason logv1.TickReason) (refusal string) {
	spec := proto.Clone(s.def.GetTemplate()).(*logv1.NewJob)
	if spec.GetQueue() == "" {
		spec.Queue = "default"
	}
	if n.queues[spec.GetQueue()] == nil {
		if !n.settings.GetCreateQueues() {
			return "unknown_queue"
		}
		n.queues[spec.GetQueue()] = &naiveQueue{name: spec.GetQueue(), settings: &logv1.QueueSettings{}}
	}
	if n.instances(s) >= int(s.def.GetMaxInstances()) {
		n.broken = fmt.Sprintf("schedule %d starts one more than %d instances", s.id, s.def.GetMaxInstances())
	}
	if cause == byTick || cause == byCatchUp {
		if s.fired[at] {
			n.broken = fmt.Sprintf("schedule %d fired %d twice", s.id, at)
		}
		s.fired[at] = true
	}
	n.outcomes(s, &logv1.TickRecord{Result: logv1.TickResult_TICK_RESULT_FIRED, Reason: reason, FirstMs: at, LastMs: at, Count: 1,
		Job: n.nextJob + 1}, cause)
	n.tell(s)
	j := n.newJob(spec, 0)
	j.schedule, j.scheduleID, j.fire, j.cause, j.coordinator, j.firstDue = s.def.GetName(), s.id, at, cause, spec.GetCoordinator(), at+s.offset
	if cause == byTrigger {
		j.firstDue = n.wall
	}
	n.step(j, nil, "fired", at)
	return ""
}
