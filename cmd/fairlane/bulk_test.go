package main

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestFilterFlags: every flag of the filter becomes its field, in lists and in bulk changes.
func TestFilterFlags(t *testing.T) {
	flags := "--queue q --user u --kind k --state failed,timed_out --label a=1 --label b=2 --since 2026-11-24T10:00:00Z --until 2026-11-24T12:00:00+01:00 --id-prefix 12 --schedule reports/north"
	want := &fairlanev1.JobFilter{
		Queue: "q", User: "u", Kind: "k", States: []fairlanev1.JobState{fairlanev1.JobState_JOB_STATE_FAILED, fairlanev1.JobState_JOB_STATE_TIMED_OUT},
		Labels:         map[string]string{"a": "1", "b": "2"},
		EnqueuedFromMs: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).UnixMilli(), EnqueuedBeforeMs: time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC).UnixMilli(),
		IdPrefix: "12", Schedule: "reports/north",
	}
	for _, verb := range []string{"job list --before 9", "job retry --all-matching --yes", "job cancel --all-matching --yes"} {
		f := &fakeNode{}
		cli{}.run(t, append(strings.Fields(verb+" "+flags), "-e", f.start(t))...)
		if len(f.asked) == 0 {
			t.Errorf("%s asked nothing", verb)
			continue
		}
		if got := f.asked[0].(interface{ GetFilter() *fairlanev1.JobFilter }).GetFilter(); !proto.Equal(got, want) {
			t.Errorf("%s asked %v", verb, got)
		}
	}
	f := &fakeNode{}
	cli{}.run(t, "job", "list", "--since", "2h", "-e", f.start(t))
	if ago := time.Since(time.UnixMilli(f.list.GetFilter().GetEnqueuedFromMs())); ago < 2*time.Hour || ago > 2*time.Hour+time.Minute {
		t.Errorf("2h became %v", ago)
	}
}

// TestListFollowsPages until the limit is reached, over pages that are empty.
func TestListFollowsPages(t *testing.T) {
	jobs := func(ids ...uint64) (out []*fairlanev1.Job) {
		for _, id := range ids {
			out = append(out, &fairlanev1.Job{Id: id})
		}
		return out
	}
	f := &fakeNode{pages: []*fairlanev1.ListResponse{
		{Jobs: jobs(90), NextBeforeId: 90}, {NextBeforeId: 50}, {Jobs: jobs(49, 48), NextBeforeId: 48}, {Jobs: jobs(1)},
	}}
	code, out, errs := cli{}.run(t, "job", "list", "--limit", "3", "-e", f.start(t))
	if code != exitOK || strings.Count(out, "\n") != 5 || !strings.Contains(out, "more: --before 48") {
		t.Errorf("exit code %d %q\n%s", code, errs, out)
	}
	for i, want := range []*fairlanev1.ListRequest{{Limit: 3}, {Limit: 2, BeforeId: 90}, {Limit: 2, BeforeId: 50}} {
		got := f.asked[i].(*fairlanev1.ListRequest)
		if got.Limit != want.Limit || got.BeforeId != want.BeforeId {
			t.Errorf("page %d asked %v", i, got)
		}
	}
}

