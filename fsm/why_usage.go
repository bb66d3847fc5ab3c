package fsm

import (
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

type laneKey struct {
	session uint64
	lane    uint32
}

type userIn struct{ queue, user string }

// usage is what the live claims take, counted from them: of lanes, and of limits if there are any.
type usage struct {
	lanes  map[laneKey]laneUse
	queues map[string]int64
	users  map[string]int64
	in     map[userIn]int64
}

// usage counts all live claims but one (0: all) once. The jobs behind them are looked up only where a lane has a memory budget, or limits
// count them.
func (i *Insight) usage(without uint64) *usage {
	u := &usage{lanes: map[laneKey]laneUse{}, queues: map[string]int64{}, users: map[string]int64{}, in: map[userIn]int64{}}
	m, limited := i.reader(), i.limited()
	i.claims.Scan(func(fence uint64, c claim) bool {
		if fence == without {
			return true
		}
		key := laneKey{c.session, c.lane}
		use := u.lanes[key]
		use.slots++
		s, live := i.sessions.Get(c.session)
		if limited || live && s.lanes[c.lane].GetMemoryBytes() > 0 {
			j := m.claimed(c).job
			use.memory += scheduler.SizeOf(j.MemoryBytes).Bytes()
			u.queues[j.Queue]++
			u.users[j.User]++
			u.in[userIn{j.Queue, j.User}]++
		}
		u.lanes[key] = use
		return true
	})
	return u
}

// limited: some limit counts live claims.
func (f *facts) limited() bool {
	limited := f.settings.GetMaxRunningPerUser() > 0
	f.queues.Scan(func(_ string, q *logv1.QueueRecord) bool {
		limited = limited || q.GetSettings().GetMaxRunning() > 0 || q.GetSettings().GetMaxRunningPerUser() > 0
		return !limited
	})
	return limited
}

// gates are the limits and pauses as they are, or as they would be after changes for one job.
type gates struct {
	facts *facts
	use   *usage
	ended []*logv1.Job // their claims have ended
	// The lifted queue is not paused. Its limits, and that of every user, if they are above 0, replace those that are set.
	lifted                     string
	queueLimit, userQueueLimit int64
	userLimit                  int64
}

// The counts of live claims, without those that have ended.

func (g *gates) inQueue(queue string) int64 {
	return g.use.queues[queue] - g.endedOf(func(j *logv1.Job) bool { return j.Queue == queue })
}

func (g *gates) ofUserIn(queue, user string) int64 {
	return g.use.in[userIn{queue, user}] - g.endedOf(func(j *logv1.Job) bool { return j.Queue == queue && j.User == user })
}

func (g *gates) ofUser(user string) int64 {
	return g.use.users[user] - g.endedOf(func(j *logv1.Job) bool { return j.User == user })
}

func (g *gates) endedOf(matches func(*logv1.Job) bool) (n int64) {
	for _, j := range g.ended {
		if matches(j) {
			n++
		}
	}
	return n
}

// assumption is what the roll has to take for open.
func (g *gates) assumption(turns scheduler.Turns) scheduler.Assumption {
	settings := func(queue string) (*logv1.QueueSettings, bool) {
		rec, _ := g.facts.queues.Get(queue)
		return rec.GetSettings(), rec.GetPaused()
	}
	raised := func(queue string, limit, to int64) int64 {
		if to > 0 && (queue == g.lifted || queue == "") {
			return to
		}
		return limit
	}
	return scheduler.Assumption{
		OpenQueue: func(queue string) bool {
			s, paused := settings(queue)
			return (!paused || queue == g.lifted) && !reached(raised(queue, s.GetMaxRunning(), g.queueLimit), g.inQueue(queue))
		},
		OpenUserIn: func(queue, user string) bool {
			s, _ := settings(queue)
			return !reached(raised(queue, s.GetMaxRunningPerUser(), g.userQueueLimit), g.ofUserIn(queue, user))
		},
		OpenUser: func(user string) bool {
			return !reached(raised("", g.facts.settings.GetMaxRunningPerUser(), g.userLimit), g.ofUser(user))
		},
		Turns: turns,
	}
}
