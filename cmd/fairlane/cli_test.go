package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// beMain in the environment makes this test binary the command that it tests.
const beMain = "TEST_BINARY_IS_FAIRLANE"

func TestMain(m *testing.M) {
	if os.Getenv(beMain) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// cli is one run of the command line in this process.
type cli struct {
	env      map[string]string
	in       string
	terminal bool
	silence  time.Duration
}

func (c cli) run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	return c.runIn(t.Context(), args...)
}

func (c cli) runIn(ctx context.Context, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	a := newApp(strings.NewReader(c.in), &stdout, &stderr, func(name string) (string, bool) {
		v, ok := c.env[name]
		return v, ok
	})
	a.terminal = c.terminal
	if c.silence > 0 {
		a.silence = c.silence
	}
	code = a.run(ctx, args)
	return code, stdout.String(), stderr.String()
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUsageErrors: what cannot be meant is refused with exit code 2 and a sentence, before anything is opened or asked.
func TestUsageErrors(t *testing.T) {
	data := t.TempDir()
	typo := file(t, "typo.toml", "[node]\nlisten = '127.0.0.1:0'\nlisen = 'x'\n")
	badType := file(t, "type.toml", "[node]\nbootstrap = 'yes'\n")
	for _, c := range []struct {
		args string
		env  map[string]string
		want string
	}{
		{args: "jbo list", want: `unknown verb "jbo" for "fairlane"; did you mean "job"?`},
		{args: "job lst", want: `did you mean "list"?`},
		{args: "job", want: ""},
		{args: "job get", want: "accepts 1 arg(s), received 0"},
		{args: "job get x", want: `"x" is not the id of a job`},
		{args: "job get 0", want: `"0" is not the id of a job`},
		{args: "job list --limit 0", want: "--limit 0"},
		{args: "job list --state done", want: `--state "done"`},
		{args: "job list --nosuch", want: "unknown flag: --nosuch"},
		{args: "job list -o yaml", want: `--output "yaml": want table or json`},
		{args: "job list", env: map[string]string{"FAIRLANE_OUTPUT": "yaml"}, want: `--output "yaml"`},
		{args: "job list", env: map[string]string{"FAIRLANE_TIMEOUT": "soon"}, want: `FAIRLANE_TIMEOUT = "soon"`},
		{args: "job list --since yesterday", want: `--since "yesterday": want how long ago`},
		{args: "job list --until -2h", want: `--until "-2h"`},
		{args: "job list --id-prefix 1a", want: `--id-prefix "1a"`},
		{args: "job list --limit 100001", want: "want 1 to 100000"},
		{args: "job cancel", want: "name at least one job"},
		{args: "job cancel 7 x", want: `"x" is not the id of a job`},
		{args: "job cancel 7 --all-matching --user u", want: "not both"},
		{args: "job cancel --all-matching", want: "select jobs with at least one of --queue"},
		{args: "job cancel --user u", want: "say --all-matching"},
		{args: "job cancel --dry-run", want: "say --all-matching"},
		{args: "job retry --all-matching --user u", want: "say --yes"},
		{args: "job why x", want: `"x" is not the id of a job`},
		{args: "job logs x", want: `"x" is not the id of a job`},
		{args: "job logs 7 --attempt -1", want: "--attempt -1"},
		{args: "queue order", want: "name a queue, or a worker"},
		{args: "queue order q --worker w", want: "name a queue, or a worker"},
		{args: "queue order q --lane 1", want: "--lane needs --worker"},
		{args: "queue order q -n 0", want: "-n 0: want 1 to 1000"},
		{args: "queue users q --limit 0", want: "--limit 0"},
		{args: "queue watch q --every -1s", want: "--every -1s"},
		{args: "events --job x", want: `"x" is not the id of a job`},
		{args: "events --state done", want: `--state "done"`},
		{args: "log explain 0", want: `"0" is not the index of a log entry`},
		{args: "log show x", want: `"x" is not the index of a log entry`},
		{args: "log tail -n 0", want: "-n 0: want 1 to 1000"},
		{args: "schedule", want: ""},
		{args: "schedule lst", want: `did you mean "list"?`},
		{args: "schedule list --limit 0", want: "--limit 0: want 1 to 100000"},
		{args: "schedule get", want: "accepts 1 arg(s), received 0"},
		{args: "schedule put", want: "name a schedule, or a file with -f"},
		{args: "schedule put n -f x.toml", want: "not both"},
		{args: "schedule put n --prune --spec @daily --kind k", want: "--prune needs a file (-f)"},
		{args: "schedule put -f x.toml --queue q", want: "--queue is for one schedule; with -f say it in the file"},
		{args: "schedule put -f x.toml --group g", want: "--group is for one schedule"},
		{args: "schedule put -f /no/such/file.toml", want: "/no/such/file.toml"},
		{args: "schedule put n --kind k", want: "schedule put n: --spec is missing: say when it fires"},
		{args: "schedule put n --spec @daily", want: "--kind is missing: it names the handler"},
		{args: "schedule put n --spec @daily --kind k --jitter 5", want: `--jitter "5": want a duration`},
		{args: "schedule put n --spec @daily --kind k --misfire-grace none", want: `or "unlimited"`},
		{args: "schedule put n --spec @daily --kind k --catch-up none", want: `--catch-up "none": want "latest", "all" or "skip"`},
		{args: "schedule put n --spec @daily --kind k --max-instances 0", want: `--max-instances "0": want 1 to 1000`},
		{args: "schedule put n --spec @daily --kind k --start tomorrow", want: `--start "tomorrow": want a time with its offset`},
		{args: "schedule put n --spec @daily --kind k --memory 5MB", want: `--memory "5MB": want a whole number of B, KiB`},
		{args: "schedule put n --spec @daily --kind k --json hello", want: `--json "hello": want JSON, @FILE, or - for the standard input`},
		{args: "schedule put n --spec @daily --misfire-grce 5s", want: "unknown flag: --misfire-grce"},
		{args: "schedule delete n", want: "say --yes (nobody can be asked: the input is no terminal)"},
		{args: "schedule backfill n --from 2h", want: "say both --from and --to"},
		{args: "schedule backfill n --from 2h --to soon", want: `--to "soon"`},
		{args: "schedule backfill n --from early --to 1h", want: `--from "early"`},
		{args: "schedule backfill n --from 1h --to 2h", want: "--to 2h is before --from 1h"},
		{args: "schedule history n -n 0", want: "-n 0: want 1 to 1000"},
		{args: "schedule next", want: "name a schedule, or give a --spec"},
		{args: "schedule next n --spec @daily", want: "not both"},
		{args: "schedule next n --zone UTC", want: "not both"},
		{args: "schedule next n -n 1001", want: "-n 1001: want 1 to 1000"},
		{args: "schedule next --spec @daily --end never", want: `--end "never": want a time with its offset`},
		{args: "schedule next n --from soon", want: `--from "soon"`},
		{args: "coordinator get", want: "accepts 1 arg(s), received 0"},
		{args: "queue set q --mode lifo", want: `--mode "lifo"`},
		{args: "queue set q --on-timeout never", want: `--on-timeout "never"`},
		{args: "enqueue", want: "accepts between 1 and 2 arg(s), received 0"},
		{args: "enqueue k --memory 5MB", want: `--memory "5MB"`},
		{args: "enqueue k --in 5s --at 2026-01-01T00:00:00Z", want: "--in and --at exclude each other"},
		{args: "enqueue k --at tomorrow", want: `--at "tomorrow"`},
		{args: "work", want: "requires at least 1 arg(s)"},
		{args: "work --lanes a:1 --capacity 2 -- true", want: "lanes and capacity exclude each other"},
		{args: "work --workloops a:1 --capacity 2 -- true", want: "lanes and capacity exclude each other"},
		{args: "work --lanes a:1 -- true", env: map[string]string{"FAIRLANE_CAPACITY": "2"}, want: "lanes and capacity exclude each other"},
		{args: "work --capacity 0 -- true", want: "count_below_one"},
		{args: "work --capacity 05 -- true", want: "invalid_count"},
		{args: "work -- true", env: map[string]string{"FAIRLANE_LANES": ""}, want: "empty_config"},
		{args: "work --lanes manual -- true", want: "missing_count"},
		{args: "work -- --lanes manual -- true", want: "missing_count"},
		{args: "server", want: "--data is not set"},
		{args: "server --data " + data + " --listen 0.0.0.0:7171", want: "say --insecure-listen"},
		{args: "server --data " + data + " --listen 0.0.0.0:7171", want: "--advertise is not set"},
		{args: "server --data " + data + " --listen :7171 --insecure-listen", want: "--advertise is not set"},
		{args: "server --data " + data + " --listen 10.0.0.1:7171", want: "say --insecure-listen"},
		{args: "server --data " + data + " --raft 0.0.0.0:7172 --insecure-listen", want: "--raft-advertise is not set"},
		{args: "server --data " + data + " --raft 10.0.0.1:7172", want: "--raft 10.0.0.1:7172 is not a loopback address"},
		{args: "server --data " + data + " --listen 0.0.0.0:1 --insecure-listen --advertise 0.0.0.0:1", want: "--advertise 0.0.0.0:1: others cannot reach that"},
		{args: "server --data " + data + " --listen 7171", want: `--listen "7171": want host:port`},
		{args: "server --data " + data + " --log-store bolt", want: `--log-store "bolt": want raft-wal or raft-boltdb`},
		{args: "server --data " + data + " --log-level loud", want: `--log-level "loud"`},
		{args: "server", env: map[string]string{"FAIRLANE_DATA": data, "FAIRLANE_LISTEN": "10.0.0.1:1"}, want: "--listen 10.0.0.1:1"},
		{args: "server --config " + typo, want: `typo.toml:3:1: unknown key "node.lisen"; did you mean "node.listen"?`},
		{args: "server --config " + badType, want: "type.toml:2:"},
		{args: "server", env: map[string]string{"FAIRLANE_CONFIG": typo}, want: "typo.toml:3:1"},
		{args: "server --config /no/such/file.toml", want: "/no/such/file.toml"},
		{args: "dev --nodes 0", want: "--nodes 0"},
		{args: "dev --port 70000", want: "--port 70000"},
		{args: "demo --log-store none", want: "--log-store"},
		{args: "trace record", want: "accepts 1 arg(s), received 0"},
		{args: "trace record " + data + "/x --for 2h", want: "--for 2h0m0s"},
		{args: "trace save x", want: "--data is not set"},
		{args: "simulate x --set multi_user", want: `--set "multi_user": want key=value`},
		{args: "simulate x --set-queue q=3", want: `--set-queue "q=3": want queue:key=value`},
		{args: "simulate x --set-queue q:mode=lifo", want: "want default, round_robin, fifo"},
		{args: "simulate x --lanes w=q", want: "it has no number of slots"},
		{args: "simulate x --order -1", want: "cannot be negative"},
		{args: "simulate x --changes " + typo, want: "typo.toml:1:2: unknown key"},
		{args: "demo --files -1", want: "cannot be negative"},
	} {
		code, _, errs := cli{env: c.env}.run(t, strings.Fields(c.args)...)
		if code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s %v: exit code %d, %q; want 2, %q", c.args, c.env, code, errs, c.want)
		}
		if entries, _ := os.ReadDir(data); len(entries) > 0 {
			t.Fatalf("%s: something was opened", c.args)
		}
	}
}

