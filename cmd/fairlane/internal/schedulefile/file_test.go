package schedulefile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/client"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const whole = `
group = "reports"

[defaults]
zone = "Europe/Berlin"
queue = "bulk"
labels = { team = "voice", tier = "1" }
misfire_grace = "20m"
max_attempts = 3

[[schedule]]
name = "nightly"
spec = "0 2 * * mon-fri"
kind = "report"
payload = { region = "north", n = 7, since = 2026-01-01, at = 2026-01-01T01:02:03.5Z, list = [1.5, true] }

[[schedule]]
name = "sweep/all"
spec = "@every 90s"
zone = "UTC"
start = 2027-01-31T09:00:00+01:00
end = 2027-02-28T09:00:00Z
jitter = "1m30s"
spread = true
misfire_grace = "unlimited"
catch_up = "all"
max_instances = 2
overlap = "queue"
min_interval = "1d12h"
coordinator = "db"
description = "all of it"
kind = "sweep"
queue = "fast"
user = "ana"
priority = -4
payload = '{"b":1, "a":2}'
memory = "512MiB"
max_attempts = 5
lease = "30s"
heartbeat = "10s"
max_run = "0s"
backoff = "500ms"
backoff_factor_percent = 150
backoff_most = "1w"
on_timeout = "fail"
exclusion_window = "2m"
[schedule.labels]
tier = "2"

