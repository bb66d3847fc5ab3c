package fsm_test

import (
	"fmt"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// limits of the job: its own, else its queue's, else the cluster's.
func (n *naive) limits(j *naiveJob) *logv1.Limits {
	l := proto.Clone(n.settings.GetLimits()).(*logv1.Limits)
	if q := n.queues[j.spec.GetQueue()]; q != nil && q.settings.GetLimits() != nil {
		proto.Merge(l, q.settings.GetLimits())
	}
	if j.spec.GetLimits() != nil {
		proto.Merge(l, j.spec.GetLimits())
	}
	return l
}

func (n *naive) enqueue(e *logv1.Enqueue) string {
	var out []string
	refused := false
	before := n.fork(e.GetAllOrNothing())
	for _, spec := range e.GetJobs() {
		text := n.enqueueOne(proto.Clone(spec).(*logv1.NewJob))
		refused = refused || strings.HasPrefix(text, "(")
		out = append(out, text)
	}
	if refused && e.GetAllOrNothing() {
		before()
		for i, text := range out {
			if !strings.HasPrefix(text, "(") {
				out[i] = "(refused not_all)"
			}
		}
	}
	return "jobs " + strings.Join(out, " ")
}

// fork returns a function that undoes what enqueues do after it.
func (n *naive) fork(wanted bool) func() {
	if !wanted {
		return func() {}
	}
	place, next := n.place, n.nextJob
	queues, keys := map[string]bool{}, map[string]bool{}
	for name := range n.queues {
		queues[name] = true
	}
	for key := range n.keys {
		keys[key] = true
	}
	return func() {
		for id := next + 1; id <= n.nextJob; id++ {
			delete(n.jobs, id)
		}
		n.place, n.nextJob = place, next
		for name := range n.queues {
			if !queues[name] {
				delete(n.queues, name)
			}
		}
		for key := range n.keys {
			if !keys[key] {
				delete(n.keys, key)
			}
		}
	}
}

func (n *naive) enqueueOne(spec *logv1.NewJob) string {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec)
	if err != nil {
		panic(err)
	}
	if n.rules >= 3 && spec.GetCoordinator() != "" && !validName(spec.GetCoordinator()) {
		return "(refused invalid)"
	}
	if spec.GetQueue() == "" {
		spec.Queue = "default"
	}
	key := spec.GetUser() + "\x00" + spec.GetIdempotencyKey()
	if spec.GetIdempotencyKey() != "" {
		if k, ok := n.keys[key]; ok {
			if k.body != string(body) {
				return "(refused key_reused)"
			}
			return fmt.Sprintf("%d(deduplicated)", k.job)
		}
	}
	if n.queues[spec.GetQueue()] == nil {
		if !n.settings.GetCreateQueues() {
			return "(refused unknown_queue)"
		}
		n.queues[spec.GetQueue()] = &naiveQueue{name: spec.GetQueue(), settings: &logv1.QueueSettings{}}
	}
	j := n.newJob(spec, 0)
	n.join(j, spec)
	due := spec.GetRunAtMs()
	if spec.GetDelayMs() > 0 {
		due = n.wall + spec.GetDelayMs()
	}
	if due > n.wall {
		j.state, j.due, j.placed = logv1.State_STATE_SCHEDULED, due, 0
		n.step(j, nil, "delayed", due)
	} else {
		n.step(j, nil, "enqueued", 0)
	}
	if spec.GetIdempotencyKey() != "" {
		n.keys[key] = &naiveKey{j.id, string(body), n.wall}
	}
	return fmt.Sprint(j.id)
}

func (n *naive) newJob(spec *logv1.NewJob, retryOf uint64) *naiveJob {
	prio := spec.GetPriority()
	if spec.GetInsertFront() && retryOf == 0 {
		top, found := n.frontPriority(spec.GetQueue(), spec.GetUser())
		if !found {
			top = 0
		}
		prio = int32(min(int64(top)+1, 1<<31-1))
	}
	n.nextJob++
	n.place++
	j := &naiveJob{id: n.nextJob, spec: spec, prio: prio, place: n.place, state: logv1.State_STATE_PENDING, excl: map[string]*naiveExclusion{}, retryOf: retryOf,
		made: n.wall, placed: n.placedNow(), streams: map[int][]byte{}}
	n.jobs[j.id] = j
	return j
}

func (n *naive) frontPriority(queue, user string) (top int32, found bool) {
	fifo := n.mode(queue) == logv1.Mode_MODE_FIFO
	for _, j := range n.jobs {
		if j.state == logv1.State_STATE_PENDING && j.spec.GetQueue() == queue && (fifo || j.spec.GetUser() == user) && (!found || j.prio > top) &&
			n.coordinatorLets(j) {
			top, found = j.prio, true
		}
	}
	return top, found
}

