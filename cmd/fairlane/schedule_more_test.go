package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestScheduleListByNext: what fires first comes first, by the time at which it really fires; what does not fire comes last.
func TestScheduleListByNext(t *testing.T) {
	f := &fakeNode{}
	f.kept = map[string]*fairlanev1.ScheduleStatus{}
	for name, s := range map[string]*fairlanev1.ScheduleStatus{
		"a": {NextMs: 30}, "b": {NextMs: 10, OffsetMs: 15}, "c": {}, "d": {NextMs: 5, Paused: true}, "e": {NextMs: 20},
	} {
		s.Schedule = &fairlanev1.Schedule{Name: name}
		f.kept[name] = s
	}
	endpoint := f.start(t)
	for args, want := range map[string]string{"": "abcde", "--by name": "abcde", "--by next": "ebadc", "--by next --limit 2": "eb", "--limit 2": "ab"} {
		code, out, errs := cli{}.run(t, append(strings.Fields("schedule list "+args), "-e", endpoint)...)
		got := ""
		for _, line := range strings.Split(out, "\n")[1:] {
			if name, _, ok := strings.Cut(line, " "); ok && name != "more:" {
				got += name
			}
		}
		if code != exitOK || got != want || strings.Contains(out, "more:") != (args == "--limit 2") {
			t.Errorf("%s: exit code %d %q, %s, want %s\n%s", args, code, errs, got, want, out)
		}
	}
	for _, args := range []string{"--by time", "--by next --after a"} {
		if code, _, _ := (cli{}).run(t, append(strings.Fields("schedule list "+args), "-e", endpoint)...); code != exitUsage {
			t.Errorf("%s: exit code %d", args, code)
		}
	}
}

// TestSchedulesOfAGroup are paused and resumed together.
func TestSchedulesOfAGroup(t *testing.T) {
	f := before()
	endpoint := f.start(t)
	for _, c := range []struct {
		args string
		code int
		out  string
	}{
		{"pause --group reports", 0, "paused reports/north\npaused reports/old\npaused reports/older\npaused reports/south\n"},
		{"resume other reports/old", 0, "resumed other: next 2026-09-21T14:13:20.000Z\nresumed reports/old: next 2026-09-21T14:13:20.000Z\n"},
		{"pause --group nobody", 1, ""},
		{"pause", 2, ""},
		{"pause a --group reports", 2, ""},
	} {
		code, out, errs := cli{}.run(t, append(strings.Fields("schedule "+c.args), "-e", endpoint)...)
		if code != c.code || out != c.out {
			t.Errorf("%s: exit code %d %q\n%s", c.args, code, errs, out)
		}
		code, out, _ = cli{}.run(t, append(strings.Fields("schedule "+c.args), "-e", endpoint, "-o", "json")...)
		if code != c.code || code == 0 && !json.Valid([]byte(out)) {
			t.Errorf("%s as JSON: exit code %d\n%s", c.args, code, out)
		}
	}
}

// TestNearName: who mistypes a name is told which one is near.
func TestNearName(t *testing.T) {
	f := &fakeNode{}
	f.keep(&fairlanev1.Schedule{Name: "billing/nightly"}, &fairlanev1.Schedule{Name: "x"})
	endpoint := f.start(t)
	for _, verb := range []string{"get", "delete --yes"} {
		code, _, errs := cli{}.run(t, append(strings.Fields("schedule "+verb+" billing/nigthly"), "-e", endpoint)...)
		if code != exitFailed || errs != "fairlane: there is no schedule billing/nigthly Did you mean billing/nightly? (UNKNOWN_SCHEDULE FL1311)\n" {
			t.Errorf("%s: exit code %d, %q", verb, code, errs)
		}
	}
	_, _, errs := cli{}.run(t, "schedule", "get", "billing/nigthly", "-o", "json", "-e", endpoint)
	var got struct{ Error description }
	if err := json.Unmarshal([]byte(errs), &got); err != nil || got.Error.Reason != "UNKNOWN_SCHEDULE" || got.Error.ExitCode != exitFailed || !strings.HasSuffix(got.Error.Message, "Did you mean billing/nightly?") {
		t.Errorf("%v %q", err, errs)
	}
}

// TestNextNotes: the times of the grid are not all that is to know about a schedule.
func TestNextNotes(t *testing.T) {
	f := &fakeNode{}
	f.kept = map[string]*fairlanev1.ScheduleStatus{"n": {Schedule: &fairlanev1.Schedule{Name: "n"}, Paused: true, OffsetMs: 12_000}, "m": {Schedule: &fairlanev1.Schedule{Name: "m"}}}
	endpoint := f.start(t)
	_, _, errs := cli{}.run(t, "schedule", "next", "n", "-e", endpoint)
	if errs != "n is paused: none of these fires until it is resumed\neach fires 12s later: its jitter or spread\n" {
		t.Errorf("%q", errs)
	}
	if _, _, errs := (cli{}).run(t, "schedule", "next", "m", "-e", endpoint); errs != "" {
		t.Errorf("%q", errs)
	}
}

