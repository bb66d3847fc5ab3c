package fsm_test

import (
	"fmt"
	"sort"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// open registers a worker or opens a client's session; fresh holds what the caller said.
func (n *naive) open(fresh *naiveSession, gone bool) string {
	for _, id := range sortedKeys(n.sessions) {
		s := n.sessions[id]
		if s.worker != fresh.worker || s.name != fresh.name || s.ended && !s.replaced && s.nonce == fresh.nonce {
			continue
		}
		if s.nonce == fresh.nonce {
			if s.replaced {
				return "refused session_replaced"
			}
			s.heard = n.lease
			return describeValue(&logv1.Result{Value: &logv1.Result_Session{Session: &logv1.SessionResult{
				Session: s.id, Existing: true, Fences: n.fencesOf(s), Lanes: s.lanes}}})
		}
	}
	for _, id := range sortedKeys(n.sessions) {
		s := n.sessions[id]
		if !fresh.worker || !s.worker || s.name != fresh.name {
			continue
		}
		if !s.ended && !s.replaced && gone {
			for _, fence := range n.fencesOf(s) {
				n.lose(n.claims[fence], "worker_gone")
			}
		}
		s.ended = true
		s.replaced = s.replaced || s.nonce != fresh.nonce
	}
	n.nextSession++
	fresh.id, fresh.heard, fresh.lowest, fresh.answers = n.nextSession, n.lease, 0, map[uint64]*naiveAnswer{}
	n.sessions[fresh.id] = fresh
	return fmt.Sprintf("session %d", fresh.id)
}

func (n *naive) fencesOf(s *naiveSession) (out []uint64) {
	for _, fence := range sortedKeys(n.claims) {
		if n.claims[fence].session == s {
			out = append(out, fence)
		}
	}
	return out
}

func (n *naive) drain(d *logv1.Drain) string {
	s, refusal := n.live(d.GetSession())
	if refusal != "" {
		return refusal
	}
	if !s.worker {
		return "refused not_a_worker"
	}
	s.draining = !d.GetUndo()
	return fmt.Sprintf("drain running=%d", len(n.fencesOf(s)))
}

func (n *naive) deregister(id uint64) string {
	s, refusal := n.live(id)
	if refusal != "" {
		return refusal
	}
	out := "release"
	for _, fence := range n.fencesOf(s) {
		out += n.releaseOne(s, fence)
	}
	s.ended = true
	if out == "release" {
		return "done"
	}
	return out
}

// lose ends a claim whose lease or run limit ended, or whose worker is gone.
func (n *naive) lose(c *naiveClaim, why string) {
	delete(n.claims, c.fence)
	if c.job.state != logv1.State_STATE_RUNNING {
		n.step(c.job, c, why, 0)
		n.jobSettled(c.job)
		return
	}
	fail := n.limits(c.job).GetOnTimeout() == logv1.OnTimeout_ON_TIMEOUT_FAIL
	n.again(c, func() int64 { return 0 }, logv1.State_STATE_TIMED_OUT, fail, why+"_retry", why)
}

// timers runs what is due: by (end, fence), (end, session), (end, job), then retention.
func (n *naive) timers() {
	type end struct {
		at int64
		id uint64
	}
	var claims, sessions, jobs []end
	for fence, c := range n.claims {
		at := c.ends
		if c.runEnd > 0 {
			at = min(at, c.runEnd)
		}
		claims = append(claims, end{at, fence})
	}
	for id, s := range n.sessions {
		longest := n.settings.GetLimits().GetLeaseMs()
		for _, fence := range n.fencesOf(s) {
			longest = max(longest, n.claims[fence].length)
		}
		if !s.ended {
			sessions = append(sessions, end{s.heard + 3*longest, id})
		}
	}
	for id, j := range n.jobs {
		if j.state == logv1.State_STATE_SCHEDULED {
			jobs = append(jobs, end{j.due, id})
		}
	}
	run := func(list []end, clock int64, do func(uint64)) {
		sort.Slice(list, func(i, k int) bool {
			return list[i].at < list[k].at || list[i].at == list[k].at && list[i].id < list[k].id
		})
		for _, e := range list {
			if e.at <= clock {
				do(e.id)
			}
		}
	}
	run(claims, n.lease, func(fence uint64) {
		why := "lease_ended"
		if c := n.claims[fence]; c.runEnd > 0 && c.runEnd <= c.ends {
			why = "run_limit"
		}
		n.lose(n.claims[fence], why)
	})
	run(sessions, n.lease, func(id uint64) { n.sessions[id].ended = true })
	run(jobs, n.wall, func(id uint64) {
		n.step(n.jobs[id], nil, "due", 0)
		n.pend(n.jobs[id], true)
	})
	for key, k := range n.keys {
		if k.made+86_400_000 <= n.wall {
			delete(n.keys, key)
		}
	}
	n.retain()
}

// retain deletes final jobs without a live claim by age, then the oldest beyond the number of their queue.
func (n *naive) retain() {
	live := map[uint64]bool{}
	for _, c := range n.claims {
		live[c.job.id] = true
	}
	for _, q := range n.queues {
		age, number := n.settings.GetRetentionMs(), n.settings.GetRetentionJobs()
		if q.settings.RetentionMs != nil {
			age = q.settings.GetRetentionMs()
		}
		if q.settings.RetentionJobs != nil {
			number = q.settings.GetRetentionJobs()
		}
		var final []*naiveJob
		for _, j := range n.jobs {
			if j.spec.GetQueue() == q.name && isFinal(j.state) && !live[j.id] {
				final = append(final, j)
			}
		}
		sort.Slice(final, func(i, k int) bool {
			return final[i].finished < final[k].finished || final[i].finished == final[k].finished && final[i].id < final[k].id
		})
		for i, j := range final {
			if j.finished+age <= n.wall || int64(len(final)-i) > number {
				delete(n.jobs, j.id)
			}
		}
	}
}
