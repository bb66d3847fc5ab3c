package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// story is what the events say of the schedules.
type story struct {
	*watcher
	cancel context.CancelFunc
	done   chan struct{}
	events []*fairlanev1.Event // of ticks
}

// followStory follows all events, from the first, on random nodes.
func followStory(ctx context.Context, cluster *harness.Cluster, rng *rand.Rand) *story {
	s := &story{watcher: &watcher{request: &fairlanev1.WatchEventsRequest{After: "0"}}, done: make(chan struct{})}
	s.take = func(e *fairlanev1.Event) {
		if e.GetTicks() > 0 {
			s.events = append(s.events, e)
		}
	}
	life, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	go func() {
		defer close(s.done)
		for life.Err() == nil {
			node := cluster.Nodes[rng.IntN(len(cluster.Nodes))]
			attempt, end := context.WithTimeout(life, time.Duration(1000+rng.IntN(5000))*time.Millisecond)
			s.once(attempt, node)
			end()
			_ = sleep(life, 20*time.Millisecond)
		}
	}()
	return s
}

// end follows on until what happened before the call was seen.
func (s *story) end(ctx context.Context, t *testing.T) *story {
	t.Helper()
	_ = sleep(ctx, 7*time.Second) // longer than an attempt: the last began after the last event, at a node that is up to date
	s.cancel()
	<-s.done
	if len(s.resets) > 0 {
		t.Fatalf("events were lost: %v", s.resets)
	}
	return s
}

// check compares the events, the totals and what the workers got with the grid.
func (r *ticking) check(t *testing.T, statuses map[string]*fairlanev1.ScheduleStatus, s *story) {
	t.Helper()
	told := map[string][]*fairlanev1.Event{}
	for _, e := range s.events {
		told[e.GetSchedule()] = append(told[e.GetSchedule()], e)
	}
	sums := map[string]int64{}
	var grid, fired int64
	var worst int64
	for _, schedule := range r.schedules {
		name := schedule.GetName()
		times := r.times(t, schedule)
		grid += int64(len(times))
		totals := statuses[name].GetTotals()
		if n := totals.GetFired() + totals.GetMissed() + totals.GetSkipped() + totals.GetCoalesced(); int64(n) != int64(len(times)) {
			t.Errorf("schedule %s: %d fired, %d missed, %d skipped, %d coalesced: %d of %d grid times", name, totals.GetFired(), totals.GetMissed(),
				totals.GetSkipped(), totals.GetCoalesced(), n, len(times))
		}
		fired += int64(totals.GetFired())
		worst = max(worst, totals.GetMostLateMs())
		before := maps.Clone(sums)
		r.checkTicks(t, schedule, times, told[name], sums)
		for _, e := range told[name] {
			if wrong := explained(schedule, statuses[name].GetOffsetMs(), e); wrong != "" {
				t.Errorf("schedule %s: %s (%s) of %d ticks up to %d: %s", name, e.GetKind(), e.GetTickReason(), e.GetTicks(), e.GetLastFireMs(), wrong)
			}
		}
		for kind, counted := range map[string]uint64{
			"fired": totals.GetFired(), "missed": totals.GetMissed(), "skipped": totals.GetSkipped(), "coalesced": totals.GetCoalesced(),
		} {
			if n := sums["schedule_"+kind] - before["schedule_"+kind]; n != int64(counted) {
				t.Errorf("schedule %s: %d %s by the totals, %d by the events", name, counted, kind, n)
			}
		}
	}
	r.checkRuns(t)
	t.Logf("%d schedules, %d grid times: %v; %d kills, %d freezes, %d partitions of leaders, %d pauses, %d triggers; latest start %v after its time",
		len(r.schedules), grid, sums, r.kills.Load(), r.freezes.Load(), r.cuts.Load(), r.pauses.Load(), r.triggers.Load(), time.Duration(worst)*time.Millisecond)
	if fired == 0 || sums["schedule_missed"] == 0 || sums["schedule_skipped"] == 0 || sums["schedule_coalesced"] == 0 {
		t.Errorf("the run is invalid: not every kind of outcome happened: %v", sums)
	}
	if r.kills.Load() == 0 || r.freezes.Load() == 0 || r.cuts.Load() == 0 || r.pauses.Load() == 0 || r.triggers.Load() == 0 {
		t.Error("the run is invalid: not every kind of fault, pause and trigger happened")
	}
}

// times of the grid, by the definition of an interval.
func (r *ticking) times(t *testing.T, s *fairlanev1.Schedule) (out []int64) {
	t.Helper()
	period, err := time.ParseDuration(strings.TrimPrefix(s.GetSpec(), "@every "))
	if err != nil {
		t.Fatal(err)
	}
	for at := s.GetStartMs(); at <= s.GetEndMs(); at += period.Milliseconds() {
		out = append(out, at)
	}
	return out
}

