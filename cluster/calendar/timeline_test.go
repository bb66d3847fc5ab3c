package calendar_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var layout = flag.Bool("layout", false, "align the columns of timelines that hold; what they say is not touched")

// fewestTimelines of the golden set.
const fewestTimelines = 60

// subjects that the golden set must have at least once each.
var subjects = []string{"grace", "coalescing", "all", "skip", "max_instances", "overlap_queue", "pause", "jitter", "spread", "min_interval",
	"trigger", "backfill", "edit", "delete", "daylight_berlin", "daylight_new_york", "daylight_lord_howe", "kathmandu", "leap_day", "end",
	"start_past", "start_future", "clock_forward", "clock_behind", "leaderless", "failover", "restore", "coordinator_order", "coordinator_busy",
	"coordinator_errors", "coordinator_shared_tick", "coordinator_jobs", "cron", "one_off", "retries", "refused"}

// TestTimelines plays every file of testdata/timelines against a machine, with a calendar, a leader, a clock and workers. What each file
// expects was written by hand from docs/design.md §9; testdata/timelines/README.md explains how to read them.
func TestTimelines(t *testing.T) {
	paths, err := filepath.Glob("testdata/timelines/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < fewestTimelines {
		t.Errorf("%d timelines, at least %d are wanted", len(paths), fewestTimelines)
	}
	seen := map[string]int{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tl, err := parseTimeline(string(text))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for _, s := range tl.subjects {
			seen[s]++
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			w := newWorld(t, tl)
			w.play()
			lines, accounts := w.lines(), w.accounts()
			same := compare(t, path, "expect", tl.expect, lines)
			if compare(t, path, "check", tl.checks, accounts) && same && *layout && !t.Failed() {
				lay(t, path, string(text), lines)
			}
		})
	}
	for _, s := range subjects {
		if seen[s] == 0 {
			t.Errorf("no timeline has the subject %s", s)
		}
		delete(seen, s)
	}
	for s := range seen {
		t.Errorf("the subject %s is not in the list", s)
	}
}

// compare says line by line what differs. Blanks do not count.
func compare(t *testing.T, path, section string, want, got []string) bool {
	t.Helper()
	same := len(want) == len(got)
	for i := 0; same && i < len(want); i++ {
		same = bare(want[i]) == bare(got[i])
	}
	if same {
		return true
	}
	var out strings.Builder
	for i := range max(len(want), len(got)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(want) {
			a = bare(want[i])
		}
		if i < len(got) {
			b = bare(got[i])
		}
		if a == b {
			out.WriteString("          " + a + "\n")
			continue
		}
		out.WriteString("  expects " + a + "\n  happens " + b + "\n")
	}
	t.Errorf("%s: %s:\n%s", path, section, out.String())
	return false
}

func bare(line string) string { return strings.Join(strings.Fields(line), " ") }

// lay writes the expectation of a file anew with aligned columns.
func lay(t *testing.T, path, text string, lines []string) {
	before, rest, _ := strings.Cut(text, "\nexpect\n")
	_, after, _ := strings.Cut(rest, "\ncheck\n")
	var out strings.Builder
	out.WriteString(before + "\nexpect\n")
	for _, line := range lines {
		out.WriteString("  " + aligned(line) + "\n")
	}
	out.WriteString("\ncheck\n" + after)
	if out.String() == text {
		return
	}
	if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// aligned gives the words up to the reason columns of their own.
func aligned(line string) string {
	words := strings.Fields(line)
	var out strings.Builder
	for i, word := range words {
		switch word {
		case "fired", "missed", "skipped", "coalesced":
			out.WriteString(word + strings.Repeat(" ", 9-len(word)))
		default:
			out.WriteString(word)
		}
		if i < len(words)-1 {
			out.WriteByte(' ')
		}
	}
	return out.String()
}
