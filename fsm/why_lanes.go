package fsm

import (
	"cmp"
	"slices"
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const (
	mostLanesNamed    = 20 // in the constraints of an answer
	mostLanesCompared = 8  // by their claims ahead
)

// candidate is a lane that could take the job after changes of its own.
type candidate struct {
	name    *LaneName
	session *session
	use     laneUse
	from    int64 // wall clock from which on the worker may have the job
	changes []Change
	// after the changes:
	offer  scheduler.Offer
	ended  []*logv1.Job // of the lane's oldest claims, as few as are enough
	raises []Change     // of limits that bind all the same
	ahead  uint64
}

// lookAtLanes walks the lanes of all live workers that serve the job, by session and lane, notes what binds each of the first, and keeps
// those that could take it.
func (q *inquiry) lookAtLanes() {
	q.byName, q.cover = map[string]*session{}, map[coverKey]int{}
	q.sessions.Scan(func(_ uint64, s *session) bool {
		if s.worker {
			q.workers = append(q.workers, s)
			q.byName[s.name] = s
			if !s.draining {
				for _, queue := range served(s) {
					q.cover[coverKey{queue, s.user}]++
				}
			}
		}
		return true
	})
	served, bound := false, 0
	for _, s := range q.workers {
		if s.user != "" && s.user != q.job.User {
			continue
		}
		until := q.excludedUntil(s)
		for at, l := range s.lanes {
			if !slices.Contains(l.GetChain(), q.job.Queue) && !slices.Contains(l.GetChain(), scheduler.Any) {
				continue
			}
			served = true
			name := &LaneName{Session: SessionID(s.id), Worker: s.name, Lane: uint32(at), Spec: l}
			if list := q.bindsLane(name, s, until); len(list) > 0 && bound < mostLanesNamed {
				bound++
				q.bind(list...)
			}
			q.consider(name, s, until)
		}
	}
	if !served {
		q.bind(Constraint{Kind: BoundNoLane, Queue: q.job.Queue, User: q.job.User})
	}
}

// excludedUntil says until when the worker does not get the job; 0: it may. A scheduled job's exclusions count from when it is pending.
func (q *inquiry) excludedUntil(s *session) int64 {
	for _, x := range q.rec.exclusions {
		if x.GetWorker() != s.name {
			continue
		}
		until := x.GetUntilMs()
		if q.job.State == scheduled {
			until = later(q.due, q.m.windowOf(q.job))
		}
		if until > q.due && q.othersServe(q.rec, q.due) {
			return until
		}
	}
	return 0
}

// othersServe is what Machine.othersServe says at a time.
func (q *inquiry) othersServe(rec *jobRec, wall int64) bool {
	queue, user := rec.job.Queue, rec.job.User
	n := q.cover[coverKey{scheduler.Any, ""}] + q.cover[coverKey{queue, ""}]
	if user != "" {
		n += q.cover[coverKey{scheduler.Any, user}] + q.cover[coverKey{queue, user}]
	}
	for _, x := range rec.exclusions {
		active := x.GetUntilMs() > wall
		if rec == q.rec && q.job.State == scheduled {
			active = later(q.due, q.m.windowOf(q.job)) > wall
		}
		if s := q.byName[x.GetWorker()]; active && s != nil && s.serves(queue, user) {
			n--
		}
	}
	return n > 0
}

// bindsLane lists what keeps a lane from taking the job.
func (q *inquiry) bindsLane(name *LaneName, s *session, until int64) (list []Constraint) {
	use, need := q.use.lanes[laneKey{s.id, name.Lane}], scheduler.SizeOf(q.job.MemoryBytes).Bytes()
	if s.draining {
		list = append(list, Constraint{Kind: BoundWorkerDraining, Lane: name})
	}
	if until > 0 {
		list = append(list, Constraint{Kind: BoundWorkerExcluded, Lane: name, UntilMs: until})
	}
	if use.slots >= name.Spec.GetSlots() {
		list = append(list, Constraint{Kind: BoundLaneFull, Lane: name, Value: int64(use.slots), Most: int64(name.Spec.GetSlots())})
	}
	if budget := name.Spec.GetMemoryBytes(); budget > 0 && need > budget-use.memory {
		list = append(list, Constraint{Kind: BoundLaneMemory, Lane: name, Value: int64(need), Most: int64(budget - use.memory)})
	}
	return list
}

// consider keeps a lane that could take the job, with the changes that it needs.
func (q *inquiry) consider(name *LaneName, s *session, until int64) {
	budget, need := name.Spec.GetMemoryBytes(), scheduler.SizeOf(q.job.MemoryBytes).Bytes()
	if s.draining || budget > 0 && need > budget {
		return
	}
	c := &candidate{name: name, session: s, use: q.then.lanes[laneKey{s.id, name.Lane}], from: max(q.due, until)}
	if until > 0 {
		c.changes = append(c.changes, Change{Kind: ChangeWait, UntilMs: until})
	}
	if c.use.slots >= name.Spec.GetSlots() {
		c.changes = append(c.changes, Change{Kind: ChangeFreeSlot, Value: int64(c.use.slots-name.Spec.GetSlots()) + 1})
	}
	if free := budget - c.use.memory; budget > 0 && need > free {
		c.changes = append(c.changes, Change{Kind: ChangeFreeMemory, Value: int64(need - free)})
	}
	q.lanes = append(q.lanes, c)
}

// alike are lanes of which the first stands for all when claims ahead are compared.
type alike struct {
	chain, user string
	budget      uint64
	exclusions  string // of the worker; "": none
}

// shortList returns the lanes with the fewest changes, the first of those that are alike, at most eight.
func (q *inquiry) shortList() (list []*candidate) {
	slices.SortStableFunc(q.lanes, func(a, b *candidate) int { return cmp.Compare(len(a.changes), len(b.changes)) })
	known := map[alike]bool{}
	for _, c := range q.lanes {
		if len(c.changes) > len(q.lanes[0].changes) || len(list) == mostLanesCompared {
			break
		}
		c.offer = scheduler.Offer{Chain: c.name.Spec.GetChain(), User: c.session.user, OnlyUser: c.session.user != "",
			Excluded: q.excludedFrom(c.session, c.from)}
		kind := alike{chain: strings.Join(c.offer.Chain, ">"), user: c.offer.User, budget: c.name.Spec.GetMemoryBytes()}
		if len(c.offer.Excluded) > 0 {
			kind.exclusions = c.session.name
		}
		if !known[kind] {
			known[kind] = true
			list = append(list, c)
		}
	}
	q.endOldest(list)
	return list
}

// endOldest lets the oldest claims of each lane end, as few as are enough, and so completes its offer.
func (q *inquiry) endOldest(list []*candidate) {
	need, lacking := scheduler.SizeOf(q.job.MemoryBytes).Bytes(), map[laneKey]*candidate{}
	for _, c := range list {
		if !c.takes(need) {
			lacking[laneKey{c.session.id, c.name.Lane}] = c
		}
	}
	if len(lacking) > 0 {
		q.claims.Scan(func(fence uint64, cl claim) bool {
			key := laneKey{cl.session, cl.lane}
			if c := lacking[key]; c != nil && fence != q.busy {
				j := q.m.claimed(cl).job
				c.ended = append(c.ended, j)
				c.use.slots--
				c.use.memory -= scheduler.SizeOf(j.MemoryBytes).Bytes()
				if c.takes(need) {
					delete(lacking, key)
				}
			}
			return len(lacking) > 0
		})
	}
	for _, c := range list {
		if budget := c.name.Spec.GetMemoryBytes(); budget > 0 {
			c.offer.Limited, c.offer.FreeBytes = true, budget-c.use.memory
		}
	}
}

// takes: the lane has a free slot and that much memory.
func (c *candidate) takes(bytes uint64) bool {
	budget := c.name.Spec.GetMemoryBytes()
	return c.use.slots < c.name.Spec.GetSlots() && (budget == 0 || bytes <= budget-c.use.memory)
}

// excludedFrom is what Machine.excludedFrom says at a time.
func (q *inquiry) excludedFrom(s *session, wall int64) (out []JobID) {
	for _, x := range lapsesOf(q.excluded, s.name) {
		rec, ok := q.jobs.Get(x.job)
		if !ok || rec.job.State != pending || !q.othersServe(rec, wall) {
			continue
		}
		for _, e := range rec.exclusions {
			if e.GetWorker() == s.name && e.GetUntilMs() > wall {
				out = append(out, JobID(x.job))
			}
		}
	}
	return out
}
