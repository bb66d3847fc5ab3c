package history

import (
	"slices"
	"strings"
	"testing"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	succeeded = fairlanev1.JobState_JOB_STATE_SUCCEEDED
	failed    = fairlanev1.JobState_JOB_STATE_FAILED
	cancelled = fairlanev1.JobState_JOB_STATE_CANCELLED
	scheduled = fairlanev1.JobState_JOB_STATE_SCHEDULED
)

// second in the recorder's nanoseconds.
const second = int64(1_000_000_000)

// at gives the call a time of one tenth of a second that begins at the given second.
func at(s int64, op Op) Op {
	op.Call, op.Return = s*second, s*second+second/10
	return op
}

// goodRun is a small run in which everything is right: job 1 is claimed, kept by heartbeats beyond its lease, and
// succeeds; job 2 is lost by silence, claimed by another worker, fails once and then succeeds; job 3 is cancelled while
// it runs.
func goodRun() Run {
	ops := []Op{
		at(1, Op{Kind: Enqueue, Outcome: Done, Session: 9, Number: 1, Job: 1, Index: 10, Answer: "one"}),
		at(2, Op{Kind: Enqueue, Outcome: Done, Session: 9, Number: 1, Job: 1, Index: 10, Answer: "one", Again: true}),
		at(2, Op{Kind: Enqueue, Outcome: Done, Session: 9, Number: 2, Job: 2, Index: 11, Answer: "two"}),
		at(2, Op{Kind: Enqueue, Outcome: Done, Session: 9, Number: 3, Job: 3, Index: 11, Answer: "three"}),

		at(3, Op{Kind: Claim, Outcome: Done, Session: 5, Number: 1, Job: 1, Fence: 100, LeaseMs: 3000, Index: 12}),
		at(3, Op{Kind: Claim, Outcome: Done, Session: 5, Number: 2, Job: 2, Fence: 101, LeaseMs: 3000, Index: 12}),
		at(4, Op{Kind: Heartbeat, Outcome: Done, Session: 5, Job: 1, Fence: 100, Index: 13}),
		at(6, Op{Kind: Heartbeat, Outcome: Done, Session: 5, Job: 1, Fence: 100, Index: 14}),
		at(8, Op{Kind: Claim, Outcome: Done, Session: 6, Number: 1, Job: 2, Fence: 102, LeaseMs: 3000, Index: 15}),
		at(9, Op{Kind: Finish, Outcome: Lost, Report: Success, Session: 5, Number: 3, Job: 2, Fence: 101, Index: 16}),
		at(9, Op{Kind: Finish, Outcome: Done, Report: Success, Session: 5, Number: 4, Job: 1, Fence: 100, State: succeeded, Result: "r1", Index: 16}),
		at(10, Op{Kind: Finish, Outcome: Done, Report: Failure, Session: 6, Number: 2, Job: 2, Fence: 102, State: scheduled, Index: 17}),
		at(12, Op{Kind: Claim, Outcome: Done, Session: 6, Number: 3, Job: 2, Fence: 103, LeaseMs: 3000, Index: 18}),
		at(13, Op{Kind: Finish, Outcome: Done, Report: Success, Session: 6, Number: 4, Job: 2, Fence: 103, State: succeeded, Result: "r2", Index: 19}),

		at(14, Op{Kind: Claim, Outcome: Done, Session: 6, Number: 5, Job: 3, Fence: 104, LeaseMs: 3000, Index: 20}),
		at(15, Op{Kind: Cancel, Outcome: Done, Session: 9, Number: 4, Job: 3, Did: true, Index: 21}),
		at(15, Op{Kind: Cancel, Outcome: Done, Session: 9, Number: 5, Job: 3, Index: 21}),
		at(16, Op{Kind: Heartbeat, Outcome: Cancelled, Session: 6, Job: 3, Fence: 104, Index: 22}),
		at(17, Op{Kind: Finish, Outcome: Cancelled, Report: Success, Session: 6, Number: 6, Job: 3, Fence: 104, State: cancelled, Index: 23}),
		at(18, Op{Kind: Read, Outcome: Done, Job: 3, State: cancelled}),
	}
	for i := range ops {
		ops[i].Party = i
	}
	return Run{
		Ops:   ops,
		Slots: map[LaneID]int{{5, 0}: 2, {6, 0}: 1},
		Final: map[uint64]FinalJob{
			1: {succeeded, 100, "r1"},
			2: {succeeded, 103, "r2"},
			3: {cancelled, 104, ""},
		},
	}
}

