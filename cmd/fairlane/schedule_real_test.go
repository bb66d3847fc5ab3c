package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
)

// TestSchedulesByHand on a real node.
func TestSchedulesByHand(t *testing.T) {
	_, api := server(t, filepath.Join(t.TempDir(), "data"), "raft-wal")
	fl := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := cli{}.run(t, append(args, "-e", api)...)
		if code != want {
			t.Fatalf("%v: exit code %d, want %d: %s %s", args, code, want, out, errs)
		}
		return out + errs
	}
	fl(0, "schedule", "put", "full", "--spec", "@yearly", "--kind", "k")
	id := strings.TrimSpace(fl(0, "schedule", "trigger", "full"))
	if out := fl(1, "schedule", "trigger", "full"); !strings.Contains(out, "See which: fairlane schedule get full.") {
		t.Errorf("two at a time:\n%s", out)
	}
	if out := fl(0, "schedule", "get", "full"); !strings.Contains(out, "\n"+id+"         pending  0/") {
		t.Errorf("get:\n%s", out)
	}
	if out := fl(0, "job", "list", "--schedule", "full", "--state", "pending"); !strings.Contains(out, "\n"+id+" ") {
		t.Errorf("its jobs:\n%s", out)
	}
	if out := fl(0, "job", "list", "--schedule", "other"); strings.Count(out, "\n") != 1 {
		t.Errorf("the jobs of another one:\n%s", out)
	}
	fl(0, "schedule", "put", "daily", "--spec", "0 2 * * *", "--zone", "Europe/Berlin", "--kind", "k")
	ten := []string{"schedule", "backfill", "daily", "--from", "2026-03-26", "--to", "2026-04-05"}
	const span = "from 2026-03-26T02:00:00+01:00 to 2026-04-05T02:00:00+02:00"
	if out := fl(0, append(ten, "--dry-run")...); out != "11 fire times of daily would run, "+span+"\n" {
		t.Errorf("backfill, dry run:\n%s", out)
	}
	if out := fl(2, ten...); !strings.Contains(out, span+": say --yes") {
		t.Errorf("backfill, nobody to ask:\n%s", out)
	}
	if out := fl(0, append(ten, "--yes")...); !strings.HasPrefix(out, "11 fire times of daily will run") {
		t.Errorf("backfill:\n%s", out)
	}
	everyField(t, fl)
	before := fl(0, "schedule", "get", "reports/aa", "-o", "toml")
	if out := fl(0, "schedule", "set", "reports/aa", "--misfire-grace", "20m"); !strings.HasPrefix(out, "~ reports/aa\n    misfire_grace: unlimited -> 20 min\nPlan: 0 to add, 1 to change") {
		t.Errorf("set:\n%s", out)
	}
	if after := fl(0, "schedule", "get", "reports/aa", "-o", "toml"); after != strings.Replace(before, `"unlimited"`, `"20m"`, 1) {
		t.Errorf("set changed\n%s\nto\n%s", before, after)
	}
}

// everyField of schedules is put and printed as it was, and putting that changes nothing.
func everyField(t *testing.T, fl func(int, ...string) string) {
	t.Helper()
	list, _ := everyPayload()
	text, err := schedulefile.Write("reports", list)
	if err != nil {
		t.Fatal(err)
	}
	fl(0, "schedule", "put", "-f", file(t, "put.toml", string(text)), "--yes")
	got := fl(0, "schedule", "list", "--group", "reports", "-o", "toml")
	for _, s := range list {
		one := fl(0, "schedule", "get", s.GetName(), "-o", "toml")
		if !strings.Contains(string(text), strings.TrimPrefix(one, "group = \"reports\"\n")) || !strings.Contains(got, strings.TrimPrefix(one, "group = \"reports\"\n")) {
			t.Errorf("%s became\n%s", s.GetName(), one)
		}
	}
	if out := fl(0, "schedule", "put", "-f", file(t, "got.toml", got), "--prune", "--yes"); !strings.HasPrefix(out, fmt.Sprintf("Plan: 0 to add, 0 to change, 0 to prune, %d unchanged\n", len(list))) {
		t.Errorf("put again:\n%s", out)
	}
	usual := fl(0, "schedule", "get", "full", "-o", "toml")
	if usual != "[[schedule]]\nname = \"full\"\nspec = \"@yearly\"\nkind = \"k\"\n" {
		t.Errorf("one with defaults:\n%s", usual)
	}
	if out := fl(0, "schedule", "put", "-f", file(t, "usual.toml", usual), "--yes"); !strings.Contains(out, "1 unchanged\n") {
		t.Errorf("one with defaults:\n%s", out)
	}
}

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
	if out := fl(0, "schedule", "put", "-f", path, "--prune", "--yes"); !strings.HasPrefix(out, "Plan: 0 to add, 0 to change, 0 to prune, 2 unchanged\nwarning: tick, nightly: ") {
		t.Errorf("again:\n%s", out)
	}
	if out := fl(7, "schedule", "put", "nightly", "--spec", "0 3 * * *", "--zone", "Europe/Berlin", "--kind", "echo", "--dry-run", "--exit-code"); !strings.Contains(out, "T02:00:00+0") ||
		!strings.Contains(out, "T03:00:00+0") {
		t.Errorf("its next time would change:\n%s", out)
	}
	fl(0, "schedule", "put", "-f", path, "--prune", "--dry-run", "--exit-code")
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
	if out := fl(0, "schedule", "resume", "tick"); !strings.HasPrefix(out, "resumed tick: next 20") {
		t.Errorf("resume:\n%s", out)
	}
	fl(0, "schedule", "delete", "tick", "--yes")
	fl(1, "schedule", "get", "tick")
	if code := worker.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d; errors: %s", code, worker.err)
	}
}