[[schedule]]
name = "bytes"
spec = "@daily"
kind = "k"
payload = "plain text"
`

func TestWholeFile(t *testing.T) {
	f, err := Parse("f.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if f.Group != "reports" || len(f.Definitions) != 3 {
		t.Fatalf("got %+v", f)
	}
	job := func(d *Definition) *fairlanev1.NewJob {
		n := d.Job()
		m := &fairlanev1.NewJob{Kind: n.Kind}
		for _, option := range n.Options {
			option(m)
		}
		switch p := n.Args.(type) {
		case json.RawMessage:
			m.Payload = &fairlanev1.NewJob_Json{Json: string(p)}
		case fairlane.Raw:
			m.Payload = &fairlanev1.NewJob_Data{Data: p}
		}
		return m
	}
	berlin, utc := f.Definitions[0], f.Definitions[1]
	if got, want := berlin.Schedule, (fairlane.Schedule{Name: "nightly", Spec: "0 2 * * mon-fri", Zone: "Europe/Berlin", MisfireGrace: 20 * time.Minute, Group: "reports"}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	wantJob := &fairlanev1.NewJob{Kind: "report", Queue: "bulk", Labels: map[string]string{"team": "voice", "tier": "1"},
		Payload: &fairlanev1.NewJob_Json{Json: `{"at":"2026-01-01T01:02:03.5Z","list":[1.5,true],"n":7,"region":"north","since":"2026-01-01"}`},
		Limits:  &fairlanev1.JobLimits{MaxAttempts: proto.Int32(3)}}
	if got := job(berlin); !proto.Equal(got, wantJob) {
		t.Errorf("got  %v\nwant %v", got, wantJob)
	}
	start := time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC)
	got, want := utc.Schedule, fairlane.Schedule{
		Name: "sweep/all", Spec: "@every 90s", Zone: "UTC", Jitter: 90 * time.Second, Spread: true, MisfireGrace: fairlane.Unlimited, CatchUp: fairlane.CatchUpAll,
		MaxInstances: 2, Overlap: fairlane.OverlapQueue, MinInterval: 36 * time.Hour, Coordinator: "db", Group: "reports", Description: "all of it",
	}
	if !got.Start.Equal(start) || !got.End.Equal(time.Date(2027, 2, 28, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("from %v to %v", got.Start, got.End)
	}
	got.Start, got.End = time.Time{}, time.Time{}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	wantJob = &fairlanev1.NewJob{Kind: "sweep", Queue: "fast", User: "ana", Priority: -4, MemoryBytes: 512 << 20,
		Labels: map[string]string{"team": "voice", "tier": "2"}, Payload: &fairlanev1.NewJob_Json{Json: `{"b":1, "a":2}`}, Limits: &fairlanev1.JobLimits{
			MaxAttempts: proto.Int32(5), LeaseMs: proto.Int64(30_000), HeartbeatMs: proto.Int64(10_000), MaxRunMs: proto.Int64(0), BackoffFirstMs: proto.Int64(500),
			BackoffFactorPercent: proto.Int32(150), BackoffMostMs: proto.Int64(7 * 24 * 3_600_000), OnTimeout: fairlanev1.OnTimeout_ON_TIMEOUT_FAIL.Enum(),
			ExclusionWindowMs: proto.Int64(120_000)}}
	if got := job(utc); !proto.Equal(got, wantJob) {
		t.Errorf("got  %v\nwant %v", got, wantJob)
	}
	if got := job(f.Definitions[2]); string(got.GetData()) != "plain text" {
		t.Errorf("got %v", got)
	}
}

// TestPayloadForms: the form that a schedule has replaces the one of the defaults, whichever it is.
func TestPayloadForms(t *testing.T) {
	for _, usual := range []string{"payload = 1", "payload_json = ' 2'", "payload_base64 = 'Mw=='"} {
		for own, want := range map[string]any{"payload = 1": json.RawMessage("1"), "payload_json = ' 2'": exactJSON(" 2"), "payload_base64 = 'Mw=='": fairlane.Raw("3")} {
			f, err := Parse("f.toml", []byte("[defaults]\n"+usual+"\n[[schedule]]\nname='n'\nspec='@daily'\nkind='k'\n"+own))
			if err != nil || !reflect.DeepEqual(f.Definitions[0].payload, want) {
				t.Errorf("%s, %s: %v", usual, own, err)
			}
		}
	}
}

// TestProblems: each has its line and column and says what would be right.
func TestProblems(t *testing.T) {
	const head = "[[schedule]]\nname = 'n'\nspec = '@daily'\nkind = 'k'\n"
	for text, want := range map[string]string{
		"a = [":                                      "f.toml:1:6: expected character ]",
		"a = 1\na = 2":                               "f.toml:",
		head + "x":                                   "f.toml:5:2: expected = after a key, but the document ends there",
		"grup = 'x'":                                 `f.toml:1:1: unknown key "grup"; did you mean "group"?`,
		"nonsense = 1":                               `f.toml:1:1: unknown key "nonsense"; known are group, defaults and schedule`,
		"zone = 'UTC'":                               `f.toml:1:1: unknown key "zone"; it belongs into [defaults] or a [[schedule]]`,
		"group = 1":                                  `f.toml:1:1: group = 1: want text in quotes`,
		"group = ''":                                 `f.toml:1:1: group = "": want a name, or leave it out`,
		"schedule = 1":                               `f.toml:1:1: schedule = 1: want tables, each under [[schedule]]`,
		"schedule=[1]":                               `f.toml:1:1: schedule number 1 is 1: want a table`,
		"defaults = 1":                               `f.toml:1:1: defaults = 1: want a table, under [defaults]`,
		"\n[schedule]\nname='n'":                     "f.toml:2:2: schedule is one table: write [[schedule]], with two brackets, before each of them",
		head + "misfire_grce = '1m'":                 `f.toml:5:1: unknown key "misfire_grce"; did you mean "misfire_grace"?`,
		head + "group = 'g'":                         `f.toml:5:1: unknown key "group"; the group stands at the top of the file, for all of its schedules`,
		head + "frobnicate = 1":                      `f.toml:5:1: unknown key "frobnicate"; known are name, spec, zone, start,`,
		head + "[schedule.limits]\nlease='3s'":       `f.toml:5:2: unknown key "limits"; known are name, spec,`,
		head + "zone = 1":                            `f.toml:5:1: zone = 1: want text in quotes`,
		head + "start = 2027-01-01":                  `f.toml:5:1: start = 2027-01-01: want a time with its offset, such as 2027-01-31T09:00:00+01:00 or 2027-01-31T08:00:00Z`,
		head + "end = 2027-01-01T00:00:00":           `f.toml:5:1: end = 2027-01-01T00:00:00: want a time with its offset,`,
		head + "end = 1969-01-01T00:00:00Z":          `f.toml:5:1: end = 1969-01-01T00:00:00Z: want a time with its offset,`,
		head + "jitter = 90":                         `f.toml:5:1: jitter = 90: want a duration in quotes, such as "90s", "10m", "1h30m" or "2d", in whole milliseconds`,
		head + "jitter = '90'":                       `f.toml:5:1: jitter = "90": want a duration in quotes,`,
		head + "jitter = ''":                         `f.toml:5:1: jitter = "": want a duration in quotes,`,
		head + "jitter = '-1s'":                      `f.toml:5:1: jitter = "-1s": want a duration in quotes,`,
		head + "jitter = '1500us'":                   `f.toml:5:1: jitter = "1500us": want a duration in quotes,`,
		head + "spread = 'yes'":                      `f.toml:5:1: spread = "yes": want true or false`,
		head + "misfire_grace = 'none'":              `f.toml:5:1: misfire_grace = "none": want a duration in quotes, such as "90s", "10m", "1h30m" or "2d", in whole milliseconds; or "unlimited"`,
		head + "misfire_grace = '0s'":                `f.toml:5:1: misfire_grace = "0s": want at least "1ms", or "unlimited"; leave it out for the larger of a minute and one period`,
		head + "catch_up = 'none'":                   `f.toml:5:1: catch_up = "none": want "latest", "all" or "skip"`,
		head + "max_instances = 0":                   `f.toml:5:1: max_instances = 0: want 1 to 1000`,
		head + "max_instances = 1.5":                 `f.toml:5:1: max_instances = 1.5: want a whole number`,
		head + "overlap = true":                      `f.toml:5:1: overlap = true: want "skip" or "queue"`,
		head + "priority = 3000000000":               `f.toml:5:1: priority = 3000000000: want a whole number`,
		head + "payload = { x = inf }":               `f.toml:5:1: payload = {...}: want what JSON can say: it has no infinity and no nan`,
		head + "payload_json = 'x'":                  `f.toml:5:1: payload_json = "x": want JSON as text, in quotes`,
		head + "payload_base64 = '!'":                `f.toml:5:1: payload_base64 = "!": want bytes in base64, in quotes`,
		head + "payload = 1\npayload_json = '1'":     `f.toml:6:1: payload_json: the payload is given already, in another form`,
		"[defaults]\npayload = 1\npayload_base64=''": `f.toml:3:1: payload_base64: the payload is given already, in another form`,
		head + "memory = '5MB'":                      `f.toml:5:1: memory = "5MB": want a whole number of B, KiB, MiB or GiB in quotes, such as "512MiB"`,
		head + "labels = ['a']":                      `f.toml:5:1: labels = [...]: want a table of texts, such as { team = "voice" }`,
		head + "labels = { a = 1 }":                  `f.toml:5:1: labels = {...}: want a table of texts,`,
		head + "max_attempts = '3'":                  `f.toml:5:1: max_attempts = "3": want a whole number`,
		head + "lease = 30":                          `f.toml:5:1: lease = 30: want a duration in quotes,`,
		head + "on_timeout = 'never'":                `f.toml:5:1: on_timeout = "never": want "retry" or "fail"`,
		head + "\n" + head:                           "f.toml:7:1: schedule n is in line 2 already",
		"[defaults]\nname = 'n'":                     "f.toml:2:1: each schedule has a name of its own",
		"[defaults]\nzone = 5\n" + head:              "f.toml:2:1: zone = 5: want text in quotes",
		"[[schedule]]\nspec='@daily'\nkind='k'":      "f.toml:1:3: schedule number 1: name is missing",
		"[[schedule]]\nname = 5":                     "f.toml:2:1: name = 5: want text in quotes",
		"[[schedule]]\nname = 'n'\nkind = 'k'":       `f.toml:1:3: schedule n: spec is missing: say when it fires, for example "0 2 * * mon-fri", "@daily" or "@every 90s"`,
		"[[schedule]]\nname = 'n'\nspec = '@daily'":  `f.toml:1:3: schedule n: kind is missing: it names the handler of the jobs`,
	} {
		f, err := Parse("f.toml", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\ngot  %v %+v\nwant %s", text, err, f, want)
		}
	}
}

// TestAllProblemsAtOnce, in the order of the file; not more than can be read.
func TestAllProblemsAtOnce(t *testing.T) {
	_, err := Parse("f.toml", []byte("[[schedule]]\nname = 'n'\njitter = 1\nspec = 2\n[defaults]\nqueue = 3\n"))
	want := `f.toml:3:1: jitter = 1: want a duration in quotes, such as "90s", "10m", "1h30m" or "2d", in whole milliseconds