func TestGoodRun(t *testing.T) {
	r := Check(goodRun())
	for _, v := range r.Violations {
		t.Error(v)
	}
	if r.Acknowledged != 3 || r.Final != 3 || r.Claims != 5 || r.Finishes != 2 || r.LostClaims != 1 || r.Repeats != 1 || r.Checked != 19 {
		t.Errorf("figures: %+v", r)
	}
	if r.MostRunning[LaneID{5, 0}] != 2 || r.MostRunning[LaneID{6, 0}] != 1 {
		t.Errorf("most running: %v", r.MostRunning)
	}
}

// find gives the first call that the test describes.
func find(run *Run, kind Kind, fence uint64, outcome Outcome) *Op {
	i := slices.IndexFunc(run.Ops, func(op Op) bool { return op.Kind == kind && op.Fence == fence && op.Outcome == outcome })
	return &run.Ops[i]
}

// TestPlanted: each planted violation is found, by the rule that is there for it.
func TestPlanted(t *testing.T) {
	cases := []struct {
		name  string
		rule  string
		plant func(run *Run)
	}{
		{"an acknowledged job is gone", RuleLost, func(run *Run) { delete(run.Final, 2) }},
		{"an acknowledged job never ends", RuleLost, func(run *Run) { run.Final[1] = FinalJob{scheduled, 100, ""} }},
		{"a job that nobody asked for", RuleUnexpected, func(run *Run) { run.Final[7] = FinalJob{succeeded, 9, ""} }},
		{"two enqueues, one job", RuleDuplicate, func(run *Run) {
			run.Ops = append(run.Ops, at(2, Op{Kind: Enqueue, Outcome: Done, Session: 8, Number: 1, Job: 1}))
		}},
		{"a repeat makes a second job", RuleRepeat, func(run *Run) { run.Ops[1].Answer = "another" }},
		{"a repeat is refused", RuleRepeat, func(run *Run) { run.Ops[1].Answer, run.Ops[1].Outcome = "", Refused }},
		{"the fence is not raised", RuleFence, func(run *Run) { find(run, Claim, 102, Done).Fence = 101 }},
		{"the fence falls", RuleFence, func(run *Run) { find(run, Claim, 102, Done).Fence = 99 }},
		{"two jobs share a fence", RuleFence, func(run *Run) { find(run, Claim, 101, Done).Fence = 100 }},
		{"the late finish is accepted", RuleFinish, func(run *Run) {
			late := find(run, Finish, 101, Lost)
			late.Outcome, late.State = Done, succeeded
		}},
		{"an old fence finishes first", RuleFinish, func(run *Run) {
			late := find(run, Finish, 101, Lost)
			late.Outcome, late.State, late.Result = Done, succeeded, "r2"
			run.Ops = slices.DeleteFunc(run.Ops, func(op Op) bool { return op.Job == 2 && op.Call > 9*second })
			run.Final[2] = FinalJob{succeeded, 101, "r2"}
		}},
		{"claimed after its end", RuleFinish, func(run *Run) {
			run.Ops = append(run.Ops, at(20, Op{Kind: Claim, Outcome: Done, Session: 5, Number: 9, Job: 1, Fence: 200, LeaseMs: 3000, Index: 30}))
		}},
		{"finished by a stranger", RuleFinish, func(run *Run) { find(run, Finish, 100, Done).Session = 6 }},
		{"another result is stored", RuleResult, func(run *Run) { run.Final[1] = FinalJob{succeeded, 100, "other"} }},
		{"a success out of nothing", RuleResult, func(run *Run) {
			find(run, Finish, 100, Done).Outcome = Lost
		}},
		{"one more than the slots", RuleSlots, func(run *Run) { run.Slots[LaneID{5, 0}] = 1 }},
		{"a lane that nobody registered", RuleSlots, func(run *Run) { find(run, Claim, 104, Done).Lane = 3 }},
		{"the lease ends early", RuleLease, func(run *Run) {
			next := find(run, Claim, 102, Done)
			next.Call, next.Return = 5*second, 5*second+second/10
		}},
		{"the heartbeat is not counted", RuleLease, func(run *Run) {
			*find(run, Finish, 100, Done) = at(8, Op{Kind: Finish, Outcome: Lost, Session: 5, Number: 4, Job: 1, Fence: 100, Index: 16})
		}},
		{"later in the log, answered before", RuleRealTime, func(run *Run) { run.Ops[0].Index = 12 }},
		{"two cancels did it", RuleCancel, func(run *Run) { run.Ops[16].Did = true }},
		{"cancelled, then succeeded", RuleCancel, func(run *Run) { run.Final[3] = FinalJob{succeeded, 104, ""} }},
		{"a cancelled job's success is stored", RuleOrder, func(run *Run) {
			end := find(run, Finish, 104, Cancelled)
			end.Outcome, end.State = Done, succeeded
		}},
		{"a heartbeat keeps a lost claim", RuleOrder, func(run *Run) {
			run.Ops = append(run.Ops, at(9, Op{Kind: Heartbeat, Outcome: Done, Session: 5, Job: 2, Fence: 101, LeaseMs: 0}))
		}},
		{"a final job reads as failed", RuleOrder, func(run *Run) {
			run.Ops = append(run.Ops, at(20, Op{Kind: Read, Outcome: Done, Job: 1, State: failed}))
		}},
		{"a stale read", RuleOrder, func(run *Run) {
			run.Ops = append(run.Ops, at(20, Op{Kind: Read, Outcome: Done, Job: 1, State: scheduled}))
		}},
		{"an accepted finish is forgotten", RuleOrder, func(run *Run) {
			run.Ops = append(run.Ops, at(11, Op{Kind: Claim, Outcome: Done, Session: 5, Number: 9, Job: 1, Fence: 100 + 1000}))
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run := goodRun()
			c.plant(&run)
			r := Check(run)
			var rules []string
			for _, v := range r.Violations {
				rules = append(rules, v.Rule)
			}
			if !slices.Contains(rules, c.rule) {
				t.Errorf("not found by rule %q; found: %v", c.rule, strings.Join(rules, ", "))
			}
		})
	}
}

// TestUnknown: a call without an answer may have taken effect, or not; both must be accepted.
func TestUnknown(t *testing.T) {
	for _, took := range []bool{true, false} {
		run := goodRun()
		*find(&run, Finish, 103, Done) = at(13, Op{Kind: Finish, Outcome: Unknown, Report: Success, Session: 6, Number: 4, Job: 2, Fence: 103})
		if !took {
			run.Ops = append(run.Ops,
				at(20, Op{Kind: Claim, Outcome: Done, Session: 6, Number: 7, Job: 2, Fence: 110, LeaseMs: 3000, Index: 40}),
				at(21, Op{Kind: Finish, Outcome: Done, Report: Success, Session: 6, Number: 8, Job: 2, Fence: 110, State: succeeded, Result: "r2", Index: 41}))
			run.Final[2] = FinalJob{succeeded, 110, "r2"}
		}
		for _, v := range Check(run).Violations {
			t.Errorf("took effect: %v: %v", took, v)
		}
	}
}
