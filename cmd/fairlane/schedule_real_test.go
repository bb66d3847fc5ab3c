package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSchedules on a real node: a file is put twice, its jobs run under their coordinator and know what made them, and what is gone from the file is pruned.
func TestSchedules(t *testing.T) {
	dir := t.TempDir()
	_, api := server(t, filepath.Join(dir, "data"), "raft-wal")
	fl := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := cli{}.run(t, append(args, "-e", api)...)
		if code != want {
			t.Fatalf("%v: exit code %d, want %d: %s %s", args, code, want, out, errs)
		}
		return out + errs
	}
	one := "group='g'\n[[schedule]]\nname='tick'\nspec='@every 1s'\nkind='echo'\ncoordinator='db'\nmisfire_grace='5m'\n"
	two := one + "[[schedule]]\nname='nightly'\nspec='0 2 * * *'\nzone='Europe/Berlin'\nkind='echo'\npayload={n=1}\n"
	path := file(t, "two.toml", two)
	if out := fl(0, "schedule", "put", "-f", path, "--prune", "--yes"); !strings.Contains(out, "Plan: 2 to add, 0 to change, 0 to prune, 0 unchanged\n") || !strings.Contains(out, "added nightly: next 20") {
		t.Errorf("put:\n%s", out)
	}
	if out := fl(0, "schedule", "put", "-f", path, "--prune", "--yes"); !strings.HasPrefix(out, "Plan: 0 to add, 0 to change, 0 to prune, 2 unchanged\nwarning: tick: ") {
		t.Errorf("again:\n%s", out)
	}
	worker := start(t, "work", "-e", api, "--", "sh", "-c", `printf "%s %s %s %s" "$FAIRLANE_SCHEDULE" "$FAIRLANE_FIRE_CAUSE" "$FAIRLANE_COORDINATOR" "$FAIRLANE_FIRE_TIME"`)
	eventually(t, "it fired and ran", func() bool {
		return strings.Contains(fl(0, "job", "list", "--state", "succeeded"), "echo")
	})
	if out := fl(0, "schedule", "history", "tick"); !strings.Contains(out, "fired") || !strings.Contains(out, "on_time") {
		t.Errorf("history:\n%s", out)
	}
	if out := fl(0, "schedule", "trigger", "nightly", "--wait"); !strings.Contains(out, "nightly trigger  20") {
		t.Errorf("trigger:\n%s", out)
	}
	if out := fl(0, "schedule", "next", "nightly", "-n", "3", "--explain"); strings.Count(out, "T02:00:00+0") != 3 {
		t.Errorf("next:\n%s", out)
	}
	bad := file(t, "bad.toml", "[[schedule]]\nname='feb'\nspec='0 0 30 2 *'\nkind='k'\n[[schedule]]\nname='l'\nspec='@daily'\nkind='k'\nlease='1s'\n")
	if out := fl(1, "schedule", "put", "-f", bad, "--yes"); !strings.Contains(out, bad+":3:1: schedule feb: ") || !strings.Contains(out, bad+":9:1: schedule l: ") {
		t.Errorf("refused:\n%s", out)
	}
	if out := fl(0, "coordinator", "get", "db"); !strings.Contains(out, "tick") {
		t.Errorf("coordinator:\n%s", out)
	}
	fl(0, "schedule", "pause", "tick")
	if out := fl(0, "schedule", "list"); !strings.Contains(out, "paused") {
		t.Errorf("list:\n%s", out)
	}
	if out := fl(0, "schedule", "put", "-f", file(t, "one.toml", one), "--prune", "--yes"); !strings.Contains(out, "- nightly\nPlan: 0 to add, 0 to change, 1 to prune, 1 unchanged\n") {
		t.Errorf("prune:\n%s", out)
	}
	fl(0, "schedule", "resume", "tick")
	fl(0, "schedule", "delete", "tick", "--yes")
	fl(1, "schedule", "get", "tick")
	if code := worker.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d; errors: %s", code, worker.err)
	}
}
