package e2e

import (
	"context"
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
		r.checkTicks(t, name, times, told[name], sums)
	}
	r.checkRuns(t)
	t.Logf("%d schedules, %d grid times: %v; %d kills, %d freezes, %d partitions of leaders, %d pauses, %d triggers; latest start %v after its time",
		len(r.schedules), grid, sums, r.kills.Load(), r.freezes.Load(), r.cuts.Load(), r.pauses.Load(), r.triggers.Load(), time.Duration(worst)*time.Millisecond)
	if fired == 0 || sums["schedule_fired"] != fired {
		t.Errorf("%d fires by the totals, %d by the events", fired, sums["schedule_fired"])
	}
	if r.kills.Load() == 0 || r.freezes.Load() == 0 || r.cuts.Load() == 0 {
		t.Error("the run is invalid: not every kind of fault happened")
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

// checkTicks: the events of a schedule cover each grid time exactly once.
func (r *ticking) checkTicks(t *testing.T, name string, times []int64, events []*fairlanev1.Event, sums map[string]int64) {
	t.Helper()
	outcome := map[int64]string{}
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
			outcome[at] = e.GetKind()
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
