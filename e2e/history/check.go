package history

import (
	"cmp"
	"fmt"
	"slices"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Run is everything that a checker looks at.
type Run struct {
	Ops []Op
	// Slots of each lane of each worker session.
	Slots map[LaneID]int
	// Final is what the cluster says of every job after the run; nil: not looked at.
	Final map[uint64]FinalJob
}

// LaneID names a lane of a worker session.
type LaneID struct {
	Session uint64
	Lane    uint32
}

// FinalJob is a job as the cluster shows it after the run.
type FinalJob struct {
	State  fairlanev1.JobState
	Fence  uint64
	Result string
}

// Violation is one broken promise: which rule, and the calls that show it.
type Violation struct {
	Rule string
	Text string
}

func (v Violation) String() string { return v.Rule + ": " + v.Text }

// The rules. Each has a planted violation in the tests.
const (
	RuleLost       = "lost"           // an acknowledged enqueue reaches a final state
	RuleUnexpected = "unexpected"     // every job was asked for
	RuleDuplicate  = "duplicate"      // two enqueues never make the same job
	RuleRepeat     = "repeat"         // a repeated call gets the same answer
	RuleFence      = "fence"          // fences of a job rise, and no two claims share one
	RuleFinish     = "finish"         // a job is finished once, from its live claim
	RuleResult     = "result"         // what was accepted is what is stored
	RuleSlots      = "slots"          // a lane never runs more than its slots
	RuleLease      = "lease"          // no lease ends before its length of real time
	RuleRealTime   = "real time"      // an answer's place in the log does not contradict the clock
	RuleCancel     = "cancel"         // one cancel cancels, and the job stays cancelled
	RuleOrder      = "linearizable"   // the calls of each job have an explaining order (porcupine)
	RuleOrderTime  = "porcupine-time" // porcupine ran out of time: no verdict
)

// Result of a check: figures for the table, and what was broken.
type Result struct {
	Acknowledged int // enqueues
	Final        int // of those, jobs in a final state
	Lost         int
	Unexpected   int
	Claims       int
	Finishes     int // accepted ones that ended a job
	Twice        int // jobs with more than one of them
	LostClaims   int // answers that said "the claim is over"
	Unknown      int // calls whose outcome never became known
	Repeats      int // answers compared with the first one
	MostRunning  map[LaneID]int
	Checked      int // calls given to porcupine
	Violations   []Violation
}

func (r *Result) violate(rule, format string, args ...any) {
	r.Violations = append(r.Violations, Violation{rule, fmt.Sprintf(format, args...)})
}

// Check applies every rule.
func Check(run Run) *Result {
	r := &Result{MostRunning: make(map[LaneID]int)}
	jobs := byJob(run.Ops)
	checkEnqueues(r, run, jobs)
	checkRepeats(r, run.Ops)
	checkRealTime(r, run.Ops)
	for _, ops := range jobs {
		checkFences(r, ops)
		checkFinishes(r, ops, run.Final)
		checkLeases(r, ops)
		checkCancels(r, ops, run.Final)
	}
	checkSharedFences(r, run.Ops)
	checkSlots(r, run)
	checkPerJob(r, jobs)
	return r
}

// byJob sorts the calls of each job by their sending, jobs in the order of their numbers. Repeats and calls that name no
// job are left out.
func byJob(ops []Op) [][]Op {
	sets := make(map[uint64][]Op)
	for _, op := range ops {
		if op.Job != 0 && !op.Again {
			sets[op.Job] = append(sets[op.Job], op)
		}
	}
	ids := make([]uint64, 0, len(sets))
	for id := range sets {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	jobs := make([][]Op, 0, len(ids))
	for _, id := range ids {
		set := sets[id]
		slices.SortStableFunc(set, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
		jobs = append(jobs, set)
	}
	return jobs
}

// IsFinal reports whether a job in this state never changes again.
func IsFinal(s fairlanev1.JobState) bool {
	switch s {
	case fairlanev1.JobState_JOB_STATE_SUCCEEDED, fairlanev1.JobState_JOB_STATE_FAILED,
		fairlanev1.JobState_JOB_STATE_TIMED_OUT, fairlanev1.JobState_JOB_STATE_CANCELLED:
		return true
	}
	return false
}
