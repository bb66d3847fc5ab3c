package fsm_test

import (
	"slices"
	"sort"
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// join puts an enqueued job under its coordinator, if the rules know them.
func (n *naive) join(j *naiveJob, spec *logv1.NewJob) {
	if n.rules < 3 {
		return
	}
	j.coordinator, j.firstDue = spec.GetCoordinator(), n.wall
	switch {
	case spec.GetDelayMs() > 0:
		j.firstDue = n.wall + spec.GetDelayMs()
	case spec.GetRunAtMs() > 0:
		j.firstDue = spec.GetRunAtMs()
	}
}

// coordinatorLets: no job of its coordinator has a live claim, and it is the first of those that wait. A job without one is free.
func (n *naive) coordinatorLets(j *naiveJob) bool {
	return j.coordinator == "" || n.busyUnder(j.coordinator) == nil && n.lineUnder(j.coordinator)[0] == j
}

// busyUnder is the job of the coordinator whose claim lives; nil: none.
func (n *naive) busyUnder(coordinator string) (busy *naiveJob) {
	for _, c := range n.claims {
		if c.job.coordinator == coordinator {
			if busy != nil {
				n.broken = "two claims live under coordinator " + coordinator
			}
			busy = c.job
		}
	}
	return busy
}

// lineUnder is the coordinator's pending jobs by (first due time, id).
func (n *naive) lineUnder(coordinator string) (line []*naiveJob) {
	for _, id := range sortedKeys(n.jobs) {
		if j := n.jobs[id]; j.coordinator == coordinator && j.state == logv1.State_STATE_PENDING {
			line = append(line, j)
		}
	}
	sort.SliceStable(line, func(a, b int) bool { return line[a].firstDue < line[b].firstDue })
	return line
}

// coordinators are the names of jobs that are not over and of templates.
func (n *naive) coordinators() (names []string) {
	for _, j := range n.jobs {
		if j.coordinator != "" && (!isFinal(j.state) || n.claimOf(j) != nil) {
			names = append(names, j.coordinator)
		}
	}
	for _, s := range n.schedules {
		if c := s.def.GetTemplate().GetCoordinator(); c != "" {
			names = append(names, c)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (n *naive) membersOf(coordinator string) (names []string) {
	for name, s := range n.schedules {
		if s.def.GetTemplate().GetCoordinator() == coordinator {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// validName of a schedule, group or coordinator.
func validName(s string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./"
	return s != "" && len(s) <= 128 && strings.Trim(s, letters) == ""
}

// jobStarted, jobEnded and jobSettled tell the job's schedule what became of it.
func (n *naive) jobStarted(j *naiveJob) {
	if s := n.scheduleByID(j.scheduleID); s != nil {
		s.lastStart, s.lastJob = n.wall, j.id
	}
}

func (n *naive) jobEnded(j *naiveJob) {
	if n.claimOf(j) == nil {
		n.jobSettled(j)
	}
}

func (n *naive) jobSettled(j *naiveJob) {
	s := n.scheduleByID(j.scheduleID)
	if s == nil {
		return
	}
	s.lastEnd, s.lastState = n.wall, j.state
	s.handed = s.handed || j.cause == byCatchUp || j.cause == byBackfill
	n.mark(s)
}

func validPut(p *logv1.PutSchedule) bool {
	s, t := p.GetSchedule(), p.GetSchedule().GetTemplate()
	const most = int64(1) << 53
	within := func(v, least, most int64) bool { return v >= least && v <= most }
	offset := most
	if s.GetJitterMs() > 0 || !s.GetSpread() {
		offset = s.GetJitterMs()
	}
	return validName(s.GetName()) && (s.GetGroup() == "" || validName(s.GetGroup())) && (t.GetCoordinator() == "" || validName(t.GetCoordinator())) &&
		within(s.GetJitterMs(), 0, most) && within(int64(s.GetMaxInstances()), 1, 1000) && s.GetMinIntervalMs() >= 0 &&
		(s.MisfireGraceMs == nil || s.GetMisfireGraceMs() == -1 || within(s.GetMisfireGraceMs(), 1, most)) &&
		s.GetStartMs() >= 0 && s.GetEndMs() >= 0 && (s.GetStartMs() == 0 || s.GetEndMs() == 0 || s.GetEndMs() >= s.GetStartMs()) &&
		t.GetKind() != "" && t.GetDelayMs() == 0 && t.GetRunAtMs() == 0 && t.GetIdempotencyKey() == "" && !t.GetInsertFront() &&
		within(int64(len(s.GetSpec())), 1, 256) && len(s.GetZone()) <= 64 && len(s.GetDescription()) <= 1024 &&
		s.GetCatchUp() <= logv1.CatchUp_CATCH_UP_SKIP && s.GetOverlap() <= logv1.Overlap_OVERLAP_QUEUE && within(p.GetOffsetMs(), 0, offset)
}
