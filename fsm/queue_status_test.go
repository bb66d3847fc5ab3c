package fsm_test

import (
	"fmt"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestQueueStatus compares the counts of queues and of their users with counts made from the jobs.
func TestQueueStatus(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		h, m := newHistory(seed), fsm.New()
		for i := range *batches {
			b := h.batch()
			h.observe(b, m.Apply(h.index, b))
			if i%10 != 9 {
				continue
			}
			for _, s := range m.QueueStatuses() {
				if err := statusIsRight(h, m, s); err != nil {
					return fmt.Errorf("index %d queue %s: %w", h.index, s.Queue.GetName(), err)
				}
			}
		}
		return nil
	})
}

func statusIsRight(h *history, m *fsm.Machine, s fsm.QueueStatus) error {
	name := s.Queue.GetName()
	wall, _ := m.Clocks()
	live := map[uint64]bool{}
	for _, w := range m.Workers(0, 1000) {
		for _, fence := range w.Fences {
			live[fence] = true
		}
	}
	users, oldest, claims := map[string]*fsm.QueueUser{}, map[string]uint64{}, int64(0)
	list, _ := m.Insight().Jobs(fsm.JobFilter{Queue: name, Limit: 1 << 20})
	user := func(j *logv1.Job) *fsm.QueueUser {
		if users[j.GetUser()] == nil {
			users[j.GetUser()] = &fsm.QueueUser{User: j.GetUser(), OldestWaitMs: -1}
		}
		return users[j.GetUser()]
	}
	longest, lowest := int64(-1), uint64(0)
	for _, j := range list {
		since := j.GetPlacedMs()
		if since == 0 {
			since = j.GetEnqueuedMs()
		}
		switch {
		case j.GetState() == logv1.State_STATE_PENDING:
			u := user(j)
			if u.Pending++; u.Pending == 1 || j.GetPlace() < oldest[u.User] {
				oldest[u.User], u.OldestWaitMs = j.GetPlace(), max(wall-since, 0)
			}
			if longest < 0 || j.GetPlace() < lowest {
				longest, lowest = max(wall-since, 0), j.GetPlace()
			}
		case j.GetState() == logv1.State_STATE_RUNNING || live[j.GetFence()]:
			user(j).Running++
			claims++
		}
	}
	if s.Users < int64(len(users)) || s.OldestWaitMs != longest || s.LiveClaims < claims {
		return fmt.Errorf("%+v, want %d users, %d claims, oldest %d", s, len(users), claims, longest)
	}
	if order, _ := m.OrderOfQueue(name, 1); s.HasWork != (len(order) > 0) {
		return fmt.Errorf("has work %v, but next is %v", s.HasWork, order)
	}
	if s.LiveClaims > claims {
		return nil // cancelled jobs whose worker's session ended are counted, and cannot be seen from outside
	}
	return usersAreRight(m, name, users, 2+h.below(4))
}

func usersAreRight(m *fsm.Machine, queue string, want map[string]*fsm.QueueUser, limit int) error {
	seen, last := 0, ""
	for after := ""; ; {
		page, next, ok := m.Insight().QueueUsers(queue, after, limit)
		if !ok || len(page) > limit || next != "" && len(page) < limit {
			return fmt.Errorf("a page of %d users of %d, next %q, %v", len(page), limit, next, ok)
		}
		for _, u := range page {
			w := want[u.User]
			if w == nil || seen > 0 && u.User <= last || u.Pending != w.Pending || u.Running != w.Running || u.OldestWaitMs != w.OldestWaitMs {
				return fmt.Errorf("user %+v after %q, want %+v", u, last, w)
			}
			seen, last = seen+1, u.User
		}
		if next == "" {
			break
		}
		after = next
	}
	if seen != len(want) {
		return fmt.Errorf("%d users, want %d", seen, len(want))
	}
	return nil
}