// TestCaret: the error of a lane stands under its place.
func TestCaret(t *testing.T) {
	_, _, errs := cli{}.run(t, "work", "--lanes", "fast:1 slow:0", "--", "true")
	lines := strings.Split(errs, "\n")
	if len(lines) < 3 || strings.Index(lines[2], "^") != strings.Index(lines[1], "slow:0") {
		t.Errorf("got\n%s", errs)
	}
}

// TestUnreachable: nobody there is exit code 3, at once, and says what to do.
func TestUnreachable(t *testing.T) {
	for _, args := range []string{
		"cluster status", "job list", "job get 1", "job wait 1", "job cancel 1", "job retry 1", "queue list", "queue pause q",
		"worker list", "worker drain w", "enqueue k", "job why 1", "job logs 1", "job logs 1 -f", "job cancel --all-matching --user u --yes",
		"queue order q", "queue users q", "queue watch q", "events", "log explain 1", "log show 1", "log tail", "log tail -f",
		"schedule list", "schedule get n", "schedule put n --spec @daily --kind k", "schedule delete n --yes", "schedule pause n", "schedule resume n", "schedule trigger n",
		"schedule backfill n --from 2h --to 1h", "schedule history n", "schedule next n", "schedule next --spec @daily", "coordinator list", "coordinator get c",
	} {
		code, _, errs := cli{}.run(t, append(strings.Fields(args), "-e", "127.0.0.1:1")...)
		if code != exitUnreachable || !strings.Contains(errs, "--endpoints") {
			t.Errorf("%s: exit code %d, %q", args, code, errs)
		}
	}
}

