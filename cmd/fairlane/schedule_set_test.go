package main

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestSet: what is named is changed, and everything else is as it was.
func TestSet(t *testing.T) {
	for _, c := range []struct {
		args   string
		change func(*fairlanev1.Schedule)
	}{
		{"--spec @weekly --max-instances 7", func(s *fairlanev1.Schedule) { s.Spec, s.MaxInstances = "@weekly", 7 }},
		{"--group= --label x=y", func(s *fairlanev1.Schedule) { s.Group, s.Job.Labels = "", map[string]string{"x": "y"} }},
		{"--json [1] --spread=false", func(s *fairlanev1.Schedule) {
			s.Job.Payload, s.Spread = &fairlanev1.NewJob_Json{Json: "[1]"}, false
		}},
		{"--reset misfire-grace,json,on_timeout,label --lease 40s", func(s *fairlanev1.Schedule) {
			s.MisfireGraceMs, s.Job.Payload, s.Job.Limits.OnTimeout, s.Job.Labels, s.Job.Limits.LeaseMs = nil, nil, nil, nil, proto.Int64(40_000)
		}},
		{"--coordinator= --jitter 0s", func(s *fairlanev1.Schedule) { s.Job.Coordinator, s.JitterMs = "", 0 }},
	} {
		for _, payload := range []string{`{"n":1}`, `{"n": null}`} {
			f := &fakeNode{}
			was := full()
			was.Job.Payload = &fairlanev1.NewJob_Json{Json: payload}
			f.keep(was)
			want := proto.CloneOf(was)
			c.change(want)
			code, out, errs := cli{}.run(t, append(strings.Fields("schedule set reports/north "+c.args), "-e", f.start(t))...)
			if got := f.kept["reports/north"]; code != exitOK || !proto.Equal(got.GetSchedule(), want) || got.GetRevision() != 2 || !strings.HasSuffix(out, "\nchanged reports/north: next 2026-09-21T16:13:20+02:00\n") {
				t.Errorf("%s: exit code %d %q\n%s\ngot  %v\nwant %v", c.args, code, errs, out, got.GetSchedule(), want)
			}
		}
	}
}

// TestSetEverything: each field that a flag can name can be reset, but for two.
func TestSetEverything(t *testing.T) {
	f := &fakeNode{}
	f.keep(full())
	endpoint := f.start(t)
	var all []string
	for _, field := range schedulefile.Fields {
		if field.Kind != schedulefile.Exact && field.Key != "spec" && field.Key != "kind" {
			all = append(all, flagName(field.Key))
		}
	}
	code, _, errs := cli{}.run(t, "schedule", "set", "reports/north", "--reset", strings.Join(all, ","), "-e", endpoint)
	want := &fairlanev1.Schedule{Name: "reports/north", Group: "reports", Spec: "0 2 * * *", Job: &fairlanev1.NewJob{Kind: "k'"}}
	if got := f.kept["reports/north"].GetSchedule(); code != exitOK || !proto.Equal(got, want) {
		t.Errorf("exit code %d %q, got %v", code, errs, got)
	}
}

// TestSetMeanwhile: what somebody else has changed is kept, and read again before it is given up.
func TestSetMeanwhile(t *testing.T) {
	for times, wantCode := range map[int]int{1: exitOK, 2: exitOK, 3: exitFailed} {
		f := &fakeNode{}
		f.keep(full())
		f.between = func(kept map[string]*fairlanev1.ScheduleStatus) { // after the look and before the put
			if times--; times >= 0 {
				s := kept["reports/north"]
				s.Revision++
				s.Schedule = proto.CloneOf(s.Schedule)
				s.Schedule.Description += "!"
			}
		}
		code, out, errs := cli{}.run(t, "schedule", "set", "reports/north", "--priority", "9", "-e", f.start(t))
		s := f.kept["reports/north"].GetSchedule()
		if code != wantCode || !strings.Contains(errs, "somebody else changed reports/north meanwhile: it is read again\n") || !strings.HasSuffix(s.GetDescription(), "!") ||
			(s.GetJob().GetPriority() == 9) != (code == exitOK) || strings.Contains(errs, "STALE_REVISION") != (code != exitOK) {
			t.Errorf("exit code %d %q\n%s\n%v", code, errs, out, s)
		}
	}
}

func TestSetErrors(t *testing.T) {
	f := &fakeNode{}
	f.keep(full())
	endpoint := f.start(t)
	for args, want := range map[string]string{
		"reports/north":                                 "say what to change",
		"reports/north --reset nothing":                 "--reset nothing: there is no field --nothing",
		"reports/north --reset payload_json":            "there is no field --payload_json",
		"reports/north --reset spec":                    "--reset spec: it has no default",
		"reports/north --reset catch_up --catch-up all": "--reset catch_up: it is given as well",
		"reports/north --lease 5":                       `--lease "5": want a duration in quotes`,
		"reports/north --json {":                        `--json "{": want JSON`,
		"reports/nort --priority 1":                     "there is no schedule reports/nort Did you mean reports/north?",
		"reports/north --spec bad":                      "schedule reports/north: spec is bad; give five fields",
	} {
		code, out, errs := cli{}.run(t, append(strings.Fields("schedule set "+args), "-e", endpoint)...)
		if code == exitOK || out != "" || !strings.Contains(errs, want) || f.names() != "reports/north@1" {
			t.Errorf("%s: exit code %d %q %q", args, code, out, errs)
		}
	}
	code, out, _ := cli{}.run(t, "schedule", "set", "reports/north", "--spec", "@daily", "--dry-run", "-e", endpoint)
	if code != exitOK || out != "~ reports/north\n    spec: 0 2 * * * -> @daily\n    next: 2026-09-21T16:13:20+02:00 -> 2027-03-27T02:30:00+01:00\nPlan: 0 to add, 1 to change, 0 to prune, 0 unchanged\n" || f.names() != "reports/north@1" {
		t.Errorf("dry run: exit code %d, %s\n%s", code, f.names(), out)
	}
	var got plan
	code, out, _ = cli{}.run(t, "schedule", "set", "reports/north", "--spec", "@daily", "-o", "json", "-e", endpoint)
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK || got.Applied != 1 || f.names() != "reports/north@2" {
		t.Errorf("as JSON: exit code %d, %v\n%s", code, err, out)
	}
}