// pend puts the job into its line again; every exclusion of it counts anew.
func (n *naive) pend(j *naiveJob, newPlace bool) {
	if newPlace {
		n.place++
		j.place, j.placed = n.place, n.placedNow()
	}
	j.state, j.due = logv1.State_STATE_PENDING, 0
	for _, x := range j.excl {
		x.until = n.wall + n.limits(j).GetExclusionWindowMs()
	}
}

// final ends the job for good.
func (n *naive) final(j *naiveJob, s logv1.State) {
	j.state, j.finished = s, n.wall
	n.jobEnded(j)
}

func isFinal(s logv1.State) bool { return s >= logv1.State_STATE_SUCCEEDED }

// exclude notes that the worker failed or lost the job; beyond 100 its oldest is lifted.
func (n *naive) exclude(j *naiveJob, worker string) {
	n.excluded++
	j.excl[worker] = &naiveExclusion{until: 1 << 62, age: n.excluded}
	var held []*naiveJob
	for _, other := range n.jobs {
		if other.excl[worker] != nil && !isFinal(other.state) {
			held = append(held, other)
		}
	}
	sort.Slice(held, func(a, b int) bool { return held[a].excl[worker].age < held[b].excl[worker].age })
	for ; len(held) > 100; held = held[1:] {
		delete(held[0].excl, worker)
	}
}

// again is what follows a failed or lost run: another attempt after delay, or the state last.
func (n *naive) again(c *naiveClaim, delay func() int64, last logv1.State, never bool, retry, end string) {
	j := c.job
	j.charged++
	if never || j.charged >= int(n.limits(j).GetMaxAttempts()) {
		n.step(j, c, end, 0)
		n.final(j, last)
		return
	}
	n.exclude(j, c.session.name)
	d := delay()
	if d > 0 {
		n.step(j, c, retry, n.wall+d)
		j.state, j.due = logv1.State_STATE_SCHEDULED, n.wall+d
		return
	}
	n.step(j, c, retry, 0)
	n.pend(j, true)
}

func (n *naive) backoff(j *naiveJob) int64 {
	l := n.limits(j)
	d := l.GetBackoffFirstMs()
	for range j.charged - 1 {
		d = min(d*int64(l.GetBackoffFactorPercent())/100, l.GetBackoffMostMs())
	}
	return min(d, l.GetBackoffMostMs())
}

func (n *naive) cancel(id uint64) string {
	j, ok := n.jobs[id]
	if !ok {
		return "refused unknown_job"
	}
	did := !isFinal(j.state)
	if did {
		n.step(j, n.claimOf(j), "cancelled", 0)
		n.final(j, logv1.State_STATE_CANCELLED)
	}
	return fmt.Sprintf("cancel did=%v state=%s", did, stateText(j.state))
}

func (n *naive) retry(id uint64) string {
	j, ok := n.jobs[id]
	if !ok {
		return "refused unknown_job"
	}
	switch j.state {
	case logv1.State_STATE_FAILED, logv1.State_STATE_TIMED_OUT, logv1.State_STATE_CANCELLED:
	default:
		return "refused wrong_state"
	}
	spec := proto.Clone(j.spec).(*logv1.NewJob)
	spec.Priority = j.prio
	if n.queues[spec.GetQueue()] == nil {
		n.queues[spec.GetQueue()] = &naiveQueue{name: spec.GetQueue(), settings: &logv1.QueueSettings{}}
	}
	made := n.newJob(spec, j.id)
	made.coordinator, made.firstDue = j.coordinator, n.wall
	n.step(made, nil, "enqueued", 0)
	n.step(j, nil, "retried_by_hand", 0)
	j.retried = true
	return fmt.Sprintf("retried as job %d", made.id)
}

func (n *naive) setQueue(c *logv1.SetQueue) string {
	q := n.queues[c.GetName()]
	if q == nil {
		if c.Paused != nil {
			return "refused unknown_queue"
		}
		q = &naiveQueue{name: c.GetName(), settings: &logv1.QueueSettings{}}
		n.queues[c.GetName()] = q
	}
	if c.GetSettings() != nil {
		proto.Merge(q.settings, c.GetSettings())
	}
	if c.Paused != nil {
		q.paused = c.GetPaused()
	}
	counts := map[logv1.State]int64{}
	for _, j := range n.jobs {
		if j.spec.GetQueue() == q.name {
			counts[j.state]++
		}
	}
	return "queue " + queueText(&logv1.Queue{Name: q.name, Paused: q.paused, Counts: &logv1.Counts{
		Scheduled: counts[1], Pending: counts[2], Running: counts[3], Succeeded: counts[4], Failed: counts[5], TimedOut: counts[6], Cancelled: counts[7]}})
}

func (n *naive) deleteQueue(name string) string {
	if n.queues[name] == nil {
		return "refused unknown_queue"
	}
	for _, j := range n.jobs {
		if j.spec.GetQueue() == name {
			return "refused queue_not_empty"
		}
	}
	for _, s := range n.schedules {
		if t := s.def.GetTemplate().GetQueue(); t == name || t == "" && name == "default" {
			return "refused queue_not_empty"
		}
	}
	delete(n.queues, name)
	return "done"
}
