package fsm

import (
	"slices"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// setQueue changes the settings that are present, and pauses or resumes. It makes the queue unless it pauses or resumes.
func (m *Machine) setQueue(c *logv1.SetQueue, res *logv1.Result) {
	if c.GetName() == scheduler.Any || !scheduler.ValidName(c.GetName()) {
		res.Refusal = invalid("name", c.GetName(), "name")
		return
	}
	if res.Refusal = checkQueueSettings(c.GetSettings()); res.Refusal != nil {
		return
	}
	old, ok := m.queues.Get(c.GetName())
	if !ok {
		if c.Paused != nil {
			res.Refusal = refuse(logv1.Reason_REASON_UNKNOWN_QUEUE, "queue", c.GetName())
			return
		}
		if res.Refusal = full("max_queues", int64(m.queues.Len()), m.settings.GetMaxQueues()); res.Refusal != nil {
			return
		}
		old = &logv1.QueueRecord{Name: c.GetName(), Settings: &logv1.QueueSettings{}}
	}
	settings := proto.CloneOf(old.GetSettings())
	if c.GetSettings() != nil {
		proto.Merge(settings, c.GetSettings())
	}
	if lim := firstOf(checkLimits(settings.GetLimits())); lim != nil {
		res.Refusal = lim
		return
	}
	rec := &logv1.QueueRecord{Name: old.GetName(), Settings: settings, Paused: old.GetPaused()}
	if c.Paused != nil {
		rec.Paused = c.GetPaused()
	}
	if ok {
		m.queues.Set(rec.GetName(), rec)
		m.applyQueue(rec)
	} else {
		m.makeQueue(rec)
	}
	m.event(Event{Kind: QueueChanged, Queue: rec.GetName()})
	res.Value = &logv1.Result_Queue{Queue: &logv1.QueueResult{Queue: m.queueView(rec)}}
}

func (m *Machine) makeQueue(rec *logv1.QueueRecord) {
	m.queues.Set(rec.GetName(), rec)
	m.enlistQueue(rec)
}

// enlistQueue builds the derived parts of a queue.
func (m *Machine) enlistQueue(rec *logv1.QueueRecord) {
	m.queueLive[rec.GetName()] = &queueLive{users: map[string]*queueUser{}, history: newTree(stampLess)}
	m.applyQueue(rec)
}

// applyQueue brings board, gates and retention in line with the queue's settings and the cluster's.
func (m *Machine) applyQueue(rec *logv1.QueueRecord) {
	name := rec.GetName()
	q := m.queueLive[name]
	before := q.rec.GetSettings().GetMaxRunningPerUser()
	q.rec = rec
	switch mode := rec.GetSettings().GetMode(); {
	case mode == logv1.Mode_MODE_UNSPECIFIED || !m.settings.GetMultiUser():
		m.board.ClearMode(name)
	default:
		m.board.SetMode(name, boardMode(mode))
	}
	opened := m.gateQueue(name, q)
	if most := rec.GetSettings().GetMaxRunningPerUser(); most != before { // else the gates of the users stay, however many wait
		for _, user := range q.usersToGate(most) {
			opened = m.gateUserIn(name, q, user, q.users[user]) || opened
		}
	}
	if opened && m.board.WaitingIn(name) > 0 {
		m.batch.out.Rescan = true
	}
	m.indexRetention(name, q)
}

// usersToGate are those whose gate is not as a limit on the claims of each wants it, sorted.
func (q *queueLive) usersToGate(most int64) (names []string) {
	for user, in := range q.users {
		if in.shut != reached(most, in.running) {
			names = append(names, user)
		}
	}
	slices.Sort(names)
	return names
}

func boardMode(mode logv1.Mode) scheduler.Mode {
	if mode == logv1.Mode_MODE_FIFO {
		return scheduler.FIFO
	}
	return scheduler.RoundRobin
}

// defaultMode is that of the line "*" and of queues without one of their own. With a single user every line is fifo.
func (m *Machine) defaultMode() scheduler.Mode {
	if !m.settings.GetMultiUser() {
		return scheduler.FIFO
	}
	return boardMode(m.settings.GetDefaultMode())
}

// deleteQueue deletes a queue without jobs and schedules; history counts.
func (m *Machine) deleteQueue(name string, res *logv1.Result) {
	if !has(m.queues, name) {
		res.Refusal = refuse(logv1.Reason_REASON_UNKNOWN_QUEUE, "queue", name)
		return
	}
	q := m.queueLive[name]
	var jobs int64
	for _, n := range q.counts {
		jobs += n
	}
	if jobs > 0 {
		res.Refusal = refuse(logv1.Reason_REASON_QUEUE_NOT_EMPTY, "queue", name, "jobs", decimal(jobs))
		return
	}
	if n := m.schedulesOf[name]; n > 0 {
		res.Refusal = refuse(logv1.Reason_REASON_QUEUE_NOT_EMPTY, "queue", name, "schedules", decimal(int64(n)))
		return
	}
	m.queues.Delete(name)
	delete(m.queueLive, name)
	m.board.DropQueue(name)
	m.event(Event{Kind: QueueChanged, Queue: name})
}

func (m *Machine) queueView(rec *logv1.QueueRecord) *logv1.Queue {
	return &logv1.Queue{Name: rec.GetName(), Settings: rec.GetSettings(), Paused: rec.GetPaused(), Counts: m.countsOf(rec.GetName())}
}
