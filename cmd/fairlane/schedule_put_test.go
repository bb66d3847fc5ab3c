package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const reports = `group = "reports"

[defaults]
zone = "Europe/Berlin"
kind = "report"

[[schedule]]
name = "reports/north"
spec = "0 2 * * *"
payload = { region = "north" }

[[schedule]]
name = "reports/south"
spec = "5 2 * * *"
jitter = "90s"
backoff = "500ms"

[[schedule]]
name = "reports/west"
spec = "@daily"
queue = "unserved"
`

// before is a cluster that has one of them as it is, one as it was, and two that the file no longer has.
func before() *fakeNode {
	f := &fakeNode{}
	f.keep(
		&fairlanev1.Schedule{Name: "reports/north", Spec: "0 2 * * *", Zone: "Europe/Berlin", Group: "reports",
			Job: &fairlanev1.NewJob{Kind: "report", Payload: &fairlanev1.NewJob_Json{Json: `{"region":"north"}`}}},
		&fairlanev1.Schedule{Name: "reports/south", Spec: "0 3 * * *", Group: "reports", Job: &fairlanev1.NewJob{Kind: "report"}},
		&fairlanev1.Schedule{Name: "reports/old", Spec: "@daily", Group: "reports", Job: &fairlanev1.NewJob{Kind: "report"}},
		&fairlanev1.Schedule{Name: "reports/older", Spec: "@daily", Group: "reports", Job: &fairlanev1.NewJob{Kind: "report"}},
		&fairlanev1.Schedule{Name: "other", Spec: "@daily", Group: "elsewhere", Job: &fairlanev1.NewJob{Kind: "report"}},
	)
	return f
}

const shownPlan = `~ reports/south
    spec: 0 3 * * * -> 5 2 * * *
    zone: (none) -> Europe/Berlin
    jitter: (none) -> 90 s
    backoff: (none) -> 500 ms
+ reports/west
    spec: @daily
    zone: Europe/Berlin
    group: reports
    kind: report
- reports/old
- reports/older
Plan: 1 to add, 1 to change, 2 to prune, 1 unchanged
`