func TestBulk(t *testing.T) {
	run := func(c cli, f *fakeNode, args string) (int, string, string) {
		return c.run(t, append(strings.Fields(args), "-e", f.start(t))...)
	}
	real := func(f *fakeNode) (n int) { // steps that change something
		for _, m := range f.asked {
			if r, ok := m.(*fairlanev1.CancelManyRequest); ok && !r.DryRun {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		what, args string
		cli        cli
		unknown    int
		code       int
		out, errs  string
		steps      int
	}{
		{"dry run", "job cancel --all-matching --user u --dry-run", cli{}, 0, 0, "5 jobs would be cancelled\n", "", 0},
		{"told yes", "job cancel --all-matching --user u --yes", cli{}, 0, 0, "5 jobs cancelled\n", "", 3},
		{"nobody to ask", "job cancel --all-matching --user u", cli{in: "y\n"}, 0, 2, "", "--yes", 0},
		{"asked, yes", "job cancel --all-matching --user u", cli{in: "y\n", terminal: true}, 0, 0, "5 jobs cancelled\n", "cancel 5 jobs? [y/N] ", 3},
		{"asked, no", "job cancel --all-matching --user u", cli{in: "\n", terminal: true}, 0, 1, "", "nothing was cancelled", 0},
		{"an unknown outcome", "job cancel --all-matching --user u --yes", cli{}, 2, 0, "at least 5 jobs cancelled\n", "", 5},
	} {
		f := &fakeNode{unknown: c.unknown}
		code, out, errs := run(c.cli, f, c.args)
		if code != c.code || out != c.out || !strings.Contains(errs, c.errs) || real(f) != c.steps {
			t.Errorf("%s: exit code %d, %q, %q, %d steps", c.what, code, out, errs, real(f))
		}
	}
	f := &fakeNode{}
	_, out, _ := run(cli{}, f, "job cancel --all-matching --user u --yes -o json")
	if !strings.Contains(out, `"matched": "5"`) || !strings.Contains(out, `"changed": "5"`) || f.asked[2].(*fairlanev1.CancelManyRequest).BeforeId != 20 {
		t.Errorf("as JSON %s, asked %v", out, f.asked)
	}
	f = &fakeNode{}
	code, out, errs := run(cli{}, f, "job retry --all-matching --user u --yes")
	if code != exitFailed || out != "3 jobs run again\n" || !strings.Contains(errs, "the cluster is full (STATE_FULL FL1401)") || len(f.asked) != 1 {
		t.Errorf("a full cluster: exit code %d, %q %q, asked %v", code, out, errs, f.asked)
	}
}

func TestCancelAndRetrySeveral(t *testing.T) {
	f := &fakeNode{}
	endpoint := f.start(t)
	code, out, errs := cli{}.run(t, "job", "cancel", "7", "8", "-e", endpoint)
	if code != exitOK || out != "cancelled job 7\njob 8 was cancelled before\n" {
		t.Errorf("exit code %d, %q %q", code, out, errs)
	}
	code, out, errs = cli{}.run(t, "job", "retry", "7", "9", "-e", endpoint)
	if code != exitOK || out != "107\n109\n" {
		t.Errorf("exit code %d, %q %q", code, out, errs)
	}
}

func TestWhyText(t *testing.T) {
	lane := &fairlanev1.LaneRef{Worker: "w1", Lane: 1, Text: "manual>*:4"}
	f := &fakeNode{why: &fairlanev1.WhyResponse{
		Id: 12, State: fairlanev1.JobState_JOB_STATE_PENDING, Index: 500, ClockMs: 1_790_000_000_000, Summary: "Job 12 waits: queue manual is paused.",
		Lines: []*fairlanev1.LinePlace{
			{Line: "manual", Mode: "round_robin", UserPosition: 3, UserWaiting: 20, Ahead: 492, Waiting: 1000, UsersAhead: 12,
				Users: []*fairlanev1.UserAhead{{User: "ben", Jobs: 400}, {Jobs: 90}}},
			{Line: "*", Mode: "fifo", UserPosition: 1, UserWaiting: 2, Waiting: 9},
		},
		Constraints: []*fairlanev1.Constraint{{Text: "queue manual is paused"}, {Text: "492 jobs of 12 users go first"}},
		Start:       []*fairlanev1.Change{{Text: "resume queue manual"}}, Lane: lane, StepsDropped: 4,
		Steps: []*fairlanev1.Step{
			{Rule: "enqueued", Index: 9, AtMs: 1_790_000_000_000, Text: "enqueued"},
			{Rule: "claimed", Index: 101, AtMs: 1_790_000_001_000, Text: "claimed by worker w1 lane 1, attempt 1"},
		},
	}}
	code, out, errs := cli{}.run(t, "job", "why", "12", "-e", f.start(t))
	want := `Job 12 waits: queue manual is paused.
pending, at log index 500, 2026-09-21T14:13:20.000Z

In line:
  manual (round_robin): 492 of 1000 go first; number 3 of the user's 20; ahead: ben 400, - 90, and 10 more users
  * (fifo): 0 of 9 go first; number 1 of the user's 2

What binds:
  queue manual is paused
  492 jobs of 12 users go first

The smallest change that starts it on worker w1 lane 1 manual>*:4:
  resume queue manual

Steps:
  INDEX  TIME                      RULE      TEXT
  9      2026-09-21T14:13:20.000Z  enqueued  enqueued
  ...                                        4 further steps are no longer kept
  101    2026-09-21T14:13:21.000Z  claimed   claimed by worker w1 lane 1, attempt 1
`
	if code != exitOK || out != want {
		t.Errorf("exit code %d %q\n%s\nwant\n%s", code, errs, out, want)
	}
	if f.asked[0].(*fairlanev1.WhyRequest).Id != 12 {
		t.Errorf("asked %v", f.asked)
	}
}

func TestOrderFlags(t *testing.T) {
	for args, want := range map[string]*fairlanev1.PreviewOrderRequest{
		"queue order manual -n 5":          {Queue: "manual", Limit: 5},
		"queue order --worker w1 --lane 2": {Worker: "w1", Lane: 2, Limit: 20},
		"queue order --worker w1 -n 1000":  {Worker: "w1", Limit: 1000},
		"queue order manual --number 20":   {Queue: "manual", Limit: 20},
	} {
		f := &fakeNode{}
		code, _, errs := cli{}.run(t, append(strings.Fields(args), "-e", f.start(t))...)
		if code != exitOK || len(f.asked) != 1 || !proto.Equal(f.asked[0], want) {
			t.Errorf("%s: exit code %d %q, asked %v", args, code, errs, f.asked)
		}
	}
}
