package fsm_test

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// naiveSchedule is a schedule of the naive machine. Its instances are counted by looking at all jobs.
type naiveSchedule struct {
	id, revision         uint64
	def                  *logv1.Schedule
	paused               bool
	offset, anchor, next int64
	created, changed     int64
	totals               *logv1.ScheduleTotals
	lastStart, lastEnd   int64
	lastJob              uint64
	lastState            logv1.State
	queue, backlog       []*naiveTick        // lines of waiting ticks: by overlap, and to be caught up or backfilled
	records              []*logv1.TickRecord // all of them
	run                  []*logv1.TickRecord // outcomes that follow each other, not told yet
	over, taken          int64               // grid times that are over: how many, and the newest
	fired                map[int64]bool      // grid times of which a job was made, backfills aside
	handed               bool                // in this batch a job of the backlog ended: its slot goes to the next of the backlog
}

// naiveTick waits for an instance to end. deadline 0: none.
type naiveTick struct {
	number         uint64
	fire, deadline int64
	cause          logv1.FireCause
}

const (
	byTick     = logv1.FireCause_FIRE_CAUSE_TICK
	byCatchUp  = logv1.FireCause_FIRE_CAUSE_CATCH_UP
	byBackfill = logv1.FireCause_FIRE_CAUSE_BACKFILL
	byTrigger  = logv1.FireCause_FIRE_CAUSE_TRIGGER
)

// scheduleResultText prints of an answer what the command is asked for.
func scheduleResultText(c *logv1.Command, r *logv1.ScheduleResult) string {
	state := fmt.Sprintf("schedule %d revision=%d next=%d offset=%d", r.GetSchedule(), r.GetRevision(), r.GetNextMs(), r.GetOffsetMs())
	switch c.GetOp().(type) {
	case *logv1.Command_PutSchedule:
		return state + " " + strings.ToLower(strings.TrimPrefix(r.GetChange().String(), "SCHEDULE_CHANGE_"))
	case *logv1.Command_PauseSchedule, *logv1.Command_ResumeSchedule:
		return state
	case *logv1.Command_TriggerSchedule:
		return fmt.Sprintf("triggered job %d", r.GetJob())
	case *logv1.Command_BackfillSchedule:
		return fmt.Sprintf("backfill ticks=%d", r.GetTicks())
	}
	return "done"
}

// answerText prints an answer of the machine as the naive one gives it.
func answerText(c *logv1.Command, res *logv1.Result) string {
	if res.GetRefusal() != nil {
		return refusalText(&logv1.Refusal{Reason: res.GetRefusal().GetReason()})
	}
	switch v := res.GetValue().(type) {
	case *logv1.Result_Schedule:
		return scheduleResultText(c, v.Schedule)
	case *logv1.Result_Fire:
		out := "fire"
		for _, s := range v.Fire.GetStatuses() {
			out += " " + strings.ToLower(strings.TrimPrefix(s.String(), "FIRE_STATUS_"))
		}
		return out
	case *logv1.Result_Enqueue: // parameters may hold blanks
		bare := proto.Clone(v.Enqueue).(*logv1.EnqueueResult)
		for _, o := range bare.GetOutcomes() {
			if o.Refusal != nil {
				o.Refusal.Params = nil
			}
		}
		return describeEnqueue(bare)
	}
	return withoutParams(describeValue(res))
}

// scheduleCommand answers what is about schedules; ok is false for other commands.
func (n *naive) scheduleCommand(c *logv1.Command) (text string, ok bool) {
	var r *logv1.ScheduleResult
	var refusal string
	switch op := c.GetOp().(type) {
	case *logv1.Command_PutSchedule:
		r, refusal = n.putSchedule(op.PutSchedule)
	case *logv1.Command_DeleteSchedule:
		refusal = n.deleteSchedule(op.DeleteSchedule)
	case *logv1.Command_PauseSchedule:
		r, refusal = n.pauseSchedule(op.PauseSchedule.GetName())
	case *logv1.Command_ResumeSchedule:
		r, refusal = n.resumeSchedule(op.ResumeSchedule)
	case *logv1.Command_TriggerSchedule:
		r, refusal = n.triggerSchedule(op.TriggerSchedule.GetName())
	case *logv1.Command_BackfillSchedule:
		r, refusal = n.backfillSchedule(op.BackfillSchedule)
	case *logv1.Command_Fire:
		return n.fire(op.Fire), true
	default:
		return "", false
	}
	if refusal != "" {
		return "refused " + refusal, true
	}
	return scheduleResultText(c, r), true
}

