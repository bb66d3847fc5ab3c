package fsm_test

import (
	"fmt"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func fenceText(f uint64) string { return fmt.Sprintf("%d.%d", f>>40, f&(1<<40-1)) }

func fenceList(list []uint64) string {
	var out []string
	for _, f := range list {
		out = append(out, fenceText(f))
	}
	return strings.Join(out, " ")
}

func stateText(s logv1.State) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "STATE_"))
}

func refusalText(r *logv1.Refusal) string {
	out := "refused " + strings.ToLower(strings.TrimPrefix(r.GetReason().String(), "REASON_"))
	for _, p := range r.GetParams() {
		out += fmt.Sprintf(" %s=%s", p.GetKey(), p.GetValue())
	}
	return out
}

// describe prints one answer. An answer that was decided at another index than now says so: it is a repeated one.
func describe(res *logv1.Result, now uint64) string {
	out := describeValue(res)
	if res.GetIndex() != now {
		out += fmt.Sprintf(" (answer of index %d)", res.GetIndex())
	}
	return out
}

func describeValue(res *logv1.Result) string {
	if res.GetRefusal() != nil {
		return refusalText(res.GetRefusal())
	}
	switch v := res.GetValue().(type) {
	case *logv1.Result_Session:
		return describeSession(v.Session)
	case *logv1.Result_Enqueue:
		return describeEnqueue(v.Enqueue)
	case *logv1.Result_Claim:
		return describeClaim(v.Claim)
	case *logv1.Result_Heartbeat:
		out := "beat" + statusText(v.Heartbeat.GetStatuses())
		if len(v.Heartbeat.GetUnlisted()) > 0 {
			out += " unlisted " + fenceList(v.Heartbeat.GetUnlisted())
		}
		if v.Heartbeat.GetDraining() {
			out += " draining"
		}
		return out
	case *logv1.Result_Finish:
		return describeFinish(v.Finish)
	case *logv1.Result_Release:
		if len(v.Release.GetStatuses()) == 0 {
			return "done"
		}
		return "release" + statusText(v.Release.GetStatuses())
	case *logv1.Result_Cancel:
		return fmt.Sprintf("cancel did=%v state=%s", v.Cancel.GetCancelled(), stateText(v.Cancel.GetState()))
	case *logv1.Result_Retry:
		return fmt.Sprintf("retried as job %d", v.Retry.GetJob())
	case *logv1.Result_Queue:
		return "queue " + queueText(v.Queue.GetQueue())
	case *logv1.Result_Settings:
		return "settings"
	case *logv1.Result_Output:
		return describeOutput(v.Output)
	case *logv1.Result_Many:
		return describeMany(v.Many)
	case *logv1.Result_Schedule:
		return describeSchedule(v.Schedule)
	case *logv1.Result_Fire:
		return describeFire(v.Fire)
	case *logv1.Result_Drain:
		return fmt.Sprintf("drain running=%d", v.Drain.GetRunning())
	}
	return "done"
}

func describeSession(s *logv1.SessionResult) string {
	out := fmt.Sprintf("session %d", s.GetSession())
	if s.GetExisting() {
		out += " existing"
	}
	if len(s.GetFences()) > 0 {
		out += " claims " + fenceList(s.GetFences())
	}
	for i, l := range s.GetLanes() {
		if !s.GetExisting() {
			break
		}
		out += fmt.Sprintf(" lane%d=%s:%d", i, strings.Join(l.GetChain(), ">"), l.GetSlots())
		if l.GetMemoryBytes() > 0 {
			out += fmt.Sprintf("@%d", l.GetMemoryBytes())
		}
	}
	return out
}

func describeEnqueue(e *logv1.EnqueueResult) string {
	var out []string
	for _, o := range e.GetOutcomes() {
		switch {
		case o.GetRefusal() != nil:
			out = append(out, "("+refusalText(o.GetRefusal())+")")
		case o.GetDeduplicated():
			out = append(out, fmt.Sprintf("%d(deduplicated)", o.GetJob()))
		default:
			out = append(out, fmt.Sprint(o.GetJob()))
		}
	}
	return "jobs " + strings.Join(out, " ")
}

// describeClaim leaves out what has its default value: lease 60 s, heartbeat 20 s, no run limit, priority 0.
func describeClaim(c *logv1.ClaimResult) string {
	if c.GetRefusal() != nil {
		return refusalText(c.GetRefusal())
	}
	if c.GetFence() == 0 {
		return strings.ToLower(strings.TrimPrefix(c.GetEmpty().String(), "EMPTY_"))
	}
	j := c.GetJob()
	out := fmt.Sprintf("claim %s job %d %s queue=%s user=%s attempt=%d", fenceText(c.GetFence()), j.GetId(), j.GetKind(), j.GetQueue(), j.GetUser(), j.GetAttempt())
	if c.GetLane() != 0 {
		out += fmt.Sprintf(" lane=%d", c.GetLane())
	}
	if c.GetLeaseMs() != 60_000 || c.GetHeartbeatMs() != 20_000 {
		out += fmt.Sprintf(" lease=%d beat=%d", c.GetLeaseMs(), c.GetHeartbeatMs())
	}
	if c.GetMaxRunMs() != 0 {
		out += fmt.Sprintf(" max_run=%d", c.GetMaxRunMs())
	}
	return out
}

