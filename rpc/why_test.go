package rpc

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const (
	whyGolden = "testdata/why.txt"
	whyPage   = "../docs/why.md"
	noon      = 1_795_521_600_000 // 2026-11-24T12:00:00Z
)

var oneLane = &fsm.LaneName{Session: 4, Worker: "w1", Lane: 1, Spec: &logv1.Lane{Chain: []string{"manual", "*"}, Slots: 4, MemoryBytes: 2 << 30}}

// everyConstraint has one of each kind.
var everyConstraint = []fsm.Constraint{
	{Kind: fsm.BoundScheduled, UntilMs: noon + 41_000},
	{Kind: fsm.BoundQueuePaused, Queue: "manual"},
	{Kind: fsm.BoundQueueLimit, Queue: "manual", Value: 4, Most: 4},
	{Kind: fsm.BoundUserQueueLimit, Queue: "manual", User: "ana", Value: 2, Most: 2},
	{Kind: fsm.BoundUserLimit, User: "ana", Value: 3, Most: 3},
	{Kind: fsm.BoundNoLane, Queue: "manual", User: ""},
	{Kind: fsm.BoundLaneFull, Lane: oneLane, Value: 4, Most: 4},
	{Kind: fsm.BoundLaneMemory, Lane: oneLane, Value: 1 << 30, Most: 512 << 20},
	{Kind: fsm.BoundWorkerExcluded, Lane: oneLane, UntilMs: noon + 3*3600_000 + 90_000},
	{Kind: fsm.BoundWorkerDraining, Lane: oneLane},
	{Kind: fsm.BoundBehind, Queue: "manual", Value: 492},
	{Kind: fsm.BoundCoordinator, Coordinator: "db", Busy: 7, Head: 9, Value: 2},
}

// everyChange has one of each kind.
var everyChange = []fsm.Change{
	{Kind: fsm.ChangeWait, UntilMs: noon + 24*3600_000},
	{Kind: fsm.ChangeResumeQueue, Queue: "manual"},
	{Kind: fsm.ChangeRaiseQueueLimit, Queue: "manual", Value: 5},
	{Kind: fsm.ChangeRaiseUserQueueLimit, Queue: "manual", User: "ana", Value: 3},
	{Kind: fsm.ChangeRaiseUserLimit, User: "ana", Value: 4},
	{Kind: fsm.ChangeAddLane, Queue: "manual", User: "ana"},
	{Kind: fsm.ChangeFreeSlot, Value: 1},
	{Kind: fsm.ChangeFreeMemory, Value: 512 << 20},
	{Kind: fsm.ChangeClaimsAhead, Value: 492},
	{Kind: fsm.ChangeCoordinator, Coordinator: "db", Value: 3},
}

// everyStep has one of each kind, in the order of their numbers.
func everyStep() *logv1.Steps {
	out := &logv1.Steps{Dropped: 3}
	for kind := range len(logv1.StepKind_name) - 1 {
		out.Steps = append(out.Steps, &logv1.Step{
			Kind: logv1.StepKind(kind + 1), Index: uint64(100 + kind), AtMs: noon - 60_000 + int64(kind)*1000, Worker: "w1", Lane: 1, Fence: 1<<40 + 7,
			Attempt: 2, UntilMs: noon + int64(kind)*100_000,
		})
	}
	return out
}

var manualLine = fsm.LinePlace{
	Line: "manual", Mode: scheduler.RoundRobin, UserPosition: 3, UserWaiting: 20, Ahead: 492, Waiting: 1000, UsersAhead: 3,
	Users: []fsm.UserAhead{{User: "ben", Jobs: 400}, {User: "cy", Jobs: 90}, {User: "ana", Jobs: 2}},
}

func pendingJob() *logv1.Job {
	return &logv1.Job{Id: 12, Queue: "manual", User: "ana", State: logv1.State_STATE_PENDING, MaxAttempts: 4}
}