func (n *naive) resultOf(s *naiveSchedule) *logv1.ScheduleResult {
	return &logv1.ScheduleResult{Schedule: s.id, Revision: s.revision, NextMs: s.next, OffsetMs: s.offset}
}

func (n *naive) putSchedule(p *logv1.PutSchedule) (*logv1.ScheduleResult, string) {
	if !validPut(p) {
		return nil, "invalid"
	}
	def := p.GetSchedule()
	s := n.schedules[def.GetName()]
	switch {
	case p.GetExpectedRevision() != 0 && s == nil:
		return nil, "unknown_schedule"
	case p.GetExpectedRevision() != 0 && s.revision != p.GetExpectedRevision():
		return nil, "stale_revision"
	case s != nil && proto.Equal(s.def, def):
		r := n.resultOf(s)
		r.Change = logv1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED
		return r, ""
	case s == nil && p.GetComputedFrom() == 0:
		return n.createSchedule(p)
	case s == nil || p.GetComputedFrom() != s.revision || s.isStale(p.GetComputedNextMs(), p.GetNextMs(), p.GetPassed()):
		n.unstored = true
		return nil, "stale_revision"
	}
	before := s.def
	n.passed(s, p.GetPassed(), logv1.TickReason_TICK_REASON_EDITED)
	s.def, s.next, s.anchor, s.changed = proto.Clone(def).(*logv1.Schedule), p.GetNextMs(), p.GetAnchorMs(), n.wall
	if before.GetSpec() != def.GetSpec() || before.GetZone() != def.GetZone() || before.GetJitterMs() != def.GetJitterMs() ||
		before.GetSpread() != def.GetSpread() {
		s.offset = p.GetOffsetMs()
	}
	s.revision++
	n.mark(s)
	n.scheduleChanged(s)
	r := n.resultOf(s)
	r.Change = logv1.ScheduleChange_SCHEDULE_CHANGE_UPDATED
	return r, ""
}

func (n *naive) createSchedule(p *logv1.PutSchedule) (*logv1.ScheduleResult, string) {
	if most := n.settings.MaxSchedules; most != nil && int64(len(n.schedules)) >= *most {
		return nil, "state_full"
	}
	n.nextSchedule++
	revision := uint64(1)
	if n.rules >= 5 {
		revision += n.deletedRev
	}
	s := &naiveSchedule{id: n.nextSchedule, revision: revision, def: proto.Clone(p.GetSchedule()).(*logv1.Schedule),
		offset: p.GetOffsetMs(), anchor: p.GetAnchorMs(),
		next: p.GetNextMs(), created: n.wall, changed: n.wall, totals: &logv1.ScheduleTotals{}, fired: map[int64]bool{}}
	n.schedules[s.def.GetName()] = s
	n.scheduleChanged(s)
	r := n.resultOf(s)
	r.Change = logv1.ScheduleChange_SCHEDULE_CHANGE_CREATED
	return r, ""
}

func (n *naive) deleteSchedule(d *logv1.DeleteSchedule) string {
	s := n.schedules[d.GetName()]
	switch {
	case s == nil:
		return "unknown_schedule"
	case d.GetExpectedRevision() != 0 && d.GetExpectedRevision() != s.revision:
		return "stale_revision"
	}
	n.scheduleChanged(s)
	delete(n.schedules, d.GetName())
	if n.rules >= 5 {
		n.deletedRev = max(n.deletedRev, s.revision)
	}
	return ""
}

func (n *naive) pauseSchedule(name string) (*logv1.ScheduleResult, string) {
	s := n.schedules[name]
	if s == nil {
		return nil, "unknown_schedule"
	}
	if !s.paused {
		s.paused, s.changed = true, n.wall
		s.revision++
		n.scheduleChanged(s)
	}
	return n.resultOf(s), ""
}

