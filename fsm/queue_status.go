package fsm

import (
	"fmt"
	"maps"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// QueueStatus is a queue with what waits and runs in it. All of it is kept, so the cost does not grow with the jobs.
type QueueStatus struct {
	Queue *logv1.Queue
	// Users have waiting or running jobs.
	Users int64
	// LiveClaims are the running jobs, and cancelled ones whose worker has not let go.
	LiveClaims int64
	// OldestWaitMs is how long the job has waited that is in the lines for longest, held back or not; -1: none waits.
	OldestWaitMs int64
	// HasWork: a lane that takes this queue alone, without limits of its own, would find a job now.
	HasWork bool
}

// QueueStatus returns the status of a queue.
func (m *Machine) QueueStatus(name string) (QueueStatus, bool) {
	rec, ok := m.queues.Get(name)
	if !ok {
		return QueueStatus{}, false
	}
	return m.statusOf(rec), true
}

// QueueStatuses lists all queues by name.
func (m *Machine) QueueStatuses() []QueueStatus {
	out := make([]QueueStatus, 0, m.queues.Len())
	m.queues.Scan(func(_ string, rec *logv1.QueueRecord) bool {
		out = append(out, m.statusOf(rec))
		return true
	})
	return out
}

func (m *Machine) statusOf(rec *logv1.QueueRecord) QueueStatus {
	name := rec.GetName()
	q := m.queueLive[name]
	s := QueueStatus{Queue: m.queueView(rec), Users: int64(len(q.users)), LiveClaims: q.running, OldestWaitMs: -1}
	if id, waits := m.board.Oldest(name); waits {
		oldest, _ := m.jobs.Get(uint64(id))
		s.OldestWaitMs = m.waited(oldest.job)
	}
	_, s.HasWork = m.board.Next(scheduler.Offer{Chain: []string{name}})
	return s
}

// waited is for how many milliseconds a job has had its place in the lines. Jobs from before places had a time count from their enqueue.
func (f *facts) waited(j *logv1.Job) int64 {
	since := j.GetPlacedMs()
	if since == 0 {
		since = j.GetEnqueuedMs()
	}
	return max(f.wall-since, 0)
}

// countWaiting counts a pending job that came or went.
func (m *Machine) countWaiting(j *logv1.Job, by int64) {
	q := m.queueLive[j.Queue]
	in := q.user(j.User)
	if in.waits += by; by < 0 {
		q.forget(j.User, in)
	}
}

// user is a user of the queue, made if it is new. The caller counts something of it, and calls forget after it counted down.
func (q *queueLive) user(name string) *queueUser {
	in := q.users[name]
	if in == nil {
		in = &queueUser{}
		q.users[name] = in
	}
	return in
}

func (q *queueLive) forget(name string, in *queueUser) {
	if in.waits == 0 && in.running == 0 {
		delete(q.users, name)
	}
}

// sameUsers compares counts that were made anew with those that are kept.
func (q *queueLive) sameUsers(kept *queueLive) error {
	same := func(a, b *queueUser) bool { return a.running == b.running && a.waits == b.waits }
	if !maps.EqualFunc(q.users, kept.users, same) {
		return fmt.Errorf("%d users wait or run, or not as many times as counted; counted %d", len(q.users), len(kept.users))
	}
	return nil
}
