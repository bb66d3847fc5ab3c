package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict is what the demonstration found, and which promises it found broken.
type Verdict struct {
	Jobs          int
	EnqueueTook   time.Duration
	Took          time.Duration // from the first handler that began to the last that ended
	Lost          int           // enqueued and not succeeded in the end
	FinishedTwice int           // finishes that the cluster accepted beyond one for each job
	RunTwice      int           // jobs that a handler began more than once
	WrongHashes   int           // results that are not what the file hashes to
	Checked       int
	Kills, Wanted int
	Failovers     []time.Duration
	First         []string // users of the first claims of the line "manual", in order
	Turns         error    // first claim out of turn, before the first kill
	TurnsChecked  int
	Lanes         []LaneVerdict
	Entries       uint64 // of the log, from the first enqueue to the last finish
	DigestIndex   uint64
	Digests       map[string]string
	Stops         []error // processes that did not end well
	Stuck         string  // why the run was given up; empty: it was not
}

// LaneVerdict compares what ran at once in a lane with what may.
type LaneVerdict struct {
	Worker, Lane string
	Most, Slots  int
}

// Broken lists the promises that did not hold, in words.
func (v *Verdict) Broken() []string {
	var broken []string
	say := func(bad bool, format string, args ...any) {
		if bad {
			broken = append(broken, fmt.Sprintf(format, args...))
		}
	}
	say(v.Stuck != "", "the run was given up: %s", v.Stuck)
	say(v.Lost > 0, "%d jobs lost", v.Lost)
	say(v.FinishedTwice > 0, "%d jobs finished twice", v.FinishedTwice)
	say(v.RunTwice > 0, "%d jobs handed out twice", v.RunTwice)
	say(v.WrongHashes > 0, "%d wrong hashes", v.WrongHashes)
	say(v.Checked < v.Jobs-v.Lost, "only %d results were checked", v.Checked)
	say(v.Kills < v.Wanted, "the work was done before the leader had been killed %d times: use more --files", v.Wanted)
	say(v.Turns != nil, "out of turn: %v", v.Turns)
	for _, l := range v.Lanes {
		say(l.Most > l.Slots, "lane %s of %s ran %d at once and has %d slots", l.Lane, l.Worker, l.Most, l.Slots)
	}
	say(!v.digestsEqual(), "the nodes' states differ: %s", v.digestText())
	for _, err := range v.Stops {
		say(true, "a process did not end well: %v", err)
	}
	return broken
}

func (v *Verdict) digestsEqual() bool {
	seen := map[string]bool{}
	for _, d := range v.Digests {
		seen[d] = true
	}
	return len(seen) == 1 && len(v.Digests) > 1 && !seen[""]
}

func (v *Verdict) digestText() string {
	var nodes []string
	for n := range v.Digests {
		nodes = append(nodes, n)
	}
	slices.Sort(nodes)
	var parts []string
	for _, n := range nodes {
		parts = append(parts, n+" "+v.Digests[n][:min(12, len(v.Digests[n]))])
	}
	return strings.Join(parts, ", ")
}

// Print writes the table.
func (v *Verdict) Print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(w)
	line("jobs", "%d in %.1f s, kills included: %.0f jobs/s (enqueued in %.2f s)", v.Jobs, v.Took.Seconds(), rate(v.Jobs, v.Took), v.EnqueueTook.Seconds())
	line("lost", "%d", v.Lost)
	line("finished twice", "%d", v.FinishedTwice)
	line("handed out twice", "%d", v.RunTwice)
	line("wrong hashes", "%d of %d checked against direct computation", v.WrongHashes, v.Checked)
	for _, l := range v.Lanes {
		line("most at once", "%s %s: %d of %d slots", l.Worker, l.Lane, l.Most, l.Slots)
	}
	line("served first", "%s ...", strings.Join(v.First, " "))
	turns := "every one in turn"
	if v.Turns != nil {
		turns = v.Turns.Error()
	}
	line("turns", "%d claims of the line \"manual\" replayed up to the first kill: %s", v.TurnsChecked, turns)
	line("leader killed", "%d times (SIGKILL); kill to next claim: %s", v.Kills, durations(v.Failovers))
	line("log", "%d entries, %.2f for each job", v.Entries, float64(v.Entries)/float64(max(1, v.Jobs)))
	equal := "equal on all nodes"
	if !v.digestsEqual() {
		equal = "NOT EQUAL"
	}
	line("state", "%s at index %d: %s", equal, v.DigestIndex, v.digestText())
	w.Flush()
	broken := v.Broken()
	if len(broken) == 0 {
		fmt.Fprintf(out, "\nEvery promise held.\n")
		return
	}
	fmt.Fprintf(out, "\nBROKEN:\n")
	for _, b := range broken {
		fmt.Fprintf(out, "  - %s\n", b)
	}
}

func rate(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

func durations(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	var parts []string
	for _, d := range list {
		parts = append(parts, fmt.Sprintf("%.2f s", d.Seconds()))
	}
	return strings.Join(parts, ", ")
}
