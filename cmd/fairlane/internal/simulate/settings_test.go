package simulate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func TestSettings(t *testing.T) {
	var flags, file Changes
	for _, c := range [][3]string{
		{"default_mode", "fifo"}, {"multi_user", "false"}, {"max_running_per_user", "3"}, {"lease_ms", "90s"}, {"max_attempts", "2"},
	} {
		if err := flags.Set(c[0], c[1]); err != nil {
			t.Error(err)
		}
	}
	for _, c := range [][2]string{{"mode", "default"}, {"max_running", "0"}, {"on_timeout", "fail"}, {"max_run_ms", "1500"}, {"paused", "true"}} {
		if err := flags.SetQueue("q", c[0], c[1]); err != nil {
			t.Error(err)
		}
	}
	if err := flags.SetLanes("*", "q>*:2"); err != nil {
		t.Error(err)
	}
	if err := flags.AddWorker("v", "r:1@1GiB"); err != nil {
		t.Error(err)
	}
	want := Changes{
		Settings: &logv1.Settings{DefaultMode: logv1.Mode_MODE_FIFO.Enum(), MultiUser: proto.Bool(false), MaxRunningPerUser: proto.Int64(3),
			Limits: &logv1.Limits{LeaseMs: proto.Int64(90_000), MaxAttempts: proto.Int32(2)}},
		Queues: []*logv1.SetQueue{
			{Name: "q", Settings: &logv1.QueueSettings{Mode: logv1.Mode_MODE_UNSPECIFIED.Enum(), MaxRunning: proto.Int64(0),
				Limits: &logv1.Limits{OnTimeout: logv1.OnTimeout_ON_TIMEOUT_FAIL.Enum(), MaxRunMs: proto.Int64(1500)}}},
			{Name: "q", Paused: proto.Bool(true)},
		},
	}
	path := filepath.Join(t.TempDir(), "changes.toml")
	text := `
[settings]
default_mode = "fifo"
multi_user = false
max_running_per_user = 3
lease_ms = "90s"
max_attempts = 2
[queue.q]
mode = "default"
max_running = 0
on_timeout = "fail"
max_run_ms = 1500
paused = true
[lanes]
"*" = "q>*:2"
[worker]
v = "r:1@1GiB"
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]*Changes{"flags": &flags, "file": &file} {
		if !proto.Equal(got.Settings, want.Settings) || len(got.Queues) != 2 || !proto.Equal(got.Queues[0], want.Queues[0]) ||
			!proto.Equal(got.Queues[1], want.Queues[1]) {
			t.Errorf("%s: %v %v", name, got.Settings, got.Queues)
		}
		if len(got.Lanes["*"]) != 1 || len(got.Workers) != 1 || got.Workers[0].Lanes[0].GetMemoryBytes() != 1<<30 {
			t.Errorf("%s: %v %v", name, got.Lanes, got.Workers)
		}
	}
}

func TestWrongSettings(t *testing.T) {
	var c Changes
	for want, err := range map[string]error{
		`there is no setting "max_runing"; there are `: c.Set("max_runing", "1"),
		`there is no setting "limits"`:                 c.Set("limits", "1"),
		`want true or false`:                           c.Set("multi_user", "2"),
		`want a whole number`:                          c.Set("max_attempts", "3000000000"),
		`want milliseconds`:                            c.Set("lease_ms", "soon"),
		`want default, round_robin, fifo`:              c.SetQueue("q", "mode", "lifo"),
		`"a b" cannot be the name`:                     c.SetQueue("a b", "mode", "fifo"),
		`paused="x"`:                                   c.SetQueue("q", "paused", "x"),
		`no number of slots`:                           c.SetLanes("w", "q"),
		`names, each once`:                             c.AddWorker("", "q:1"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	for text, want := range map[string]string{
		"[setings]\na = 1":              "changes.toml:1:2: unknown key",
		"[settings]\nnone = 1":          `there is no setting "none"`,
		"[settings":                     "changes.toml:1:",
		"[queue.q]\nmode = 'lifo'":      "queue q: mode",
		"[lanes]\nw = 'q'":              "no number of slots",
		"[worker]\nw = 3":               "changes.toml:2:",
		"[settings]\nmulti_user = 'no'": "want true or false",
	} {
		path := filepath.Join(t.TempDir(), "changes.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.ReadFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %s, got %v", text, want, err)
		}
	}
}