// whyCases are answers of the machine, each with what it is about.
func whyCases() (names []string, answers []*fsm.WhyAnswer) {
	add := func(name string, job *logv1.Job, change func(*fsm.WhyAnswer)) {
		a := &fsm.WhyAnswer{Job: job, Index: 500, ClockMs: noon}
		if change != nil {
			change(a)
		}
		names, answers = append(names, name), append(answers, a)
	}
	in := func(state logv1.State, change func(*logv1.Job)) *logv1.Job {
		job := &logv1.Job{
			Id: 12, Queue: "manual", User: "ana", State: state, Attempt: 2, Worker: "w1", Lane: 1, StartedMs: noon - 12_300, FinishedMs: noon - 300,
		}
		if change != nil {
			change(job)
		}
		return job
	}
	add("everything", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Lines, a.Constraints, a.Start, a.Lane, a.Steps = []fsm.LinePlace{manualLine}, everyConstraint, everyChange, oneLane, everyStep()
		a.Job.RetriedAs = 14
	})
	add("paused", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Constraints, a.Start, a.Lane = everyConstraint[1:2], everyChange[1:2], oneLane
	})
	add("two limits", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Constraints, a.Start, a.Lane = everyConstraint[2:4], everyChange[2:4], oneLane
	})
	add("no lane", pendingJob(), func(a *fsm.WhyAnswer) { a.Constraints, a.Start = everyConstraint[5:6], everyChange[5:6] })
	add("behind in one full lane", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Lines = []fsm.LinePlace{manualLine}
		a.Constraints, a.Lane = []fsm.Constraint{everyConstraint[6], everyConstraint[10]}, oneLane
		a.Start = []fsm.Change{everyChange[6], everyChange[8]}
	})
	add("two full lanes, one excluded worker", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Constraints, a.Lane = []fsm.Constraint{everyConstraint[6], everyConstraint[8], everyConstraint[6]}, oneLane
		a.Start = everyChange[6:7]
	})
	add("one behind one", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Constraints, a.Lane = []fsm.Constraint{{Kind: fsm.BoundBehind, Value: 1, Lane: oneLane}}, oneLane
		a.Start = []fsm.Change{{Kind: fsm.ChangeClaimsAhead, Value: 1}}
	})
	add("its coordinator is busy", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Constraints, a.Lane = []fsm.Constraint{{Kind: fsm.BoundCoordinator, Coordinator: "db", Busy: 7}}, oneLane
		a.Start = []fsm.Change{{Kind: fsm.ChangeCoordinator, Coordinator: "db", Value: 1}}
	})
	add("far behind in its coordinator", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Constraints = []fsm.Constraint{{Kind: fsm.BoundCoordinator, Coordinator: "db", Head: 9, Value: 1000, More: true}}
		a.Start, a.Lane = []fsm.Change{{Kind: fsm.ChangeCoordinator, Coordinator: "db", Value: 1000, More: true}}, oneLane
	})
	add("one goes before in its coordinator", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Constraints, a.Lane = []fsm.Constraint{{Kind: fsm.BoundCoordinator, Coordinator: "db", Head: 9, Value: 1}}, oneLane
		a.Start = []fsm.Change{{Kind: fsm.ChangeCoordinator, Coordinator: "db", Value: 1}}
	})
	add("the next", pendingJob(), func(a *fsm.WhyAnswer) { a.Lane = oneLane })
	add("nothing known of lanes", pendingJob(), nil)
	add("an unknown kind", pendingJob(), func(a *fsm.WhyAnswer) {
		a.Constraints, a.Start, a.Steps = []fsm.Constraint{{Kind: 99}}, []fsm.Change{{Kind: 98}}, &logv1.Steps{Steps: []*logv1.Step{{Kind: 97}}}
	})
	add("scheduled", in(logv1.State_STATE_SCHEDULED, func(j *logv1.Job) { j.DueMs = noon + 90_000 }), func(a *fsm.WhyAnswer) { a.Constraints = everyConstraint[:1] })
	add("back-off", in(logv1.State_STATE_SCHEDULED, func(j *logv1.Job) { j.DueMs = noon + 2500 }), func(a *fsm.WhyAnswer) {
		a.Steps = &logv1.Steps{Steps: []*logv1.Step{{Kind: logv1.StepKind_STEP_KIND_FAILED_RETRY, Worker: "w1", Attempt: 1, AtMs: noon}}}
	})
	add("running", in(logv1.State_STATE_RUNNING, nil), nil)
	add("succeeded", in(logv1.State_STATE_SUCCEEDED, nil), nil)
	add("failed", in(logv1.State_STATE_FAILED, nil), func(a *fsm.WhyAnswer) {
		a.Steps = &logv1.Steps{Steps: []*logv1.Step{{Kind: logv1.StepKind_STEP_KIND_FAILED, Worker: "w1", Attempt: 4}}}
	})
	add("timed out", in(logv1.State_STATE_TIMED_OUT, func(j *logv1.Job) { j.FinishedMs -= 48 * 3600_000 }), func(a *fsm.WhyAnswer) {
		a.Steps = &logv1.Steps{Steps: []*logv1.Step{{Kind: logv1.StepKind_STEP_KIND_LEASE_ENDED, Worker: "w1", Attempt: 4}}}
	})
	add("cancelled, run again", in(logv1.State_STATE_CANCELLED, func(j *logv1.Job) { j.RetryOf, j.RetriedAs = 9, 14 }), func(a *fsm.WhyAnswer) {
		by := &logv1.Step{Kind: logv1.StepKind_STEP_KIND_RETRIED_BY_HAND}
		a.Steps = &logv1.Steps{Steps: []*logv1.Step{by, {Kind: logv1.StepKind_STEP_KIND_CANCELLED}, by}}
	})
	return names, answers
}

