package fsm

import (
	"fmt"

	"github.com/tidwall/btree"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// CheckInvariants counts everything anew from the records and compares it with what is kept: I2, I4, I10, counts, board, indexes, bytes. It is
// slow: its cost grows with the whole state.
func (m *Machine) CheckInvariants() error {
	c := &check{m: m, claims: map[uint64]uint64{}, queues: map[string]*queueLive{}, users: make(map[string]*userLive, len(m.userLive)), oldest: map[string]*logv1.Job{},
		numbers: map[uint64]bool{}, coordinators: map[string]*coordinatorCheck{}}
	for _, step := range []func() error{c.checkClaims, c.checkJobs, c.checkQueues, c.checkUsers, c.checkSessions, c.checkCoordinators,
		c.checkDecisions, c.checkOutput, c.checkSchedules, c.checkBytes, c.checkIdentity} {
		if err := step(); err != nil {
			return fmt.Errorf("broken invariant: %w", err)
		}
	}
	return nil
}

type check struct {
	m      *Machine
	claims map[uint64]uint64 // job -> fence
	queues map[string]*queueLive
	users  map[string]*userLive
	bytes  int64
	dues   int
	past   int
	ended  int // finishes
	wait   int
	lapses int
	oldest map[string]*logv1.Job // pending, by queue

	lastName string     // of the queue that was asked for last
	last     *queueLive // that queue: neighbours are often of one

	schedules    map[uint64]*scheduleCount
	numbers      map[uint64]bool // of waiting ticks and tick records
	coordinators map[string]*coordinatorCheck
}

func (c *check) queue(name string) *queueLive {
	if c.last != nil && c.lastName == name {
		return c.last
	}
	q := c.queues[name]
	if q == nil {
		q = &queueLive{users: map[string]*queueUser{}, history: new(btree.BTreeG[stamp])}
		c.queues[name] = q
	}
	c.lastName, c.last = name, q
	return q
}

func (c *check) user(name string) *userLive {
	u := c.users[name]
	if u == nil {
		u = &userLive{}
		c.users[name] = u
	}
	return u
}

func (c *check) checkClaims() (err error) {
	m := c.m
	m.claims.Scan(func(fence uint64, cl claim) bool {
		rec, ok := m.find(cl.job)
		switch {
		case !ok:
			err = fmt.Errorf("claim %d without its job", fence)
		case c.claims[cl.job] != 0:
			err = fmt.Errorf("job %d has two live claims", cl.job)
		case rec.job.Fence != fence || rec.job.State != running && rec.job.State != cancelled:
			err = fmt.Errorf("claim %d of job %d, which is %v with fence %d", fence, cl.job, rec.job.State, rec.job.Fence)
		default:
			if _, ok := m.leaseEnds.Get(stamp{cl.end(), fence}); !ok {
				err = fmt.Errorf("claim %d has no timer", fence)
			}
			c.claims[cl.job] = fence
			c.queue(rec.job.Queue).running++
			c.queue(rec.job.Queue).user(rec.job.User).running++
			c.user(rec.job.User).running++
			err = c.coordinatedClaim(fence, rec.job)
		}
		return err == nil
	})
	if err == nil && m.leaseEnds.Len() != m.claims.Len() {
		err = fmt.Errorf("%d lease timers for %d claims", m.leaseEnds.Len(), m.claims.Len())
	}
	return err
}

func (c *check) checkJobs() (err error) {
	m := c.m
	look := func(final bool) func(uint64, *jobRec) bool {
		return func(id uint64, r *jobRec) bool {
			err = c.checkJob(id, r, final)
			return err == nil
		}
	}
	m.jobs.Scan(look(false))
	if err == nil {
		m.final.Scan(look(true))
	}
	switch {
	case err != nil:
	case m.dues.Len() != c.dues:
		err = fmt.Errorf("%d due times for %d scheduled jobs", m.dues.Len(), c.dues)
	case m.history.Len() != c.past:
		err = fmt.Errorf("%d jobs in the history, %d indexed", c.past, m.history.Len())
	case m.finishes.n != c.ended:
		err = fmt.Errorf("%d finishes, %d indexed", c.ended, m.finishes.n)
	case m.excluded.Len() != c.lapses:
		err = fmt.Errorf("%d exclusions, %d indexed", c.lapses, m.excluded.Len())
	case m.board.Waiting() != c.wait:
		err = fmt.Errorf("%d pending jobs, %d on the board", c.wait, m.board.Waiting())
	}
	return err
}

func (c *check) checkJob(id uint64, r *jobRec, final bool) error {
	m, j := c.m, r.job
	_, claimed := c.claims[id]
	onBoard := m.board.Has(JobID(id))
	q := c.queue(j.Queue)
	q.counts[j.State]++
	c.bytes += r.size()
	if r.finish != nil {
		c.ended++
		if job, _ := m.finishes.get(r.finish.GetFence()); job != id {
			return fmt.Errorf("the finish of job %d is not indexed", id)
		}
	}
	if j.Id != id || isFinal(j.State) != final || j.Id > m.lastJob || j.Place > m.lastPlace {
		return fmt.Errorf("job %d is stored as %d, %v, place %d", j.Id, id, j.State, j.Place)
	}
	if onBoard != (j.State == pending) || (j.State == running) != (claimed && !final) {
		return fmt.Errorf("job %d is %v, claimed %v, on the board %v", id, j.State, claimed, onBoard)
	}
	if _, due := m.dues.Get(stamp{j.DueMs, id}); due != (j.State == scheduled) {
		return fmt.Errorf("job %d is %v, with a due time %v", id, j.State, due)
	}
	if j.State == scheduled {
		c.dues++
	}
	if j.State == pending {
		c.wait++
		q.user(j.User).waits++
		if first := c.oldest[j.Queue]; first == nil || j.Place < first.Place || j.Place == first.Place && j.Id < first.Id {
			c.oldest[j.Queue] = j
		}
	}
	for _, x := range r.exclusions {
		c.lapses++
		if _, ok := m.excluded.Get(lapse{x.GetWorker(), x.GetAge(), id}); final || !ok {
			return fmt.Errorf("an exclusion of job %d is not indexed", id)
		}
	}
	if err := checkSteps(r); err != nil {
		return err
	}
	if final && !claimed {
		c.past++
		if _, ok := c.m.history.Get(stamp{j.FinishedMs, id}); !ok {
			return fmt.Errorf("final job %d is not in the history", id)
		}
		return nil
	}
	c.user(j.User).busy++
	c.coordinatedJob(j)
	return nil
}

func (c *check) checkQueues() error {
	m := c.m
	past := 0
	for _, name := range sortedKeys(m.queueLive) {
		want, have := c.queue(name), m.queueLive[name]
		rec, ok := m.queues.Get(name)
		if !ok || want.counts != have.counts || want.running != have.running || have.rec != rec {
			return fmt.Errorf("queue %s counts %v, %d claims; it has %v, %d", name, have.counts, have.running, want.counts, want.running)
		}
		if id, ok := m.board.Oldest(name); ok != (c.oldest[name] != nil) || uint64(id) != c.oldest[name].GetId() {
			return fmt.Errorf("queue %s: the oldest job is %d, should be %d", name, id, c.oldest[name].GetId())
		}
		if err := want.sameUsers(have); err != nil {
			return fmt.Errorf("queue %s: %w", name, err)
		}
		for _, user := range sortedKeys(have.users) {
			if in := have.users[user]; reached(rec.GetSettings().GetMaxRunningPerUser(), in.running) != in.shut {
				return fmt.Errorf("queue %s, user %s: %d claims, shut %v", name, user, in.running, in.shut)
			}
		}
		if have.closed != (rec.GetPaused() || reached(rec.GetSettings().GetMaxRunning(), have.running)) {
			return fmt.Errorf("queue %s is closed: %v", name, have.closed)
		}
		if have.retained != (have.history.Len() > 0) {
			return fmt.Errorf("queue %s has history without a timer", name)
		}
		past += have.history.Len()
	}
	if len(m.queueLive) != m.queues.Len() || len(c.queues) != m.queues.Len() || past != c.past {
		return fmt.Errorf("%d queues, %d derived, %d named; history %d of %d", m.queues.Len(), len(m.queueLive), len(c.queues), past, c.past)
	}
	return nil
}

func (c *check) checkUsers() error {
	m := c.m
	for _, name := range sortedKeys(c.users) {
		want, have := c.users[name], m.userLive[name]
		since, known := m.users.Get(name)
		if have == nil || have.busy != want.busy || have.running != want.running || !known || since != 0 {
			return fmt.Errorf("user %s: %+v, should be %+v, idle since %d", name, have, want, since)
		}
		if have.closed != reached(m.settings.GetMaxRunningPerUser(), have.running) {
			return fmt.Errorf("user %s is closed: %v", name, have.closed)
		}
	}
	if len(c.users) != len(m.userLive) || m.idleEnds.Len()+len(c.users) != m.users.Len() {
		return fmt.Errorf("%d busy users, %d derived, %d idle, %d in all", len(c.users), len(m.userLive), m.idleEnds.Len(), m.users.Len())
	}
	return nil
}

func (c *check) checkSessions() (err error) {
	m := c.m
	if m.sessions.Len() != m.pulses.Len() || m.sessions.Len() != len(m.live) || m.sessions.Len() != m.sessionEnds.Len() ||
		m.sessions.Len() != len(m.byName)+len(m.byClient) {
		return fmt.Errorf("%d sessions, %d pulses, %d derived, %d timers", m.sessions.Len(), m.pulses.Len(), len(m.live), m.sessionEnds.Len())
	}
	cover := map[coverKey]int{}
	m.sessions.Scan(func(id uint64, s *session) bool {
		use := make([]laneUse, len(s.lanes))
		live := m.live[id]
		for _, fence := range live.fences {
			cl, ok := m.claims.Get(fence)
			if !ok || cl.session != id {
				err = fmt.Errorf("session %d lists claim %d", id, fence)
				return false
			}
			rec, _ := m.find(cl.job)
			use[cl.lane].slots++
			use[cl.lane].memory += scheduler.SizeOf(rec.job.MemoryBytes).Bytes()
		}
		for i, l := range s.lanes {
			if use[i] != live.lanes[i] || use[i].slots > l.GetSlots() || l.GetMemoryBytes() > 0 && use[i].memory > l.GetMemoryBytes() {
				err = fmt.Errorf("session %d lane %d: %+v, counted %+v, has %v", id, i, use[i], live.lanes[i], l)
				return false
			}
		}
		for _, queue := range served(s) {
			if !s.draining {
				cover[coverKey{queue, s.user}]++
			}
		}
		return true
	})
	for key, n := range cover {
		if m.cover[key] != n && err == nil {
			err = fmt.Errorf("%d workers serve a queue, %d counted", n, m.cover[key])
		}
	}
	if err == nil && len(cover) != len(m.cover) {
		err = fmt.Errorf("%d kinds of workers, %d counted", len(cover), len(m.cover))
	}
	return err
}

func (c *check) checkBytes() error {
	m := c.m
	m.answers.Scan(func(a answer) bool { c.bytes += answerBytes(a.result); return true })
	m.keys.Scan(func(id string, _ *logv1.KeyRecord) bool { c.bytes += keyBytes(id); return true })
	if c.bytes != m.bytes || m.keyEnds.Len() != m.keys.Len() {
		return fmt.Errorf("%d bytes, counted %d; %d keys, %d timers", c.bytes, m.bytes, m.keys.Len(), m.keyEnds.Len())
	}
	return nil
}