f.toml:4:1: spec = 2: want text in quotes
f.toml:6:1: queue = 3: want text in quotes`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = Parse("f.toml", []byte(strings.Repeat("[[schedule]]\nspec='@daily'\nkind='k'\n", 30)))
	if got := strings.Split(err.Error(), "\n"); len(got) != 21 || got[20] != "and 10 more" || got[19] != "f.toml:58:3: schedule number 20: name is missing" {
		t.Errorf("got %d lines: %s", len(got), got[len(got)-2:])
	}
}

// TestPlaces: of tables, of keys in them, of dotted keys, and not of what only looks like them.
func TestPlaces(t *testing.T) {
	p := findPlaces([]byte("group = 'x'\ndefaults.zone = 'y'\n[[schedule]]\ndescription = '''\n[[schedule]]\nname = 'no'\n'''\n  name = 'n'\n" +
		"[schedule.payload]\nx = 1\n[[schedule]]\n\"name\" = 'm'\n[[schedule.payload]]\ny = 1\n"))
	for path, want := range map[string]place{
		"group": {1, 1}, "defaults": {2, 1}, "defaults.zone": {2, 1}, "schedule": {3, 3}, "schedule.0": {3, 3}, "schedule.0.description": {4, 1},
		"schedule.0.name": {8, 3}, "schedule.0.payload": {9, 2}, "schedule.0.payload.x": {10, 1}, "schedule.1": {11, 3}, "schedule.1.name": {12, 1},
		"schedule.1.nothing": {11, 3}, "schedule.1.payload": {13, 3}, "nothing": {},
	} {
		if got := p.of(path); got != want {
			t.Errorf("%s is at %v, want %v", path, got, want)
		}
	}
}

func TestFieldKey(t *testing.T) {
	known := map[string]bool{"name": true, "group": true}
	for _, f := range Fields {
		known[f.Key] = true
	}
	for _, field := range []string{
		"schedule.name", "spec", "zone", "schedule.start_ms", "end_ms", "jitter_ms", "spread", "misfire_grace_ms", "catch_up", "max_instances", "overlap", "min_interval_ms",
		"group", "description", "job.kind", "schedule.job.queue", "job.user", "job.priority", "job.payload", "schedule.job.json", "job.data", "job.memory_bytes",
		"job.coordinator", "job.labels", "job.limits.lease_ms", "job.limits.heartbeat_ms", "job.limits.max_attempts", "job.limits.backoff_first_ms",
		"job.limits.backoff_factor_percent", "job.limits.backoff_most_ms", "job.limits.on_timeout", "schedule.job.limits.max_run_ms", "job.limits.exclusion_window_ms",
	} {
		if key := FieldKey(field); !known[key] {
			t.Errorf("%s became %s", field, key)
		}
	}
	if FieldKey("job.limits.backoff_first_ms") != "backoff" || FieldKey("schedule.job.json") != "payload" {
		t.Error("renamed fields")
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.toml")
	if _, err := Read(path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("group = 'g'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Read(path); err != nil || f.Group != "g" || len(f.Definitions) != 0 || f.Path != path {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestErrorHasItsPlace(t *testing.T) {
	f, err := Parse("f.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"spec": "f.toml:19:1: schedule sweep/all: no", "group": "f.toml:17:3: schedule sweep/all: no"} {
		if got := f.Definitions[1].Error(key, "no").Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := New("n").Error("spec", "no").Error(); got != "schedule n: no" {
		t.Errorf("got %s", got)
	}
}

// TestOtherFormats: who brings YAML or JSON is told which format it is, instead of where TOML's grammar ends.
func TestOtherFormats(t *testing.T) {
	for text, other := range map[string]bool{
		"group: billing\nschedule:\n  - name: x\n":        true,
		"# mine\n\n---\nschedule: []\n":                   true,
		"- name: x\n":                                     true,
		"{\"group\": \"x\"}":                              true,
		"\"group\": x":                                    true,
		"group = \n":                                      false,
		"[[schedule]\n":                                   false,
		"[[schedule]]\nname = 'a'\nspec: '@daily'\n":      false,
		"group = 'a'\n[[schedule]]\npayload = { a: 1 }\n": false,
	} {
		_, err := Parse("f", []byte(text))
		if err == nil || strings.Contains(err.Error(), "not TOML") != other {
			t.Errorf("%q: %v", text, err)
		}
	}
}
