package rpc

import (
	"fmt"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// constraintText says what binds, with the numbers.
func constraintText(a *fsm.WhyAnswer, c fsm.Constraint) string {
	switch c.Kind {
	case fsm.BoundScheduled:
		return "it waits " + untilText(c.UntilMs, a.ClockMs)
	case fsm.BoundQueuePaused:
		return "queue " + c.Queue + " is paused"
	case fsm.BoundQueueLimit:
		return fmt.Sprintf("queue %s runs %d of %d (max_running)", c.Queue, c.Value, c.Most)
	case fsm.BoundUserQueueLimit:
		return fmt.Sprintf("%s runs %d of %d in queue %s (max_running_per_user of the queue)", userText(c.User), c.Value, c.Most, c.Queue)
	case fsm.BoundUserLimit:
		return fmt.Sprintf("%s runs %d of %d over all queues (max_running_per_user of the cluster)", userText(c.User), c.Value, c.Most)
	case fsm.BoundNoLane:
		return fmt.Sprintf("no live worker has a lane for queue %s and %s", c.Queue, userText(c.User))
	case fsm.BoundLaneFull:
		return fmt.Sprintf("%s is full: %d of %d", laneText(c.Lane), c.Value, c.Most)
	case fsm.BoundLaneMemory:
		return fmt.Sprintf("%s has %s free, the job needs %s", laneText(c.Lane), memoryText(c.Most), memoryText(c.Value))
	case fsm.BoundWorkerExcluded:
		return workerText(c.Lane) + " failed or lost this job and is passed over " + untilText(c.UntilMs, a.ClockMs)
	case fsm.BoundWorkerDraining:
		return workerText(c.Lane) + " is draining and takes no new job"
	case fsm.BoundBehind:
		return behindText(a, c)
	case fsm.BoundCoordinator:
		return sequenceText(c)
	}
	return fmt.Sprintf("a constraint that this version cannot put into words (%d)", c.Kind)
}

// behindText names the users when the jobs ahead are those of a line that is shown.
func behindText(a *fsm.WhyAnswer, c fsm.Constraint) string {
	jobs := countText(c.Value, "job", "jobs")
	for _, line := range a.Lines {
		if line.Ahead == uint64(c.Value) && line.UsersAhead > 0 {
			jobs += " of " + countText(line.UsersAhead, "user", "users")
			break
		}
	}
	verb := " go first"
	if c.Value == 1 {
		verb = " goes first"
	}
	if c.Lane != nil {
		return jobs + verb + " in " + laneText(c.Lane)
	}
	return jobs + verb
}

// sequenceText says which jobs of the coordinator go first.
func sequenceText(c fsm.Constraint) string {
	var parts []string
	if c.Busy != 0 {
		parts = append(parts, fmt.Sprintf("runs job %d", c.Busy))
	}
	if c.Value > 0 {
		first := countText(c.Value, "job", "jobs")
		if c.More {
			first = fmt.Sprintf("more than %s", first)
		}
		verb := "go"
		if c.Value == 1 {
			verb = "goes"
		}
		parts = append(parts, fmt.Sprintf("has %s that %s before this one, the next is job %d", first, verb, c.Head))
	}
	return "coordinator " + c.Coordinator + " " + strings.Join(parts, " and ")
}

// changeText says what would have to change.
func changeText(a *fsm.WhyAnswer, c fsm.Change) string {
	switch c.Kind {
	case fsm.ChangeWait:
		return "wait " + untilText(c.UntilMs, a.ClockMs)
	case fsm.ChangeResumeQueue:
		return fmt.Sprintf("resume queue %s (fairlane queue resume %s)", c.Queue, c.Queue)
	case fsm.ChangeRaiseQueueLimit:
		return fmt.Sprintf("raise max_running of queue %s to %d, or let one of its jobs end", c.Queue, c.Value)
	case fsm.ChangeRaiseUserQueueLimit:
		return fmt.Sprintf("raise max_running_per_user of queue %s to %d, or let a job of %s in it end", c.Queue, c.Value, userText(c.User))
	case fsm.ChangeRaiseUserLimit:
		return fmt.Sprintf("raise max_running_per_user of the cluster to %d, or let a job of %s end", c.Value, userText(c.User))
	case fsm.ChangeAddLane:
		return fmt.Sprintf("start a worker with a lane that takes queue %s and %s, for example --lanes %s:1", c.Queue, userText(c.User), c.Queue)
	case fsm.ChangeFreeSlot:
		return countText(c.Value, "job", "jobs") + " of " + laneName(a.Lane) + " must end"
	case fsm.ChangeFreeMemory:
		return memoryText(c.Value) + " more must become free in " + laneName(a.Lane)
	case fsm.ChangeClaimsAhead:
		return laneName(a.Lane) + " must take " + countText(c.Value, "other job", "other jobs") + " first"
	case fsm.ChangeCoordinator:
		jobs := countText(c.Value, "job", "jobs")
		if c.More {
			jobs = "more than " + jobs
		}
		return jobs + " of coordinator " + c.Coordinator + " must end"
	}
	return fmt.Sprintf("a change that this version cannot put into words (%d)", c.Kind)
}

// laneBound kinds bind in one lane; the others in all of them.
var laneBound = map[fsm.ConstraintKind]bool{
	fsm.BoundLaneFull: true, fsm.BoundLaneMemory: true, fsm.BoundWorkerExcluded: true, fsm.BoundWorkerDraining: true,
}

// waitText says in a few words what a pending job waits for. What binds everywhere hides what binds in single lanes, and many lanes are
// counted, not named.
func waitText(a *fsm.WhyAnswer) string {
	var everywhere, behind []string
	inLanes := map[fsm.ConstraintKind]int{}
	for _, c := range a.Constraints {
		switch {
		case laneBound[c.Kind]:
			inLanes[c.Kind]++
		case c.Kind == fsm.BoundBehind:
			behind = append(behind, constraintText(a, c))
		default:
			everywhere = append(everywhere, constraintText(a, c))
		}
	}
	parts := everywhere
	if len(parts) == 0 {
		parts = laneSummary(a, inLanes)
	}
	if len(behind) > 0 {
		parts = append(parts, behind[0])
	}
	return strings.Join(parts, ", and ")
}

// laneSummary says how many lanes or workers bind for each reason, or what the only one does.
func laneSummary(a *fsm.WhyAnswer, inLanes map[fsm.ConstraintKind]int) (parts []string) {
	for _, k := range []struct {
		kind fsm.ConstraintKind
		many string
	}{
		{fsm.BoundLaneFull, "lanes are full"},
		{fsm.BoundLaneMemory, "lanes have too little memory free"},
		{fsm.BoundWorkerExcluded, "lanes are of workers that failed or lost this job"},
		{fsm.BoundWorkerDraining, "lanes are of draining workers"},
	} {
		if inLanes[k.kind] > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", inLanes[k.kind], k.many))
			continue
		}
		for _, c := range a.Constraints {
			if c.Kind == k.kind {
				parts = append(parts, constraintText(a, c))
			}
		}
	}
	return parts
}