func (n *naive) resumeSchedule(c *logv1.ResumeSchedule) (*logv1.ScheduleResult, string) {
	s := n.schedules[c.GetName()]
	switch {
	case s == nil:
		return nil, "unknown_schedule"
	case !s.paused:
		return n.resultOf(s), ""
	case c.GetComputedFrom() != s.revision || s.isStale(c.GetComputedNextMs(), c.GetNextMs(), c.GetPassed()):
		n.unstored = true
		return nil, "stale_revision"
	}
	n.passed(s, c.GetPassed(), logv1.TickReason_TICK_REASON_PAUSED)
	s.paused, s.next, s.changed = false, c.GetNextMs(), n.wall
	s.revision++
	n.scheduleChanged(s)
	return n.resultOf(s), ""
}

// isStale: the leader computed next and passed from another state than this one, so a time would fire twice or be forgotten.
func (s *naiveSchedule) isStale(before, next int64, p *logv1.Passed) bool {
	taken := s.taken
	if p.GetCount() != 0 {
		taken = max(taken, p.GetLastMs())
	}
	return before != s.next || next != 0 && next <= taken ||
		p.GetCount() != 0 && (p.GetFirstMs() != s.next || p.GetCount() < 0 || p.GetLastMs() < p.GetFirstMs() || p.GetCount() > p.GetLastMs()-p.GetFirstMs()+1)
}

// passed records grid times that went by without a fire.
func (n *naive) passed(s *naiveSchedule, p *logv1.Passed, why logv1.TickReason) {
	if p.GetCount() == 0 {
		return
	}
	s.over += p.GetCount()
	s.taken = p.GetLastMs()
	n.outcomes(s, &logv1.TickRecord{Result: logv1.TickResult_TICK_RESULT_SKIPPED, Reason: why, FirstMs: p.GetFirstMs(), LastMs: p.GetLastMs(),
		Count: p.GetCount(), More: p.GetMore()}, byTick)
	n.tell(s)
}

func (n *naive) triggerSchedule(name string) (*logv1.ScheduleResult, string) {
	s := n.schedules[name]
	switch {
	case s == nil:
		return nil, "unknown_schedule"
	case n.instances(s) >= int(s.def.GetMaxInstances()):
		return nil, "max_instances"
	}
	if refusal := n.start(s, n.wall, byTrigger, logv1.TickReason_TICK_REASON_TRIGGER); refusal != "" {
		return nil, refusal
	}
	r := n.resultOf(s)
	r.Job = n.nextJob
	return r, ""
}

func (n *naive) backfillSchedule(b *logv1.BackfillSchedule) (*logv1.ScheduleResult, string) {
	times := b.GetTimesMs()
	if len(times) < 1 || len(times) > 1000 || !rising(times) {
		return nil, "invalid"
	}
	s := n.schedules[b.GetName()]
	switch {
	case s == nil:
		return nil, "unknown_schedule"
	case b.GetComputedFrom() != s.revision:
		n.unstored = true
		return nil, "stale_revision"
	case len(s.backlog)+len(times) > 1000:
		return nil, "state_full"
	}
	for _, at := range times {
		n.lastTick++
		s.backlog = append(s.backlog, &naiveTick{number: n.lastTick, fire: at, cause: byBackfill})
	}
	n.mark(s)
	return &logv1.ScheduleResult{Ticks: int64(len(times))}, ""
}

func rising(times []int64) bool {
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			return false
		}
	}
	return true
}

// instances are the jobs of the schedule that are not final, or have a claim that lives.
func (n *naive) instances(s *naiveSchedule) (count int) {
	for _, j := range n.jobs {
		if j.scheduleID == s.id && (!isFinal(j.state) || n.claimOf(j) != nil) {
			count++
		}
	}
	return count
}

func (n *naive) backlogIsActive(s *naiveSchedule) bool {
	for _, j := range n.jobs {
		if j.scheduleID == s.id && (j.cause == byCatchUp || j.cause == byBackfill) && (!isFinal(j.state) || n.claimOf(j) != nil) {
			return true
		}
	}
	return false
}

func (n *naive) scheduleByID(id uint64) *naiveSchedule {
	for _, s := range n.schedules {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (n *naive) mark(s *naiveSchedule) {
	if !slices.Contains(n.marked, s.id) {
		n.marked = append(n.marked, s.id)
	}
}

func (n *naive) scheduleChanged(s *naiveSchedule) {
	n.events = append(n.events, "ScheduleChanged "+s.def.GetName())
}