func describeFinish(f *logv1.FinishResult) string {
	var out string
	if f.GetRefusal() != nil {
		out = refusalText(f.GetRefusal())
	} else {
		out = "finish state=" + stateText(f.GetState())
		if f.GetCancelled() {
			out += " cancelled"
		}
	}
	if f.GetNext() != nil {
		out += ", next: " + describeClaim(f.GetNext())
	}
	return out
}

func statusText(list []logv1.ClaimStatus) (out string) {
	for _, s := range list {
		out += " " + strings.ToLower(strings.TrimPrefix(s.String(), "CLAIM_STATUS_"))
	}
	return out
}

// jobText prints the fields of a job that are set.
func jobText(j *logv1.Job) string {
	out := fmt.Sprintf("job %d %s %s queue=%s user=%s", j.GetId(), j.GetKind(), stateText(j.GetState()), j.GetQueue(), j.GetUser())
	number := func(name string, v int64) {
		if v != 0 {
			out += fmt.Sprintf(" %s=%d", name, v)
		}
	}
	number("prio", int64(j.GetPriority()))
	number("place", int64(j.GetPlace()))
	number("attempt", int64(j.GetAttempt()))
	number("due", j.GetDueMs())
	number("started", j.GetStartedMs())
	number("finished", j.GetFinishedMs())
	if j.GetFence() != 0 {
		out += fmt.Sprintf(" fence=%s worker=%s lane=%d", fenceText(j.GetFence()), j.GetWorker(), j.GetLane())
	}
	if len(j.GetResult()) > 0 {
		out += fmt.Sprintf(" result=%q", j.GetResult())
	}
	if j.GetError() != "" {
		out += fmt.Sprintf(" error=%q", j.GetError())
	}
	number("retry_of", int64(j.GetRetryOf()))
	number("retried_as", int64(j.GetRetriedAs()))
	if j.GetCoordinator() != "" {
		out += fmt.Sprintf(" coordinator=%s first_due=%d", j.GetCoordinator(), j.GetFirstDueMs())
	}
	return out
}

func queueText(q *logv1.Queue) string {
	out := q.GetName()
	if q.GetPaused() {
		out += " paused"
	}
	c := q.GetCounts()
	return out + fmt.Sprintf(" scheduled=%d pending=%d running=%d succeeded=%d failed=%d timed_out=%d cancelled=%d",
		c.GetScheduled(), c.GetPending(), c.GetRunning(), c.GetSucceeded(), c.GetFailed(), c.GetTimedOut(), c.GetCancelled())
}

func describeEvent(e fsm.Event) string {
	out := fmt.Sprint(e.Kind)
	if e.Job != 0 {
		out += fmt.Sprintf(" job=%d", e.Job)
	}
	if e.State != 0 {
		out += " state=" + stateText(e.State)
	}
	if e.Fence != 0 {
		out += " fence=" + fenceText(uint64(e.Fence))
	}
	if e.Schedule != "" {
		out += " schedule=" + e.Schedule
	}
	if e.Tick != nil {
		out += " " + tickText(e.Tick)
	}
	if e.Job == 0 && e.Queue != "" {
		out += " queue=" + e.Queue
	}
	if e.Job == 0 && e.Session != 0 {
		out += fmt.Sprintf(" session=%d", e.Session)
	}
	if e.Job == 0 && e.Worker != "" {
		out += " worker=" + e.Worker
	}
	return out
}

func (r *scriptRun) printWakes(out fsm.Outcome) {
	for _, k := range out.Ready {
		r.printf("ready queue=%s user=%s size=%d count=%d", k.Queue, k.User, k.Size, k.Count)
	}
	for _, f := range out.Freed {
		r.printf("freed session=%d lane=%d", f.Session, f.Lane)
	}
	if out.Rescan {
		r.printf("rescan")
	}
}

func (r *scriptRun) query(verb string, w words) {
	switch verb {
	case "job":
		for _, s := range w.bare {
			if j, ok := r.m.Job(fsm.JobID(mustUint(s))); ok {
				r.printf("%s", jobText(j))
			} else {
				r.printf("no job %s", s)
			}
		}
	case "clocks":
		wall, lease := r.m.Clocks()
		r.printf("wall=%d lease=%d", wall, lease)
	case "timers":
		wall, lease, hasWall, hasLease := r.m.NextTimers()
		r.printf("wall=%d %v lease=%d %v", wall, hasWall, lease, hasLease)
	case "queue":
		if q, ok := r.m.Queue(w.bare[0]); ok {
			r.printf("queue %s", queueText(q))
		} else {
			r.printf("no queue %s", w.bare[0])
		}
	case "peek":
		r.printf("%v", r.m.Peek(fsm.SessionID(r.session(w.bare[0])), uint32(mustUint(w.bare[1]))))
	case "sessions":
		r.printf("has=%v", r.m.HasSessions())
	case "totals":
		r.printf("%+v", r.m.Totals())
	case "coordinator", "coordinators":
		r.queryCoordinator(w.bare)
	case "identity":
		r.identity()
	case "order":
		r.order(w.bare[0], uint32(mustUint(w.bare[1])))
	default:
		if !r.querySchedule(verb, w) {
			r.queryOutput(verb, w)
		}
	}
}