func render(r *v1.WhyResponse) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", r.GetSummary())
	if r.GetLane() != nil {
		fmt.Fprintf(&out, "  lane %s\n", r.GetLane().GetText())
	}
	for _, c := range r.GetConstraints() {
		fmt.Fprintf(&out, "  binds %s: %s\n", strings.TrimPrefix(c.GetKind().String(), "CONSTRAINT_KIND_"), c.GetText())
	}
	for _, c := range r.GetStart() {
		fmt.Fprintf(&out, "  start %s: %s\n", strings.TrimPrefix(c.GetKind().String(), "CHANGE_KIND_"), c.GetText())
	}
	for _, s := range r.GetSteps() {
		fmt.Fprintf(&out, "  step %s: %s\n", s.GetRule(), s.GetText())
	}
	return out.String()
}

// TestWhyTexts compares the words for everything that the machine can say with testdata/why.txt; -rewrite, and read the difference.
func TestWhyTexts(t *testing.T) {
	var got bytes.Buffer
	names, answers := whyCases()
	for i, a := range answers {
		fmt.Fprintf(&got, "# %s\n%s\n", names[i], render(whyAnswer(a)))
	}
	if *rewrite {
		if err := os.WriteFile(whyGolden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(whyGolden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%s differs: go test ./rpc -run TestWhyTexts -rewrite\n%s", whyGolden, got.Bytes())
	}
	// A kind that was added without words shows up here and nowhere else.
	everything := whyAnswer(answers[0])
	if len(everything.Constraints) != len(v1.ConstraintKind_name)-1 || len(everything.Start) != len(v1.ChangeKind_name)-1 ||
		len(everything.Steps) != len(logv1.StepKind_name)-1 {
		t.Errorf("not every kind is here: %d constraints, %d changes, %d steps", len(everything.Constraints), len(everything.Start), len(everything.Steps))
	}
	if text := render(everything); strings.Contains(text, "cannot put into words") {
		t.Errorf("no words for a kind that exists:\n%s", text)
	}
}

// TestWhyPage: docs/why.md names every rule, constraint and change.
func TestWhyPage(t *testing.T) {
	page, err := os.ReadFile(whyPage)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for kind := range logv1.StepKind_name {
		words = append(words, ruleName(logv1.StepKind(kind)))
	}
	for kind := range v1.ConstraintKind_name {
		words = append(words, strings.TrimPrefix(v1.ConstraintKind(kind).String(), "CONSTRAINT_KIND_"))
	}
	for kind := range v1.ChangeKind_name {
		words = append(words, strings.TrimPrefix(v1.ChangeKind(kind).String(), "CHANGE_KIND_"))
	}
	for _, word := range words {
		if word != "unspecified" && word != "UNSPECIFIED" && !bytes.Contains(page, []byte("`"+word+"`")) {
			t.Errorf("%s does not name %s", whyPage, word)
		}
	}
}

// TestWhyIsWhole: the answer carries every number that the machine gave.
func TestWhyIsWhole(t *testing.T) {
	_, answers := whyCases()
	got := whyAnswer(answers[0])
	line := &v1.LinePlace{
		Line: "manual", Mode: "round_robin", UserPosition: 3, UserWaiting: 20, Ahead: 492, Waiting: 1000, UsersAhead: 3,
		Users: []*v1.UserAhead{{User: "ben", Jobs: 400}, {User: "cy", Jobs: 90}, {User: "ana", Jobs: 2}},
	}
	if len(got.Lines) != 1 || !proto.Equal(got.Lines[0], line) {
		t.Errorf("line %v", got.Lines)
	}
	lane := &v1.LaneRef{Worker: "w1", Session: 4, Lane: 1, Text: "manual>*:4@2GiB"}
	if !proto.Equal(got.Lane, lane) || !proto.Equal(got.Constraints[6].Lane, lane) {
		t.Errorf("lane %v, of a constraint %v", got.Lane, got.Constraints[6].Lane)
	}
	if c := got.Constraints[3]; c.Queue != "manual" || c.User != "ana" || c.Value != 2 || c.Most != 2 {
		t.Errorf("constraint %v", c)
	}
	if c := got.Start[0]; c.UntilMs != noon+24*3600_000 || got.Start[8].Value != 492 {
		t.Errorf("changes %v", got.Start)
	}
	if c := got.Constraints[11]; c.Coordinator != "db" || c.BusyJob != 7 || c.HeadJob != 9 || c.Value != 2 || c.More {
		t.Errorf("constraint %v", c)
	}
	if c := got.Start[9]; c.Coordinator != "db" || c.Value != 3 || c.More {
		t.Errorf("change %v", c)
	}
	if s := got.Steps[3]; s.Rule != "claimed" || s.Index != 103 || s.AtMs != noon-57_000 || s.Worker != "w1" || s.Lane != 1 || s.Fence != 1<<40+7 ||
		s.Attempt != 2 || s.UntilMs != noon+300_000 || got.StepsDropped != 3 {
		t.Errorf("step %v", s)
	}
	if got.Id != 12 || got.State != v1.JobState_JOB_STATE_PENDING || got.Index != 500 || got.ClockMs != noon {
		t.Errorf("head %v", got)
	}
}
