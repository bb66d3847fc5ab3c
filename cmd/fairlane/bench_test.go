package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// TestBenchUsage: what cannot be measured is refused with exit code 2, before anything is started or asked.
func TestBenchUsage(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	for args, want := range map[string]string{
		"bench":                                    "",
		"bench cycl":                               `did you mean "cycle"?`,
		"bench cycle x":                            "bench cycle: unknown command",
		"bench cycle --producers 0":                "--producers 0: want 1 to",
		"bench cycle --nodes 3":                    "--nodes needs --self",
		"bench cycle --log-store raft-wal":         "--log-store needs --self",
		"bench latency --kill-leader-at 5s":        "--kill-leader-at needs --self",
		"bench cycle --self -e h:1":                "--self and --endpoints exclude each other",
		"bench cycle --self --log-store none":      `--log-store "none"`,
		"bench cycle --self --nodes 9":             "--nodes 9: want 1 to 7",
		"bench cycle --payload 1":                  "--payload 1: want 16 to",
		"bench cycle --stream --slots 1000":        "--slots 1000: want 1 to 512",
		"bench enqueue --stream":                   "unknown flag: --stream",
		"bench claim --batch 5":                    "unknown flag: --batch",
		"bench claim --waiting 0":                  "--waiting 0: want 1 to",
		"bench latency --rate 0":                   "--rate 0: want jobs in a second",
		"bench latency --arrivals often":           `--arrivals "often": want poisson or uniform`,
		"bench latency --self --kill-leader-at 1h": "want a time within --duration",
		"bench cycle --duration 1ms":               "--duration 1ms",
	} {
		code, out, errs := cli{}.run(t, strings.Fields(args)...)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %q %q; want 2, %q", args, code, out, errs, want)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Fatalf("%s: something was started", args)
		}
	}
}

// TestBenchUnreachable is exit code 3, and says what to do.
func TestBenchUnreachable(t *testing.T) {
	code, out, errs := cli{}.run(t, "bench", "enqueue", "-e", "127.0.0.1:1", "--patience", "200ms")
	if code != exitUnreachable || out != "" || !strings.Contains(errs, "--endpoints") || !strings.Contains(errs, "--self") {
		t.Errorf("exit code %d, %q %q", code, out, errs)
	}
}

// TestBenchSelf: short runs against clusters of their own give every figure, keep every job and leave nothing behind.
func TestBenchSelf(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters of three processes")
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv(beMain, "1")
	short := " --self --warmup 200ms --duration 1s "
	for args, want := range map[string][]string{
		"cycle --producers 4 --workers 4": {
			"seconds", "jobs_per_s", "enqueue_ms", "start_ms", "cycle_ms", "cluster_cpu_s_per_1000_jobs", "log_entries_per_job", "rss_mb", "store", "errors",
		},
		"cycle --producers 2 --workers 2 --batch 10":              {"jobs_per_s", "cycle_ms", "streams", "slots"},
		"latency --rate 50 --producers 8 --workers 4":             {"enqueue_ms", "start_ms", "cycle_ms", "rate", "reached", "due"},
		"latency --rate 50 --sdk --workers 4 --arrivals uniform":  {"start_ms", "sdk"},
		"claim --waiting 200 --nodes 1":                           {"claim_ms", "waiting"},
		"enqueue --producers 4 --nodes 1 --log-store raft-boltdb": {"enqueue_ms", "producers"},
	} {
		code, out, errs := cli{}.run(t, strings.Fields("bench "+args+short+"--json")...)
		got := map[string]any{}
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK {
			t.Errorf("%s: exit code %d, %v: %s %s", args, code, err, out, errs)
			continue
		}
		for _, name := range want {
			if got[name] == nil {
				t.Errorf("%s: no %s in %s", args, name, out)
			}
		}
		account := got["account"].(map[string]any)
		if jobs := got["jobs"].(float64); jobs < 1 || account["acknowledged"].(float64) < jobs || account["lost"].(float64) != 0 {
			t.Errorf("%s: %v jobs, %v", args, jobs, account)
		}
		if strings.Contains(out, "warming up") || !strings.Contains(errs, "warming up") {
			t.Errorf("%s: progress is not on the error output alone", args)
		}
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestBenchRunning: against a running cluster, as a table; the queue is gone afterwards, and a used one is not touched.
func TestBenchRunning(t *testing.T) {
	_, api := server(t, t.TempDir(), "raft-wal")
	args := func(more ...string) []string {
		return append([]string{"bench", "-e", api, "--warmup", "100ms", "--duration", "300ms"}, more...)
	}
	code, out, errs := cli{}.run(t, args("cycle", "--producers", "2", "--workers", "2", "--queue", "mine")...)
	if code != exitOK || !strings.Contains(out, "none lost, none twice") || !strings.Contains(out, "enqueue to start") || strings.Contains(out, "memory") {
		t.Errorf("exit code %d: %s\n%s", code, out, errs)
	}
	if code, out, errs := (cli{}).run(t, args("enqueue", "--producers", "2", "--queue", "mine")...); code != exitOK {
		t.Errorf("exit code %d: %s\n%s", code, out, errs)
	}
	for _, list := range []string{"queue list", "worker list"} {
		if _, out, errs := (cli{}).run(t, append(strings.Fields(list), "-e", api)...); strings.Contains(out, "mine") {
			t.Errorf("%s: %s%s", list, out, errs)
		}
	}
	if code, _, errs := (cli{}).run(t, "enqueue", "k", "--queue", "theirs", "-e", api); code != exitOK {
		t.Fatal(errs)
	}
	code, out, errs = cli{}.run(t, args("cycle", "--queue", "theirs")...)
	if code != exitFailed || out != "" || !strings.Contains(errs, "holds jobs that wait or run") {
		t.Errorf("a used queue: exit code %d: %s\n%s", code, out, errs)
	}
	// Twenty thousand jobs/s are beyond two callers: the report comes all the same, with what was reached.
	code, out, errs = cli{}.run(t, args("latency", "--rate", "20000", "--producers", "2", "--patience", time.Second.String())...)
	if code != exitFailed || !strings.Contains(out, "enqueue to start") || !strings.Contains(errs, "20000 jobs/s were asked for and ") {
		t.Errorf("too high a rate: exit code %d: %s\n%s", code, out, errs)
	}
}
