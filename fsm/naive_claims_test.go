package fsm_test

import (
	"fmt"
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

func (n *naive) mode(queue string) logv1.Mode {
	if !n.settings.GetMultiUser() {
		return logv1.Mode_MODE_FIFO
	}
	if q := n.queues[queue]; q != nil && q.settings.GetMode() != logv1.Mode_MODE_UNSPECIFIED {
		return q.settings.GetMode()
	}
	return n.settings.GetDefaultMode()
}

func reserved(bytes uint64) uint64 { return scheduler.SizeOf(bytes).Bytes() }

func (n *naive) claim(session uint64, lane uint32) string {
	s, refusal := n.live(session)
	if refusal != "" {
		return refusal
	}
	empty, j, line := n.choose(s, lane)
	if j == nil {
		return empty
	}
	return n.take(j, s, lane, line)
}

// choose is the rule of a claim; it changes nothing.
func (n *naive) choose(s *naiveSession, lane uint32) (empty string, j *naiveJob, through string) {
	switch {
	case !s.worker:
		return "refused not_a_worker", nil, ""
	case int(lane) >= len(s.lanes):
		return "refused unknown_lane", nil, ""
	case s.draining:
		return "draining", nil, ""
	}
	l := s.lanes[lane]
	var used uint32
	var memory uint64
	for _, c := range n.claims {
		if c.session == s && c.lane == lane {
			used++
			memory += reserved(c.job.spec.GetMemoryBytes())
		}
	}
	if used >= l.GetSlots() {
		return "at_capacity", nil, ""
	}
	var may []*naiveJob
	for _, id := range sortedKeys(n.jobs) {
		if j := n.jobs[id]; n.mayTake(j, s) && (l.GetMemoryBytes() == 0 || memory+reserved(j.spec.GetMemoryBytes()) <= l.GetMemoryBytes()) {
			may = append(may, j)
		}
	}
	for _, line := range l.GetChain() {
		if j := n.first(line, may); j != nil {
			return "", j, line
		}
	}
	return "nothing", nil, ""
}

// mayTake says whether the job stands in a line for this worker now, memory aside.
func (n *naive) mayTake(j *naiveJob, s *naiveSession) bool {
	q := n.queues[j.spec.GetQueue()]
	if j.state != logv1.State_STATE_PENDING || q.paused || s.user != "" && s.user != j.spec.GetUser() || n.isExcluded(j, s) ||
		!n.coordinatorLets(j) {
		return false
	}
	var inQueue, ofUserInQueue, ofUser int64
	for _, c := range n.claims {
		sameQueue, sameUser := c.job.spec.GetQueue() == j.spec.GetQueue(), c.job.spec.GetUser() == j.spec.GetUser()
		inQueue += count(sameQueue)
		ofUser += count(sameUser)
		ofUserInQueue += count(sameQueue && sameUser)
	}
	room := func(limit *int64, used int64) bool { return limit == nil || *limit <= 0 || used < *limit }
	return room(q.settings.MaxRunning, inQueue) && room(q.settings.MaxRunningPerUser, ofUserInQueue) && room(n.settings.MaxRunningPerUser, ofUser)
}

func count(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// isExcluded: the worker failed or lost the job, the window is open, and another live worker could take it.
func (n *naive) isExcluded(j *naiveJob, s *naiveSession) bool {
	active := func(name string) bool { x := j.excl[name]; return x != nil && x.until > n.wall }
	if !active(s.name) {
		return false
	}
	for _, other := range n.sessions {
		if !other.worker || other.ended || other.replaced || other.draining || active(other.name) || other.user != "" && other.user != j.spec.GetUser() {
			continue
		}
		for _, l := range other.lanes {
			for _, name := range l.GetChain() {
				if name == "*" || name == j.spec.GetQueue() {
					return true
				}
			}
		}
	}
	return false
}

// first is the next job of the line among those that may be taken.
func (n *naive) first(line string, may []*naiveJob) *naiveJob {
	var best *naiveJob
	mode := n.mode(line)
	if line == "*" {
		mode = n.mode("")
	}
	better := func(a, b *naiveJob) bool { // priority, then place
		if a.prio != b.prio {
			return a.prio > b.prio
		}
		return a.place < b.place
	}
	users := map[string]*naiveJob{} // best job of each user
	parts := map[string]*naiveJob{} // best job of each user, queue and size
	for _, j := range may {
		if line != "*" && j.spec.GetQueue() != line {
			continue
		}
		if best == nil || better(j, best) {
			best = j
		}
		if u := j.spec.GetUser(); users[u] == nil || better(j, users[u]) {
			users[u] = j
		}
		part := fmt.Sprintf("%s\x00%s\x00%d", j.spec.GetUser(), j.spec.GetQueue(), scheduler.SizeOf(j.spec.GetMemoryBytes()))
		if parts[part] == nil || better(j, parts[part]) {
			parts[part] = j
		}
	}
	if mode == logv1.Mode_MODE_FIFO || best == nil {
		return best
	}
	next, nextTurn, nextPlace := "", uint64(0), uint64(0)
	for user := range users {
		turn, place := n.turns[line+"\x00"+user], ^uint64(0)
		for part, j := range parts {
			if strings.HasPrefix(part, user+"\x00") {
				place = min(place, j.place)
			}
		}
		if next == "" || turn < nextTurn || turn == nextTurn && place < nextPlace {
			next, nextTurn, nextPlace = user, turn, place
		}
	}
	return users[next]
}

func (n *naive) take(j *naiveJob, s *naiveSession, lane uint32, line string) string {
	n.counter++
	fence := 1<<40 | n.counter
	l := n.limits(j)
	c := &naiveClaim{fence: fence, job: j, session: s, lane: lane, length: l.GetLeaseMs(), ends: n.lease + l.GetLeaseMs()}
	if l.GetMaxRunMs() > 0 {
		c.runEnd = n.lease + l.GetMaxRunMs()
	}
	n.claims[fence] = c
	n.decide(j, s, lane, line, fence)
	j.state, j.last, j.outcome, j.progress = logv1.State_STATE_RUNNING, fence, "", ""
	j.attempt++
	c.attempt = j.attempt
	n.step(j, c, "claimed", 0)
	n.jobStarted(j)
	if s.user == "" {
		n.turns[line+"\x00"+j.spec.GetUser()] = fence
	}
	return describeClaim(&logv1.ClaimResult{Fence: fence, Lane: lane, LeaseMs: l.GetLeaseMs(), HeartbeatMs: min(l.GetHeartbeatMs(), l.GetLeaseMs()/3), MaxRunMs: l.GetMaxRunMs(),
		Job: &logv1.Job{Id: j.id, Kind: j.spec.GetKind(), Queue: j.spec.GetQueue(), User: j.spec.GetUser(), Attempt: int32(j.attempt)}})
}

// held returns the session's live claim with this number.
func (n *naive) held(s *naiveSession, fence uint64) *naiveClaim {
	if c := n.claims[fence]; c != nil && c.session == s {
		return c
	}
	return nil
}

func (n *naive) heartbeat(h *logv1.Heartbeat) string {
	s, refusal := n.live(h.GetSession())
	if refusal != "" {
		return refusal
	}
	res := &logv1.HeartbeatResult{Draining: s.draining}
	listed := map[uint64]bool{}
	for _, fence := range h.GetFences() {
		listed[fence] = true
		status := logv1.ClaimStatus_CLAIM_STATUS_LOST
		if c := n.held(s, fence); c != nil {
			status = logv1.ClaimStatus_CLAIM_STATUS_OK
			if c.job.state == logv1.State_STATE_CANCELLED {
				status = logv1.ClaimStatus_CLAIM_STATUS_CANCELLED
			}
			c.ends = n.lease + c.length
		}
		res.Statuses = append(res.Statuses, status)
	}
	for _, fence := range sortedKeys(n.claims) {
		if n.claims[fence].session == s && !listed[fence] {
			res.Unlisted = append(res.Unlisted, fence)
		}
	}
	return describeValue(&logv1.Result{Value: &logv1.Result_Heartbeat{Heartbeat: res}})
}

func (n *naive) release(r *logv1.Release) string {
	s, refusal := n.live(r.GetSession())
	if refusal != "" {
		return refusal
	}
	out := "release"
	for _, fence := range r.GetFences() {
		out += n.releaseOne(s, fence)
	}
	return out
}

func (n *naive) releaseOne(s *naiveSession, fence uint64) string {
	c := n.held(s, fence)
	if c == nil {
		return " lost"
	}
	delete(n.claims, fence)
	if c.job.state == logv1.State_STATE_CANCELLED {
		n.step(c.job, c, "let_go", 0)
		n.jobSettled(c.job)
		return " cancelled"
	}
	n.step(c.job, c, "released", 0)
	n.pend(c.job, false)
	return " ok"
}

func (n *naive) finish(f *logv1.Finish, part func(func() string)) string {
	s, refusal := n.live(f.GetSession())
	if refusal != "" {
		return refusal
	}
	if c := n.held(s, f.GetFence()); c != nil && !n.takeRest(c, f.GetRest()) {
		return "refused output_gap"
	}
	if f.GetNext() != nil {
		part(func() string { return ", next: " + n.claim(f.GetSession(), f.GetNext().GetLane()) })
	}
	outcome := bodyOf(&logv1.Command{Op: &logv1.Command_Finish{Finish: &logv1.Finish{Outcome: f.GetOutcome()}}})
	c := n.held(s, f.GetFence())
	if c == nil {
		for _, j := range n.jobs { // the same whole outcome again, of whichever session
			if f.GetFence() != 0 && j.last == f.GetFence() && j.outcome == outcome {
				return j.answer
			}
		}
		return "refused lost_claim"
	}
	j := c.job
	delete(n.claims, c.fence)
	cancelled := j.state == logv1.State_STATE_CANCELLED
	if cancelled {
		n.step(j, c, "let_go", 0)
		n.jobSettled(j)
	} else {
		n.outcome(f, c)
	}
	j.outcome = outcome
	j.answer = describeFinish(&logv1.FinishResult{State: j.state, Cancelled: cancelled})
	return j.answer
}

func (n *naive) outcome(f *logv1.Finish, c *naiveClaim) {
	switch o := f.GetOutcome().(type) {
	case *logv1.Finish_Failure:
		n.again(c, func() int64 {
			if o.Failure.RetryAfterMs != nil {
				return o.Failure.GetRetryAfterMs()
			}
			return n.backoff(c.job)
		}, logv1.State_STATE_FAILED, o.Failure.GetDiscard(), "failed_retry", map[bool]string{true: "discarded", false: "failed"}[o.Failure.GetDiscard()])
	case *logv1.Finish_Snooze:
		if o.Snooze.GetDelayMs() > 0 {
			n.step(c.job, c, "snoozed", n.wall+o.Snooze.GetDelayMs())
			c.job.state, c.job.due = logv1.State_STATE_SCHEDULED, n.wall+o.Snooze.GetDelayMs()
			return
		}
		n.step(c.job, c, "snoozed", 0)
		n.pend(c.job, true)
	default:
		n.step(c.job, c, "succeeded", 0)
		n.final(c.job, logv1.State_STATE_SUCCEEDED)
	}
}