// explained says what is wrong with an outcome by the definition of its schedule: a reason that it does not have, before its time, inside or
// outside its grace. Empty: nothing.
func explained(s *fairlanev1.Schedule, offsetMs int64, e *fairlanev1.Event) string {
	late := e.GetAtMs() - e.GetLastFireMs() - offsetMs
	grace, limited := int64(60_000), true // no period here is longer
	if s.MisfireGraceMs != nil {
		grace, limited = s.GetMisfireGraceMs(), s.GetMisfireGraceMs() != -1
	}
	fits := map[string]bool{
		"schedule_fired on_time":         true,
		"schedule_fired trigger":         true,
		"schedule_fired caught_up":       s.GetCatchUp() == fairlanev1.CatchUp_CATCH_UP_ALL,
		"schedule_missed grace":          limited,
		"schedule_missed backlog_full":   s.GetCatchUp() == fairlanev1.CatchUp_CATCH_UP_ALL,
		"schedule_skipped max_instances": s.GetOverlap() == fairlanev1.Overlap_OVERLAP_SKIP,
		"schedule_skipped line_full":     s.GetOverlap() == fairlanev1.Overlap_OVERLAP_QUEUE,
		"schedule_skipped catch_up_skip": s.GetCatchUp() == fairlanev1.CatchUp_CATCH_UP_SKIP && e.GetTicks() > 1,
		"schedule_skipped min_interval":  s.GetMinIntervalMs() > 0,
		"schedule_skipped paused":        true,
		"schedule_coalesced newer":       s.GetCatchUp() == fairlanev1.CatchUp_CATCH_UP_LATEST,
	}[e.GetKind()+" "+e.GetTickReason()]
	switch {
	case !fits:
		return "the schedule has no such outcome"
	case (e.GetKind() == "schedule_fired") != (e.GetJob() != 0):
		return fmt.Sprintf("with job %d", e.GetJob())
	case e.GetTickReason() == "trigger":
		return ""
	case late < 0:
		return fmt.Sprintf("%d ms before its time", -late)
	case e.GetKind() == "schedule_fired" && limited && late > grace:
		return fmt.Sprintf("%d ms late, its grace is %d ms", late, grace)
	case e.GetTickReason() == "grace" && late <= grace:
		return fmt.Sprintf("%d ms late only, its grace is %d ms", late, grace)
	}
	return ""
}

// checkTicks: the events of a schedule cover each grid time exactly once, and what fired is the job that a worker got.
func (r *ticking) checkTicks(t *testing.T, schedule *fairlanev1.Schedule, times []int64, events []*fairlanev1.Event, sums map[string]int64) {
	t.Helper()
	name := schedule.GetName()
	outcome, made := map[int64]string{}, map[int64]uint64{}
	for _, e := range events {
		if e.GetTickReason() == "trigger" {
			continue
		}
		sums[e.GetKind()] += e.GetTicks()
		from, known := slices.BinarySearch(times, e.GetFirstFireMs())
		to, knownToo := slices.BinarySearch(times, e.GetLastFireMs())
		if !known || !knownToo || int64(to-from+1) != e.GetTicks() {
			t.Errorf("schedule %s: %s (%s) of %d ticks from %d to %d is not on the grid", name, e.GetKind(), e.GetTickReason(), e.GetTicks(),
				e.GetFirstFireMs(), e.GetLastFireMs())
			continue
		}
		for _, at := range times[from : to+1] {
			if before := outcome[at]; before != "" {
				t.Errorf("schedule %s, fire time %d: %s, and then %s (%s)", name, at, before, e.GetKind(), e.GetTickReason())
			}
			outcome[at], made[at] = e.GetKind(), e.GetJob()
		}
	}
	for _, at := range times {
		if outcome[at] == "" {
			t.Errorf("schedule %s: nothing is told of fire time %d", name, at)
			return
		}
	}
	for at, kind := range outcome {
		if kind != "schedule_fired" && len(r.runs[tick{name, at}]) > 0 {
			t.Errorf("schedule %s, fire time %d: %s, but a worker got a job for it", name, at, kind)
		}
		if kind == "schedule_fired" && !r.runs[tick{name, at}][made[at]] {
			t.Errorf("schedule %s, fire time %d: fired as job %d, but no worker got it", name, at, made[at])
		}
	}
}

// checkRuns: no fire time has two jobs.
func (r *ticking) checkRuns(t *testing.T) {
	t.Helper()
	for at, jobs := range r.runs {
		if len(jobs) != 1 {
			t.Errorf("schedule %s, fire time %d: %d jobs", at.schedule, at.fireMs, len(jobs))
		}
	}
}

// The checker finds what it is for.
func TestOutcomesAreExplained(t *testing.T) {
	s := &fairlanev1.Schedule{MisfireGraceMs: ptr(int64(1500)), CatchUp: fairlanev1.CatchUp_CATCH_UP_LATEST, Overlap: fairlanev1.Overlap_OVERLAP_SKIP}
	const at, offset = 1_000_000, 50
	event := func(kind, reason string, late int64, job uint64) *fairlanev1.Event {
		return &fairlanev1.Event{Kind: "schedule_" + kind, TickReason: reason, FirstFireMs: at, LastFireMs: at, Ticks: 1, AtMs: at + offset + late, Job: job}
	}
	for _, e := range []*fairlanev1.Event{
		event("fired", "on_time", 0, 1), event("fired", "on_time", 1500, 1), event("fired", "trigger", -9, 1), event("missed", "grace", 1501, 0),
		event("skipped", "max_instances", 3, 0), event("coalesced", "newer", 3, 0), event("skipped", "paused", 3, 0),
	} {
		if wrong := explained(s, offset, e); wrong != "" {
			t.Errorf("%v: %s", e, wrong)
		}
	}
	for _, e := range []*fairlanev1.Event{
		event("fired", "on_time", -1, 1), event("fired", "on_time", 1501, 1), event("fired", "on_time", 0, 0), event("missed", "grace", 1500, 0),
		event("missed", "grace", 1501, 7), event("fired", "caught_up", 3, 1), event("skipped", "catch_up_skip", 3, 0), event("skipped", "line_full", 3, 0),
		event("skipped", "min_interval", 3, 0), event("skipped", "edited", 3, 0), event("skipped", "refused", 3, 0), event("coalesced", "grace", 3, 0),
	} {
		if explained(s, offset, e) == "" {
			t.Errorf("nothing is found wrong with %v", e)
		}
	}
}