// TestScheduleDetails: what a schedule was given is shown, all of it.
func TestScheduleDetails(t *testing.T) {
	s := nightly()
	s.Schedule.JitterMs, s.Schedule.Spread = 30_000, true
	s.Schedule.Job.MemoryBytes, s.Schedule.Job.Labels = 1<<30, map[string]string{"team": "voice", "a": "b"}
	s.Schedule.Job.Limits = &fairlanev1.JobLimits{MaxAttempts: proto.Int32(3), LeaseMs: proto.Int64(30_000), HeartbeatMs: proto.Int64(10_000), MaxRunMs: proto.Int64(0),
		BackoffFirstMs: proto.Int64(500), BackoffFactorPercent: proto.Int32(150), BackoffMostMs: proto.Int64(60_000), OnTimeout: fairlanev1.OnTimeout_ON_TIMEOUT_FAIL.Enum(),
		ExclusionWindowMs: proto.Int64(1000)}
	var out strings.Builder
	scheduleDetails(&out, s)
	for _, want := range []string{"\njitter\t30s\n", "\nspread\tby name\n", "\nlabels\ta=b team=voice\n", "\nmemory\t1GiB\n",
		"\nlimits\tmax_attempts 3, lease 30s, heartbeat 10s, max_run 0s, backoff 500ms, backoff_factor_percent 150, backoff_most 1m, on_timeout fail, exclusion_window 1s\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}

// TestScheduleInstances: who holds a schedule at its max_instances is shown, and how many more there are.
func TestScheduleInstances(t *testing.T) {
	f := &fakeNode{}
	s := nightly()
	s.Instances = 22
	f.kept = map[string]*fairlanev1.ScheduleStatus{"nightly": s}
	f.running = []*fairlanev1.Job{
		{Id: 7, State: fairlanev1.JobState_JOB_STATE_CANCELLED, Attempt: 1, MaxAttempts: 3, Worker: "w1", StartedMs: 1_790_000_000_000, EnqueuedMs: 1, FireMs: 1_789_999_000_000, FireCause: "tick"},
		{Id: 9, State: fairlanev1.JobState_JOB_STATE_PENDING, MaxAttempts: 3, EnqueuedMs: 1_790_000_000_000, FireMs: 1_790_000_000_000, FireCause: "trigger"},
	}
	_, out, errs := cli{}.run(t, "schedule", "get", "nightly", "-e", f.start(t))
	want := `
INSTANCE  STATE      ATTEMPT  WORKER  SINCE                     CAUSE    FIRE_TIME
7         cancelled  1/3      w1      2026-09-21T14:13:20.000Z  tick     2026-09-21T13:56:40.000Z
9         pending    0/3      -       2026-09-21T14:13:20.000Z  trigger  2026-09-21T14:13:20.000Z
and 20 more
`
	if !strings.HasSuffix(out, want) {
		t.Errorf("%q\n%s\nwant\n%s", errs, out, want)
	}
}

// TestPutManyUnserved: what holds for many schedules is said once.
func TestPutManyUnserved(t *testing.T) {
	var text strings.Builder
	for i := range 5 {
		fmt.Fprintf(&text, "[[schedule]]\nname='n%d'\nspec='@daily'\nkind='k'\nqueue='unserved'\n", i)
	}
	f := &fakeNode{}
	code, _, errs := cli{in: text.String()}.run(t, "schedule", "put", "-f", "-", "--yes", "-e", f.start(t))
	if code != exitOK || errs != "warning: n0, n1 and 3 more: no live worker has a lane for queue unserved\n" || f.names() != "n0@1 n1@1 n2@1 n3@1 n4@1" {
		t.Errorf("exit code %d %q, %s", code, errs, f.names())
	}
	code, _, errs = cli{in: "[[schedule]]\nname=5\n"}.run(t, "schedule", "put", "-f", "-", "--yes", "-e", "127.0.0.1:1")
	if code != exitUsage || !strings.HasPrefix(errs, "fairlane: standard input:2:1: name = 5: ") {
		t.Errorf("exit code %d %q", code, errs)
	}
	if _, _, errs := (cli{}).run(t, "schedule", "put", "-f", file(t, "empty.toml", "group='g'\n"), "--yes", "-e", f.start(t)); errs != "the file has no [[schedule]]\n" {
		t.Errorf("%q", errs)
	}
}

// TestPutStoppedAsJSON: how far it came is the output, why it stopped is the error.
func TestPutStoppedAsJSON(t *testing.T) {
	f := before()
	looks := 0
	f.between = func(kept map[string]*fairlanev1.ScheduleStatus) {
		if looks++; looks == 2 { // after the last one
			kept["reports/west"] = &fairlanev1.ScheduleStatus{Schedule: &fairlanev1.Schedule{Name: "reports/west"}, Revision: 1}
		}
	}
	code, out, errs := cli{}.run(t, "schedule", "put", "-o", "json", "-f", file(t, "reports.toml", reports), "--yes", "-e", f.start(t))
	var got plan
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitFailed || got.Applied != 1 || !strings.Contains(errs, `after 1 of 2 changes, at schedule reports/west: `) {
		t.Errorf("exit code %d %v\n%s\n%s", code, err, out, errs)
	}
}

// TestLongHistory: -n holds for what waits as well, and what was run by hand is not late.
func TestLongHistory(t *testing.T) {
	f := &fakeNode{}
	f.history = &fairlanev1.ListTicksResponse{Ticks: []*fairlanev1.Tick{{Number: 1, Result: "fired", Reason: "backfill", FirstFireMs: 1000, LastFireMs: 1000, LateMs: 9_000_000_000}}}
	endpoint := f.start(t)
	for waiting, want := range map[int]string{2: "", 3: "and 1 more", 100: "and perhaps more; schedule get counts them"} {
		f.history.Waiting = nil
		for i := range waiting {
			f.history.Waiting = append(f.history.Waiting, &fairlanev1.WaitingTick{FireMs: int64(i + 1), Cause: "backfill"})
		}
		code, out, errs := cli{}.run(t, "schedule", "history", "n", "-n", "2", "-e", endpoint)
		if code != exitOK || strings.Count(out, "Z  backfill") != 2 || !strings.Contains(out, want) || strings.Contains(out, "and ") != (want != "") || strings.Contains(out, "h0m") {
			t.Errorf("%d: exit code %d %q\n%s", waiting, code, errs, out)
		}
	}
}