func TestPutFile(t *testing.T) {
	const nothing = "other@1 reports/north@1 reports/old@1 reports/older@1 reports/south@1"
	const all = "other@1 reports/north@1 reports/south@2 reports/west@1"
	const done = `changed reports/south: next 2026-09-21T16:13:20+02:00
added reports/west: next 2026-09-21T16:13:20+02:00
pruned reports/old
pruned reports/older
`
	const soon = "2027-03-27T02:30:00+01:00"
	withNext := strings.NewReplacer("-> 500 ms\n", "-> 500 ms\n    next: 2026-09-21T16:13:20+02:00 -> "+soon+"\n", "kind: report\n", "kind: report\n    next: "+soon+"\n").Replace(shownPlan)
	noPrune := strings.NewReplacer("- reports/old\n", "", "- reports/older\n", "", "2 to prune", "0 to prune").Replace(shownPlan)
	path := file(t, "reports.toml", reports)
	for _, c := range []struct {
		what, args string
		cli        cli
		code       int
		out, errs  string
		after      string
	}{
		{"dry run", "--prune --dry-run", cli{}, 0, withNext, "warning: reports/west: no live worker has a lane for queue unserved\n", nothing},
		{"drift", "--prune --dry-run --exit-code", cli{}, 7, withNext, "warning: reports/west", nothing},
		{"drift of a run", "--prune --yes --exit-code", cli{}, 2, "", "fairlane: fairlane schedule put: --exit-code needs --dry-run\n", nothing},
		{"told yes", "--prune --yes", cli{}, 0, shownPlan + done, "warning: reports/west", all},
		{"asked, yes", "--prune", cli{in: "y\n", terminal: true}, 0, withNext + done, "apply 4 changes? [y/N] ", all},
		{"asked, no", "--prune", cli{in: "\n", terminal: true}, 1, withNext, "fairlane: nothing was changed", nothing},
		{"nobody to ask", "--prune", cli{in: "y\n"}, 2, "",
			"fairlane: fairlane schedule put: say --yes, or --dry-run to see what would change (nobody can be asked: the input is no terminal)\n", nothing},
		{"without prune", "--yes", cli{}, 0, noPrune + strings.SplitAfter(done, "+02:00\n")[0] + strings.SplitAfter(done, "+02:00\n")[1],
			"2 of group reports not in the file; --prune deletes them\n", "other@1 reports/north@1 reports/old@1 reports/older@1 reports/south@2 reports/west@1"},
	} {
		f := before()
		code, out, errs := c.cli.run(t, append(strings.Fields("schedule put -f "+path+" "+c.args), "-e", f.start(t))...)
		if code != c.code || out != c.out || !strings.Contains(errs, c.errs) || f.names() != c.after {
			t.Errorf("%s: exit code %d, after it %s\n%s\nerrors %s\nwant\n%s", c.what, code, f.names(), out, errs, c.out)
		}
		for _, req := range requestsOf[*fairlanev1.PutScheduleRequest](&f.fakeSchedules) {
			if !req.GetDryRun() && (req.GetRepeat().GetNumber() == 0 || req.GetExpectedRevision() != uint64(btoi(req.GetSchedule().GetName() == "reports/south"))) {
				t.Errorf("%s: put %v", c.what, req)
			}
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestPutFileAgain: the second time nothing is left to do, and nobody is asked.
func TestPutFileAgain(t *testing.T) {
	f := before()
	endpoint := f.start(t)
	path := file(t, "reports.toml", reports)
	if code, _, errs := (cli{}).run(t, "schedule", "put", "-f", path, "--prune", "--yes", "-e", endpoint); code != exitOK {
		t.Fatal(errs)
	}
	code, out, errs := cli{terminal: true}.run(t, "schedule", "put", "-f", path, "--prune", "-e", endpoint)
	if code != exitOK || out != "Plan: 0 to add, 0 to change, 0 to prune, 3 unchanged\n" || errs != "" {
		t.Errorf("exit code %d, %q %q", code, out, errs)
	}
	if code, _, errs := (cli{}).run(t, "schedule", "put", "-f", path, "--prune", "--dry-run", "--exit-code", "-e", endpoint); code != exitOK {
		t.Errorf("no drift: exit code %d, %q", code, errs)
	}
}

// TestNextOfPlan: the next fire time is shown where it changes, and not of a paused schedule.
func TestNextOfPlan(t *testing.T) {
	f := &fakeNode{}
	f.keep(&fairlanev1.Schedule{Name: "paused", Spec: "@daily"}, &fairlanev1.Schedule{Name: "same", Spec: "@daily"}, &fairlanev1.Schedule{Name: "other", Spec: "@daily"})
	f.kept["paused"].Paused, f.kept["same"].NextMs = true, 1_806_111_000_000
	endpoint := f.start(t)
	path := file(t, "f.toml", "[defaults]\nspec='@weekly'\nkind='k'\n[[schedule]]\nname='paused'\n[[schedule]]\nname='same'\n[[schedule]]\nname='other'\n")
	_, out, errs := cli{}.run(t, "schedule", "put", "-f", path, "--dry-run", "-e", endpoint)
	if strings.Count(out, "    next: ") != 1 || !strings.Contains(out, "~ other\n    spec: @daily -> @weekly\n    kind: (none) -> k\n    next: 2026-09-21T16:13:20+02:00 -> 2027-03-27T02:30:00+01:00\n") {
		t.Errorf("%q\n%s", errs, out)
	}
	var got plan
	code, out, _ := cli{}.run(t, "schedule", "put", "-f", path, "--dry-run", "--exit-code", "-o", "json", "-e", endpoint)
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitDiffers || got.Schedules[2].Next != "2027-03-27T02:30:00+01:00" ||
		got.Schedules[2].NextBefore != "2026-09-21T16:13:20+02:00" || got.Schedules[1].Next != "" {
		t.Errorf("exit code %d %v\n%s", code, err, out)
	}
}

// TestPutFileInBetween: what somebody else changes after the look is not overwritten, nothing after it is done, and it says how far it came.
func TestPutFileInBetween(t *testing.T) {
	path := file(t, "reports.toml", reports)
	run := func(between func(map[string]*fairlanev1.ScheduleStatus)) (*fakeNode, int, string, string) {
		f := before()
		f.between = between
		code, out, errs := cli{}.run(t, "schedule", "put", "-f", path, "--prune", "--yes", "-e", f.start(t))
		return f, code, strings.TrimPrefix(out, shownPlan), errs
	}
	f, code, out, errs := run(func(kept map[string]*fairlanev1.ScheduleStatus) { kept["reports/south"].Revision = 9 })
	if code != exitFailed || out != "" || f.names() != "other@1 reports/north@1 reports/old@1 reports/older@1 reports/south@9" ||
		!strings.Contains(errs, "after 0 of 4 changes, at schedule reports/south: schedule reports/south was changed meanwhile (STALE_REVISION FL1312)") {
		t.Errorf("a changed one: exit code %d, %q %q, %s", code, out, errs, f.names())
	}
}

// TestPrunePastOthers: one to prune that was changed is kept, one that is gone is no failure.
func TestPrunePastOthers(t *testing.T) {
	for revision, want := range map[uint64]string{1: "pruned x", 2: ""} {
		f := &fakeNode{}
		f.keep(&fairlanev1.Schedule{Name: "x"})
		f.kept["x"].Revision = revision
		endpoint := f.start(t)
		client, err := fairlane.Connect(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		line, err := (&planStep{Name: "x", Action: planPrune, Revision: 1}).apply(t.Context(), client)
		if (err == nil) != (want != "") || want != "" && line != want {
			t.Errorf("revision %d: %q, %v", revision, line, err)
		}
		line, err = (&planStep{Name: "gone", Action: planPrune, Revision: 1}).apply(t.Context(), client)
		if err != nil || line != "somebody else pruned meanwhile: gone" {
			t.Errorf("a gone one: %q, %v", line, err)
		}
		client.Close()
	}
}

// TestPutFileMeanwhile: somebody else's put of a new one is told, and not written over.
func TestPutFileMeanwhile(t *testing.T) {
	path := file(t, "one.toml", "[[schedule]]\nname='n'\nspec='@daily'\nkind='k'\n")
	mine := &fairlanev1.Schedule{Name: "n", Spec: "@daily", Job: &fairlanev1.NewJob{Kind: "k"}}
	for spec, want := range map[string]string{"@daily": "somebody else did the same meanwhile: n: next", "@hourly": "after 0 of 1 change, at schedule n: schedule n was changed meanwhile"} {
		f := &fakeNode{}
		f.between = func(kept map[string]*fairlanev1.ScheduleStatus) {
			theirs := proto.CloneOf(mine)
			theirs.Spec = spec
			kept["n"] = &fairlanev1.ScheduleStatus{Schedule: theirs, Revision: 1, NextMs: 5, Next: "soon"}
		}
		code, out, errs := cli{}.run(t, "schedule", "put", "-f", path, "--yes", "-e", f.start(t))
		if code != btoi(spec == "@hourly") || !strings.Contains(out+errs, want) || f.kept["n"].GetSchedule().GetSpec() != spec {
			t.Errorf("exit code %d %q\n%s", code, errs, out)
		}
	}
}

func TestPutFileAsJSON(t *testing.T) {
	f := before()
	endpoint := f.start(t)
	path := file(t, "reports.toml", reports)
	for _, args := range []string{"--dry-run", "--yes"} {
		var got plan
		code, out, errs := cli{}.run(t, append(strings.Fields("schedule put --prune -o json -f "+path+" "+args), "-e", endpoint)...)
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK || errs != "" {
			t.Fatalf("exit code %d %q %v\n%s", code, errs, err, out)
		}
		if got.Add != 1 || got.Change != 1 || got.Prune != 2 || got.Unchanged != 1 || got.Applied != 4*btoi(args == "--yes") || len(got.Schedules) != 5 || got.Group != "reports" {
			t.Errorf("%s: %+v", args, got)
		}
	}
	if f.names() != "other@1 reports/north@1 reports/south@2 reports/west@1" {
		t.Errorf("after it %s", f.names())
	}
}

// TestPutFileRefused: everything that the cluster refuses is told at once, each with its place in the file, and nothing is put.
func TestPutFileRefused(t *testing.T) {
	path := file(t, "bad.toml", "[[schedule]]\nname='a'\nspec='bad'\nkind='k'\n[[schedule]]\nname='good'\nspec='@daily'\nkind='k'\n[[schedule]]\nname='b'\nspec='@daily'\nkind='k'\nlease='1ms'\n")
	f := &fakeNode{}
	code, out, errs := cli{}.run(t, "schedule", "put", "-f", path, "--yes", "-e", f.start(t))
	want := "fairlane: " + path + ":3:1: schedule a: spec is bad; give five fields\n" +
		path + ":13:1: schedule b: schedule.job.limits.lease_ms is 1; give at least 3000 (BAD_SPEC FL1314)\n"
	if code != exitFailed || out != "" || errs != want || f.names() != "" {
		t.Errorf("exit code %d, %q\n%s\nwant\n%s", code, out, errs, want)
	}
	code, _, errs = cli{}.run(t, "schedule", "put", "n", "--spec", "bad", "--kind", "k", "-e", f.start(t))
	if code != exitFailed || errs != "fairlane: schedule n: spec is bad; give five fields (BAD_SPEC FL1314)\n" {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

// TestPutFileErrors of the file itself, before anybody is asked.
func TestPutFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[[schedule]]\nname='n'\nspec='@daily'\nkind='k'\nmisfire_grce='1m'\n": `:5:1: unknown key "misfire_grce"; did you mean "misfire_grace"?`,
		"[[schedule]]\nname='n'\njitter=5\nlease=6\n":                          ":3:1: jitter = 5: want a duration",
		"[[schedule]\n": ":1:",
		"[[schedule]]\nname='n'\nspec='@daily'\nkind='k'\n": `--prune deletes schedules of the file's group only: begin the file with group = "..."`,
	} {
		path := file(t, "f.toml", text)
		code, _, errs := cli{}.run(t, "schedule", "put", "--prune", "--yes", "-f", path, "-e", "127.0.0.1:1")
		if code != exitUsage || !strings.HasPrefix(errs, "fairlane: "+path) || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %q", text, code, errs)
		}
	}
}

// TestPutOne: flags say everything that a file can say, and nobody is asked.
func TestPutOne(t *testing.T) {
	f := &fakeNode{}
	endpoint := f.start(t)
	args := []string{"schedule", "put", "n", "--spec", "0 2 * * *", "--zone", "Europe/Berlin", "--start", "2027-01-31T09:00:00+01:00", "--end", "2027-02-01T00:00:00Z",
		"--jitter", "90s", "--spread", "--misfire-grace", "unlimited", "--catch-up", "all", "--max-instances", "2", "--overlap", "queue", "--min-interval", "1d",
		"--coordinator", "db", "--description", "d", "--group", "g", "--kind", "k", "--queue", "q", "--user", "u", "--priority", "-3", "--json", `{"n": 1}`,
		"--memory", "1GiB", "--label", "a=1", "--label", "b=2", "--max-attempts", "5", "--lease", "30s", "--heartbeat", "10s", "--max-run", "0s", "--backoff", "0s",
		"--backoff-factor-percent", "150", "--backoff-most", "1h", "--on-timeout", "retry", "--exclusion-window", "0s"}
	code, out, errs := cli{}.run(t, append(args, "-e", endpoint)...)
	if code != exitOK || !strings.HasPrefix(out, "+ n\n    spec: 0 2 * * *\n") || !strings.HasSuffix(out, "unchanged\nadded n: next 2026-09-21T16:13:20+02:00\n") {
		t.Fatalf("exit code %d %q\n%s", code, errs, out)
	}
	want := &fairlanev1.Schedule{
		Name: "n", Spec: "0 2 * * *", Zone: "Europe/Berlin", StartMs: 1_801_382_400_000, EndMs: 1_801_440_000_000, JitterMs: 90_000, Spread: true,
		MisfireGraceMs: proto.Int64(-1), CatchUp: fairlanev1.CatchUp_CATCH_UP_ALL, MaxInstances: 2, Overlap: fairlanev1.Overlap_OVERLAP_QUEUE,
		MinIntervalMs: 86_400_000, Description: "d", Group: "g",
		Job: &fairlanev1.NewJob{Kind: "k", Queue: "q", User: "u", Priority: -3, Payload: &fairlanev1.NewJob_Json{Json: `{"n":1}`}, MemoryBytes: 1 << 30,
			Labels: map[string]string{"a": "1", "b": "2"}, Coordinator: "db", Limits: &fairlanev1.JobLimits{
				MaxAttempts: proto.Int32(5), LeaseMs: proto.Int64(30_000), HeartbeatMs: proto.Int64(10_000), MaxRunMs: proto.Int64(0), BackoffFirstMs: proto.Int64(0),
				BackoffFactorPercent: proto.Int32(150), BackoffMostMs: proto.Int64(3_600_000), OnTimeout: fairlanev1.OnTimeout_ON_TIMEOUT_RETRY.Enum(),
				ExclusionWindowMs: proto.Int64(0)}},
	}
	if got := f.kept["n"].GetSchedule(); !proto.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if code, out, _ := (cli{}).run(t, append(args, "-e", endpoint)...); code != exitOK || out != "Plan: 0 to add, 0 to change, 0 to prune, 1 unchanged\n" {
		t.Errorf("again: exit code %d\n%s", code, out)
	}
	code, out, _ = cli{in: "[1]"}.run(t, "schedule", "put", "n", "--spec", "@daily", "--kind", "k", "--json", "-", "--dry-run", "-e", endpoint)
	if code != exitOK || !strings.Contains(out, `payload: {"n":1} -> [1]`) || f.names() != "n@1" {
		t.Errorf("exit code %d, %s\n%s", code, f.names(), out)
	}
	for _, field := range schedulefile.Fields {
		if flag := "--" + flagName(field.Key); field.Kind != schedulefile.Exact && !strings.Contains(strings.Join(args, " "), flag+" ") && flag != "--spread" {
			t.Errorf("%s is not tried", flag)
		}
	}
}

// TestDocumentedFiles: the files in the manual are ones.
func TestDocumentedFiles(t *testing.T) {
	for _, page := range []string{"cli.md", "schedules.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, block := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(block[1], "[[schedule]]") {
				continue
			}
			found++
			if f, err := schedulefile.Read(file(t, "documented.toml", block[1])); err != nil || len(f.Definitions) == 0 {
				t.Errorf("%s: %v in\n%s", page, err, block[1])
			}
		}
		if found == 0 {
			t.Errorf("docs/%s shows no file with schedules", page)
		}
		for _, field := range schedulefile.Fields {
			if page == "cli.md" && !strings.Contains(string(text), "`"+field.Key+"`") {
				t.Errorf("docs/cli.md does not name %s", field.Key)
			}
		}
	}
}
