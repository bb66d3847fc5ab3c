package fsm

import (
	"slices"

	"github.com/tidwall/btree"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

// mostExclusions is how many jobs a worker, by name, can be excluded from.
const mostExclusions = 100

// lapse is that a worker failed or lost a job. One with a lower age goes first when there are too many.
type lapse struct {
	worker string
	age    uint64
	job    uint64
}

func lapseLess(a, b lapse) bool {
	return a.worker < b.worker || a.worker == b.worker && (a.age < b.age || a.age == b.age && a.job < b.job)
}

// lapsesOf lists those of one worker by age.
func lapsesOf(tree *btree.BTreeG[lapse], worker string) (list []lapse) {
	tree.Ascend(lapse{worker: worker}, func(x lapse) bool {
		if x.worker == worker {
			list = append(list, x)
		}
		return x.worker == worker
	})
	return list
}

// exclude notes in an edit of a job that the worker failed or lost it. It counts from when the job is pending again.
func (m *Machine) exclude(rec *jobRec, worker string) {
	m.lastExcluded++
	list := make([]*logv1.ExclusionRecord, 0, len(rec.exclusions)+1)
	for _, x := range rec.exclusions {
		if x.GetWorker() == worker {
			m.excluded.Delete(lapse{worker, x.GetAge(), rec.job.Id})
			continue
		}
		list = append(list, x)
	}
	rec.exclusions = append(list, &logv1.ExclusionRecord{Worker: worker, Age: m.lastExcluded})
	m.excluded.Set(lapse{worker, m.lastExcluded, rec.job.Id})
}

// liftOldest keeps the worker within its bound.
func (m *Machine) liftOldest(worker string) {
	list := lapsesOf(m.excluded, worker)
	if len(list) <= mostExclusions {
		return
	}
	m.excluded.Delete(list[0])
	old, ok := m.jobs.Get(list[0].job)
	if !ok {
		panic("broken invariant: a worker is excluded from a job that does not wait or run")
	}
	rec := old.edit()
	rec.exclusions = slices.DeleteFunc(slices.Clone(old.exclusions), func(x *logv1.ExclusionRecord) bool { return x.GetWorker() == worker })
	if old.job.State == pending {
		m.unstampExclusions(old)
		m.stampExclusions(rec)
		m.noteReady(rec.job.Id, rec)
	}
	m.put(old, rec)
}

// renewExclusions makes every exclusion of the job count from now: it becomes pending.
func (m *Machine) renewExclusions(rec *jobRec) {
	if len(rec.exclusions) == 0 {
		return
	}
	until := later(m.wall, m.windowOf(rec.job))
	list := make([]*logv1.ExclusionRecord, len(rec.exclusions))
	for i, x := range rec.exclusions {
		list[i] = &logv1.ExclusionRecord{Worker: x.GetWorker(), UntilMs: until, Age: x.GetAge()}
	}
	rec.exclusions = list
}

func (m *Machine) stampExclusions(rec *jobRec) {
	for _, x := range rec.exclusions {
		if x.GetUntilMs() > m.wall {
			m.exclEnds.Set(stamp{x.GetUntilMs(), rec.job.Id})
		}
	}
}

func (m *Machine) unstampExclusions(rec *jobRec) {
	for _, x := range rec.exclusions {
		m.exclEnds.Delete(stamp{x.GetUntilMs(), rec.job.Id})
	}
}

// dropExclusions forgets all of a job that becomes final; rec is an edit.
func (m *Machine) dropExclusions(rec *jobRec) {
	for _, x := range rec.exclusions {
		m.excluded.Delete(lapse{x.GetWorker(), x.GetAge(), rec.job.Id})
	}
	rec.exclusions = nil
}

// excludedFrom lists the jobs that this worker must not get now, at most 100.
func (m *Machine) excludedFrom(s *session) (out []JobID) {
	for _, x := range lapsesOf(m.excluded, s.name) {
		rec, ok := m.jobs.Get(x.job)
		if ok && rec.job.State == pending && m.excludes(rec, s.name) && m.othersServe(rec) {
			out = append(out, JobID(x.job))
		}
	}
	return out
}

// excludes: the worker's exclusion from this job has not run out.
func (m *Machine) excludes(rec *jobRec, worker string) bool {
	for _, x := range rec.exclusions {
		if x.GetWorker() == worker {
			return x.GetUntilMs() > m.wall
		}
	}
	return false
}

// othersServe: a live worker that neither drains nor is excluded has a lane for this job's queue and user. The number of all that serve it
// is kept; those that are excluded are taken away.
func (m *Machine) othersServe(rec *jobRec) bool {
	queue, user := rec.job.Queue, rec.job.User
	n := m.cover[coverKey{scheduler.Any, ""}] + m.cover[coverKey{queue, ""}]
	if user != "" {
		n += m.cover[coverKey{scheduler.Any, user}] + m.cover[coverKey{queue, user}]
	}
	for _, x := range rec.exclusions {
		if x.GetUntilMs() <= m.wall {
			continue
		}
		id, live := m.byName[x.GetWorker()]
		if !live {
			continue
		}
		if s, _ := m.sessions.Get(id); s.serves(queue, user) {
			n--
		}
	}
	return n > 0
}

// serves is what covers counts.
func (s *session) serves(queue, user string) bool {
	if s.draining || s.user != "" && s.user != user {
		return false
	}
	for _, lane := range s.lanes {
		for _, name := range lane.GetChain() {
			if name == queue || name == scheduler.Any {
				return true
			}
		}
	}
	return false
}
