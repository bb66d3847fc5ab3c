package fsm

import (
	"sort"

	"github.com/tidwall/btree"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// queueLive is derived from the jobs and claims of a queue.
type queueLive struct {
	counts  [cancelled + 1]int64 // jobs by state
	running int64                // live claims, whatever the job's state
	users   map[string]*queueUser
	closed  bool               // paused, or running is at the limit
	rec     *logv1.QueueRecord // as in queues

	history  *btree.BTreeG[stamp] // (finished, job) of final jobs without a live claim
	retain   int64                // its entry in retainEnds
	retained bool                 // it has one
}

// queueUser is derived from the jobs and claims of a user in a queue. It is kept while one of the counts is not 0.
type queueUser struct {
	running int64 // live claims
	waits   int64 // pending jobs
	shut    bool  // running is at the limit in this queue
}

// userLive is derived from the jobs and claims of a user.
type userLive struct {
	busy    int64 // jobs that are not final, or whose claim lives; 0: no entry
	running int64 // live claims
	closed  bool  // running is at the limit
}

// idleLife is how long an idle user is remembered, in milliseconds: 30 days.
const idleLife = 30 * 24 * 60 * 60 * 1000

// userWorks counts one more job that is not history.
func (m *Machine) userWorks(name string) {
	u := m.userLive[name]
	if u == nil {
		u = &userLive{}
		m.userLive[name] = u
		if since, known := m.users.Get(name); known && since != 0 {
			m.idleEnds.Delete(nameStamp{later(since, idleLife), name})
		}
		m.users.Set(name, 0)
	}
	u.busy++
}

func (m *Machine) userRests(name string) {
	u := m.userLive[name]
	if u.busy--; u.busy > 0 {
		return
	}
	delete(m.userLive, name)
	since := max(m.wall, 1)
	m.users.Set(name, since)
	m.idleEnds.Set(nameStamp{later(since, idleLife), name})
}

// forgetUser drops the turns of a user who was idle for long.
func (m *Machine) forgetUser(end nameStamp) {
	m.idleEnds.Delete(end)
	m.users.Delete(end.name)
	var gone []turn
	m.turns.Ascend(turn{user: end.name}, func(t turn) bool {
		if t.user == end.name {
			gone = append(gone, t)
		}
		return t.user == end.name
	})
	for _, t := range gone {
		m.turns.Delete(t)
	}
}

// countRunning counts a live claim that came or went.
func (m *Machine) countRunning(queue, user string, by int64) {
	q, u := m.queueLive[queue], m.userLive[user]
	in := q.user(user)
	q.running += by
	in.running += by
	u.running += by
	m.gateQueue(queue, q)
	m.gateUserIn(queue, q, user, in)
	opened := m.gateUser(user, u) // of any queue, so no queue can be named
	if by < 0 {
		q.forget(user, in)
		m.noteRoom(queue, q, opened)
	}
}

func reached(limit, n int64) bool { return limit > 0 && n >= limit }

// The gates close what reached its limit, or open it, and report whether they opened it.

func (m *Machine) gateQueue(name string, q *queueLive) (opened bool) {
	closed := q.rec.GetPaused() || reached(q.rec.GetSettings().GetMaxRunning(), q.running)
	if closed == q.closed {
		return false
	}
	if q.closed = closed; closed {
		m.board.CloseQueue(name)
		return false
	}
	m.board.OpenQueue(name)
	return true
}

func (m *Machine) gateUserIn(queue string, q *queueLive, user string, in *queueUser) (opened bool) {
	closed := reached(q.rec.GetSettings().GetMaxRunningPerUser(), in.running)
	if closed == in.shut {
		return false
	}
	if in.shut = closed; closed {
		m.board.CloseUserIn(queue, user)
		return false
	}
	m.board.OpenUserIn(queue, user)
	return true
}

func (m *Machine) gateUser(name string, u *userLive) (opened bool) {
	closed := reached(m.settings.GetMaxRunningPerUser(), u.running)
	if closed == u.closed {
		return false
	}
	if u.closed = closed; closed {
		m.board.CloseUser(name)
		return false
	}
	m.board.OpenUser(name)
	return true
}

// noteRoom: a claim ended, so where limits count one more job may go: whichever is next in the line of the queue.
func (m *Machine) noteRoom(queue string, q *queueLive, opened bool) {
	if q.rec.GetSettings().GetMaxRunning() > 0 || q.rec.GetSettings().GetMaxRunningPerUser() > 0 {
		m.batch.room = append(m.batch.room, queue)
	}
	if opened && m.board.Waiting() > 0 {
		m.batch.out.Rescan = true
	}
}

// gated: jobs of this queue and user do not stand in the lines now.
func (m *Machine) gated(queue, user string) bool {
	q, u := m.queueLive[queue], m.userLive[user]
	if q.closed || u != nil && u.closed {
		return true
	}
	in := q.users[user]
	return in != nil && in.shut
}

func (m *Machine) countsOf(name string) *logv1.Counts {
	c := &m.queueLive[name].counts
	return &logv1.Counts{Scheduled: c[scheduled], Pending: c[pending], Running: c[running], Succeeded: c[succeeded], Failed: c[failed],
		TimedOut: c[timedOut], Cancelled: c[cancelled]}
}

func sortedKeys[V any](set map[string]V) []string {
	out := make([]string, 0, len(set))
	for name := range set {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}
