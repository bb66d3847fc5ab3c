package main

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// full is a schedule of which everything is said, and nothing as it is by default.
func full() *fairlanev1.Schedule {
	return &fairlanev1.Schedule{
		Name: "reports/north", Spec: "0 2 * * *", Zone: "Europe/Berlin", StartMs: 4_102_444_800_000, EndMs: 4_103_000_000_001, JitterMs: 90_500, Spread: true,
		MisfireGraceMs: proto.Int64(-1), CatchUp: fairlanev1.CatchUp_CATCH_UP_ALL, MaxInstances: 2, Overlap: fairlanev1.Overlap_OVERLAP_QUEUE,
		MinIntervalMs: 86_400_000, Description: "it's \"all\"\nof\tit \\ \x01 ü", Group: "reports",
		Job: &fairlanev1.NewJob{Kind: "k'", Queue: "q", User: "u", Priority: -3, Payload: &fairlanev1.NewJob_Json{Json: `{"n":1}`}, MemoryBytes: 1 << 30,
			Labels: map[string]string{"a": "1", "b c": "", "d": "\"", "é": "'"}, Coordinator: "db", Limits: &fairlanev1.JobLimits{
				MaxAttempts: proto.Int32(5), LeaseMs: proto.Int64(30_000), HeartbeatMs: proto.Int64(10_000), MaxRunMs: proto.Int64(0), BackoffFirstMs: proto.Int64(0),
				BackoffFactorPercent: proto.Int32(150), BackoffMostMs: proto.Int64(10 * 366 * 24 * 3600 * 1000), OnTimeout: fairlanev1.OnTimeout_ON_TIMEOUT_RETRY.Enum(),
				ExclusionWindowMs: proto.Int64(1)}},
	}
}

// jsonPayloads and bytePayloads by the key under which they stand in a file.
var (
	jsonPayloads = map[string][]string{
		"payload = {": {`{}`, `{"a":{"b":[1,2.5,"x",[],{}]},"c":true,"d e":"\u003ctag\u003e"}`, `{"n":9223372036854775807}`, `{"f":1e+21}`},
		"payload = [": {`[]`, `[1,"mixed",{"x":false}]`},
		"payload = 5": {`5`},
		"payload = t": {`true`},
		"payload = '": {`{"a":null}`, `{"b":1,"a":2}`, `{"n":18446744073709551615}`, `{"n":1.0}`, `{"n":-0}`, `"a text"`, `"5"`, `{"a":1,"a":2}`, `{"s":"\ud800"}`},
		`payload = "`: {`null`, `[1,null]`, `{"a":null,"it's":1}`},
		// White space, and what Go's encoder would write in another way.
		"payload_json = '": {`{"a": 1}`, `{"a":"<b>&"}`},
		`payload_json = "`: {` [1]`, "{\n\t\"a\": 1\n}"},
	}
	bytePayloads = map[string][]string{
		`payload = "`:        {"plain text", strings.Repeat("long ", 300), "two\nlines", "nul \x00 and é"},
		`payload = '`:        {`{"no": json`},
		`payload_base64 = "`: {"\xff\xfe", "5", `{"a":1}`},
	}
)

// everyPayload gives a schedule for each kind of payload, and the line that it must have in a file.
func everyPayload() (list []*fairlanev1.Schedule, begins []string) {
	add := func(begin string, job *fairlanev1.NewJob) {
		s := full()
		s.Name = "reports/" + string(rune('a'+len(list)/26)) + string(rune('a'+len(list)%26))
		s.Job.Payload = job.Payload
		list, begins = append(list, s), append(begins, begin)
	}
	for begin, texts := range jsonPayloads {
		for _, text := range texts {
			add(begin, &fairlanev1.NewJob{Payload: &fairlanev1.NewJob_Json{Json: text}})
		}
	}
	for begin, texts := range bytePayloads {
		for _, text := range texts {
			add(begin, &fairlanev1.NewJob{Payload: &fairlanev1.NewJob_Data{Data: []byte(text)}})
		}
	}
	return list, begins
}

// TestScheduleAsTOML: what is printed is put again and changes nothing, whatever the payload is.
func TestScheduleAsTOML(t *testing.T) {
	f := &fakeNode{}
	list, begins := everyPayload()
	none := full()
	none.Name, none.Group, none.Job.Payload = "none", "", nil
	f.keep(append(list, none)...)
	endpoint := f.start(t)
	unchanged := func(text string, n int) {
		t.Helper()
		code, out, errs := cli{}.run(t, "schedule", "put", "-f", file(t, "s.toml", text), "--prune", "--dry-run", "-e", endpoint)
		if code != exitOK || !strings.HasSuffix(out, fmt.Sprintf("Plan: 0 to add, 0 to change, 0 to prune, %d unchanged\n", n)) {
			t.Errorf("exit code %d %s\n%s\n%s", code, errs, out, text)
		}
	}
	code, all, errs := cli{}.run(t, "schedule", "list", "--group", "reports", "-o", "toml", "-e", endpoint)
	if code != exitOK || errs != "" {
		t.Fatalf("exit code %d %q", code, errs)
	}
	unchanged(all, len(list))
	for i, s := range list {
		code, one, errs := cli{}.run(t, "schedule", "get", s.GetName(), "-o", "toml", "-e", endpoint)
		if code != exitOK || !strings.Contains(one, "\n"+begins[i]) || !strings.Contains(all, strings.TrimPrefix(one, "group = \"reports\"\n")) {
			t.Errorf("%v: exit code %d %q, want a line %s\n%s", s.GetJob().GetPayload(), code, errs, begins[i], one)
		}
	}
	_, one, _ := cli{}.run(t, "schedule", "list", "--group", "", "-o", "toml", "-e", endpoint)
	if !strings.HasPrefix(one, "[[schedule]]\nname = \"none\"\n") || strings.Count(one, "[[schedule]]") != 1 {
		t.Errorf("those without a group:\n%s", one)
	}
	code, _, errs = cli{}.run(t, "schedule", "list", "-o", "toml", "-e", endpoint)
	if code != exitUsage || !strings.Contains(errs, `a file has one group, and these schedules are of none, reports: say which with --group, or --group "" for those without one`) {
		t.Errorf("two groups: exit code %d %q", code, errs)
	}
	for _, field := range schedulefile.Fields {
		if !strings.Contains(all, "\n"+field.Key+" = ") {
			t.Errorf("%s is not written", field.Key)
		}
	}
}

// TestTOMLElsewhere: no other verb has it.
func TestTOMLElsewhere(t *testing.T) {
	for _, args := range []string{"job list -o toml", "schedule history n -o toml"} {
		code, _, errs := cli{}.run(t, append(strings.Fields(args), "-e", "127.0.0.1:1")...)
		if code != exitUsage || !strings.Contains(errs, "--output toml: only schedule get and schedule list have it; want table or json") {
			t.Errorf("%s: exit code %d %q", args, code, errs)
		}
	}
	f := &fakeNode{}
	f.keep(full(), &fairlanev1.Schedule{Name: "z", Group: "reports"})
	_, _, errs := cli{}.run(t, "schedule", "list", "-o", "toml", "--limit", "1", "-e", f.start(t))
	if errs != "these are not all: more with --after reports/north\n" {
		t.Errorf("a part: %q", errs)
	}
}
