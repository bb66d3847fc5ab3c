package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/shell"
)

func TestJobEnv(t *testing.T) {
	job := &fairlane.RawJob{JobMeta: fairlane.JobMeta{ID: 7, Fence: 1 << 40, Kind: "k", Queue: "q", User: "", Attempt: 2, Lane: 1}}
	got := jobEnv([]string{"PATH=/bin", "FAIRLANE_USER=outer"}, job)
	want := []string{
		"PATH=/bin", "FAIRLANE_USER=outer", "FAIRLANE_JOB_ID=7", "FAIRLANE_FENCE=1099511627776", "FAIRLANE_KIND=k", "FAIRLANE_QUEUE=q",
		"FAIRLANE_USER=", "FAIRLANE_ATTEMPT=2", "FAIRLANE_LANE=1",
		"FAIRLANE_COORDINATOR=", "FAIRLANE_SCHEDULE=", "FAIRLANE_FIRE_TIME=", "FAIRLANE_FIRE_CAUSE=",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	// The last value of a variable is the one that a command sees, so the job's stand behind the worker's.
	if slices.Index(got, "FAIRLANE_USER=") < slices.Index(got, "FAIRLANE_USER=outer") {
		t.Error("the worker's own FAIRLANE_USER shines through")
	}
}

// TestJobEnvOfAFire: the fire time is RFC 3339 in UTC, whatever zone it came in.
func TestJobEnvOfAFire(t *testing.T) {
	at := time.Date(2027, 1, 31, 9, 0, 0, 0, time.FixedZone("", 3600))
	got := jobEnv([]string{"FAIRLANE_SCHEDULE=outer"}, &fairlane.RawJob{JobMeta: fairlane.JobMeta{
		Coordinator: "db", Schedule: "reports/north", FireTime: at, FireCause: fairlane.CauseCatchUp}})
	want := []string{"FAIRLANE_COORDINATOR=db", "FAIRLANE_SCHEDULE=reports/north", "FAIRLANE_FIRE_TIME=2027-01-31T08:00:00Z", "FAIRLANE_FIRE_CAUSE=catch_up"}
	if !slices.Equal(got[len(got)-4:], want) {
		t.Errorf("got %q", got)
	}
}

func TestOutcome(t *testing.T) {
	f := workFlags{snooze: time.Minute}
	exit := func(code int) error { return &shell.ExitError{Code: code, Status: "exit status", Tail: "why"} }
	for _, c := range []struct {
		name string
		err  error
		same error // the outcome prints as this one and has its type
	}{
		{"success", nil, nil},
		{"failure", exit(3), exit(3)},
		{"signal", exit(-1), exit(-1)},
		{"discard", exit(100), fairlane.Discard(exit(100))},
		{"too large", shell.ErrResultTooLarge, fairlane.Discard(shell.ErrResultTooLarge)},
		{"snooze", exit(75), fairlane.Snooze(time.Minute)},
		{"lost", fairlane.ErrClaimLost, fairlane.ErrClaimLost},
	} {
		got := f.outcome(c.err)
		if (got == nil) != (c.same == nil) || got != nil && (got.Error() != c.same.Error() || fmt.Sprintf("%T", got) != fmt.Sprintf("%T", c.same)) {
			t.Errorf("%s: got %T %v, want %T %v", c.name, got, got, c.same, c.same)
		}
	}
}