// TestUnreachableWork: work takes its flags before the command.
func TestUnreachableWork(t *testing.T) {
	code, _, errs := cli{}.run(t, "work", "-e", "127.0.0.1:1", "--", "true")
	if code != exitUnreachable {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

func TestErrorsAsJSON(t *testing.T) {
	code, out, errs := cli{}.run(t, "job", "list", "-o", "json", "-e", "127.0.0.1:1")
	var got struct{ Error description }
	if err := json.Unmarshal([]byte(errs), &got); err != nil || out != "" {
		t.Fatalf("%v: out %q, errors %q", err, out, errs)
	}
	if code != exitUnreachable || got.Error.ExitCode != code || got.Error.Message == "" {
		t.Errorf("code %d, %+v", code, got)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for args, want := range map[string]string{
		"--help":          "Exit codes",
		"help":            "Available Commands",
		"job --help":      "retry",
		"work --help":     "FAIRLANE_FENCE",
		"version":         "fairlane " + version,
		"version -o json": `"version": "` + version + `"`,
		"completion bash": "bash completion",
	} {
		code, out, errs := cli{}.run(t, strings.Fields(args)...)
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, %q %q", args, code, out, errs)
		}
	}
	if _, out, _ := (cli{}).run(t, "--help"); strings.Contains(out, "demo-worker") {
		t.Error("the hidden verb is shown")
	}
}
