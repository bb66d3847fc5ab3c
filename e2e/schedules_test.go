package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// ticking is a run with many schedules whose leaders are killed, frozen and cut off, while their jobs run.
type ticking struct {
	cluster   *harness.Cluster
	seed      uint64
	schedules []*fairlanev1.Schedule
	first     time.Time // grid of all of them
	last      time.Time // inclusive

	kills, freezes, cuts, pauses, triggers atomic.Int64

	mu   sync.Mutex
	runs map[tick]map[uint64]bool // jobs that workers were given for each tick
}

// tick is one fire time of one schedule.
type tick struct {
	schedule string
	fireMs   int64
}

// TestSchedules: many schedules with periods of 1 s to 60 s, through leaders that are killed, frozen and cut off, and operators who pause, resume
// and trigger. Every grid time is in exactly one of fired, missed, skipped and coalesced, none fired twice, and every job that a worker got
// is one of those that fired (E2).
func TestSchedules(t *testing.T) {
	stores := harness.LogStores[:1]
	count, longest, lasts := 150, 7, 25*time.Second // with longer periods little would be due while nobody leads
	if *full {
		stores, count, longest, lasts = harness.LogStores, 1000, 60, 10*time.Minute
	}
	for _, store := range stores {
		t.Run(store, func(t *testing.T) { runSchedules(t, store, count, longest, lasts) })
	}
}

func runSchedules(t *testing.T, store string, count, longest int, lasts time.Duration) {
	run := &ticking{seed: *seedFlag, cluster: harness.Start(t, harness.Options{LogStore: store}), runs: map[tick]map[uint64]bool{}}
	if run.seed == 0 {
		run.seed = rand.Uint64()
	}
	t.Logf("seed %d", run.seed)
	ctx, cancel := context.WithTimeout(context.Background(), lasts+3*time.Minute)
	t.Cleanup(cancel)
	run.first = time.Now().Add(5 * time.Second).Truncate(time.Second)
	run.last = run.first.Add(lasts)
	if err := run.put(ctx, count, longest); err != nil {
		t.Fatal(err)
	}
	story := followStory(ctx, run.cluster, rand.New(rand.NewPCG(run.seed, 2)))
	stopWork := run.work(ctx, t)
	var parties sync.WaitGroup
	parties.Go(func() { run.nemesis(ctx, t, rand.New(rand.NewPCG(run.seed, 3))) })
	parties.Go(func() { run.operate(ctx, t, rand.New(rand.NewPCG(run.seed, 4))) })
	parties.Wait()
	statuses := run.rest(ctx, t)
	stopWork()
	run.check(t, statuses, story.end(ctx, t))
	run.cluster.CheckDigests(t)
}

// put makes the schedules, of every kind, with periods up to the longest in seconds, before their grid begins.
func (r *ticking) put(ctx context.Context, count, longest int) error {
	rng := rand.New(rand.NewPCG(r.seed, 1))
	grace := []*int64{nil, ptr(int64(1500)), ptr(int64(20_000)), ptr(int64(-1))}
	for i := range count {
		period := time.Duration(1+i%longest) * time.Second
		s := &fairlanev1.Schedule{
			Name: fmt.Sprintf("s/%04d", i), Spec: fmt.Sprintf("@every %ds", int(period/time.Second)), StartMs: r.first.UnixMilli(),
			EndMs: r.last.UnixMilli(), MisfireGraceMs: grace[rng.IntN(len(grace))], CatchUp: fairlanev1.CatchUp(1 + rng.IntN(3)),
			MaxInstances: int32(1 + rng.IntN(2)), Overlap: fairlanev1.Overlap(1 + rng.IntN(2)), Spread: rng.IntN(3) == 0,
			Job: &fairlanev1.NewJob{Kind: "quick", Queue: "ticks", User: fmt.Sprintf("u%d", i%7)},
		}
		if rng.IntN(4) == 0 {
			s.JitterMs = int64(1 + rng.IntN(900))
		}
		if i%10 == 3 { // runs for longer than its period
			s.Job.Kind = "long"
		}
		if i%10 == 7 {
			s.Job.Coordinator = fmt.Sprintf("c%d", i%3)
		}
		if i%10 == 8 {
			s.MinIntervalMs = 3 * period.Milliseconds()
		}
		r.schedules = append(r.schedules, s)
	}
	return each(ctx, 16, r.schedules, func(ctx context.Context, s *fairlanev1.Schedule) error {
		return r.cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
			_, err := api.Schedules.PutSchedule(ctx, &fairlanev1.PutScheduleRequest{Schedule: s})
			return err
		})
	})
}

func ptr[T any](v T) *T { return &v }

// each calls do for each item, some at a time, and joins the errors.
func each[T any](ctx context.Context, atOnce int, items []T, do func(context.Context, T) error) error {
	var errs []error
	var mu sync.Mutex
	var running sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, item := range items {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			if err := do(ctx, item); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// work runs the jobs until the returned function is called.
func (r *ticking) work(ctx context.Context, t *testing.T) (stop func()) {
	t.Helper()
	worker, err := r.cluster.Register(ctx, "w", "ticks:200")
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(ctx)
	var hands sync.WaitGroup
	for range 24 {
		hands.Go(func() {
			for life.Err() == nil {
				answer, err := worker.Claim(life, 0, time.Second)
				if err != nil || answer.GetClaim() == nil {
					_ = sleep(life, 50*time.Millisecond)
					continue
				}
				r.note(answer.GetClaim().GetJob())
				if fence := answer.GetClaim().GetFence(); answer.GetClaim().GetJob().GetKind() == "long" {
					hands.Go(func() {
						_ = sleep(life, 4*time.Second)
						_, _ = worker.Succeed(ctx, fence, "")
					})
				} else if fence%17 == 0 {
					_, _ = worker.Fail(ctx, fence, "as planned")
				} else {
					_, _ = worker.Succeed(ctx, fence, "")
				}
			}
		})
	}
	return func() { end(); hands.Wait() }
}

func (r *ticking) note(job *fairlanev1.Job) {
	if job.GetFireCause() == "trigger" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at := tick{job.GetSchedule(), job.GetFireMs()}
	if r.runs[at] == nil {
		r.runs[at] = map[uint64]bool{}
	}
	r.runs[at][job.GetId()] = true
}

// nemesis kills, freezes and cuts off leaders (and sometimes a follower) until the grid is over.
func (r *ticking) nemesis(ctx context.Context, t *testing.T, rng *rand.Rand) {
	for round := 0; ; round++ {
		if err := sleep(ctx, time.Duration(1500+rng.IntN(3000))*time.Millisecond); err != nil {
			t.Error(err)
			return
		}
		if time.Until(r.last) < 3*time.Second {
			return
		}
		node, _, err := r.cluster.Leader(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		long := time.Duration(500+rng.IntN(5000)) * time.Millisecond
		if err := r.fault(ctx, (3+round)%4, node, long); err != nil {
			t.Errorf("fault %d at node %d: %v", round, node.Number, err)
			return
		}
	}
}

func (r *ticking) fault(ctx context.Context, kind int, leader *harness.Node, long time.Duration) error {
	switch kind {
	case 0:
		r.kills.Add(1)
		leader.Kill()
		_ = sleep(ctx, long/4)
		return r.cluster.Restart(ctx, leader)
	case 1:
		r.cuts.Add(1)
		if err := r.cluster.Cut(leader); err != nil {
			return err
		}
		_ = sleep(ctx, long)
		return r.cluster.Heal()
	case 2:
		r.freezes.Add(1)
		if err := leader.Freeze(); err != nil {
			return err
		}
		_ = sleep(ctx, long)
		return leader.Thaw()
	default: // nobody leads, for so long that some ticks are too late and several of one schedule are due at once
		r.cuts.Add(1)
		if err := r.cluster.CutAll(); err != nil {
			return err
		}
		_ = sleep(ctx, 2500*time.Millisecond+long/4)
		return r.cluster.Heal()
	}
}

// operate pauses, resumes and triggers schedules until the grid is nearly over, and leaves none paused.
func (r *ticking) operate(ctx context.Context, t *testing.T, rng *rand.Rand) {
	for turn := 0; time.Until(r.last) > 4*time.Second; turn++ {
		s := r.schedules[rng.IntN(len(r.schedules))].GetName()
		var err error
		switch turn % 3 {
		case 0: // refused while as many run as may
			_ = r.cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
				_, err := api.Schedules.TriggerSchedule(ctx, &fairlanev1.TriggerScheduleRequest{Name: s})
				if err == nil {
					r.triggers.Add(1)
				}
				return err
			})
		default:
			r.pauses.Add(1)
			err = r.pauseFor(ctx, s, time.Duration(rng.IntN(3000))*time.Millisecond)
		}
		if err != nil {
			t.Errorf("schedule %s: %v", s, err)
			return
		}
		_ = sleep(ctx, 100*time.Millisecond)
	}
}

func (r *ticking) pauseFor(ctx context.Context, name string, long time.Duration) error {
	err := r.cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Schedules.PauseSchedule(ctx, &fairlanev1.PauseScheduleRequest{Name: name})
		return err
	})
	_ = sleep(ctx, long)
	return errors.Join(err, r.cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Schedules.ResumeSchedule(ctx, &fairlanev1.ResumeScheduleRequest{Name: name})
		return err
	}))
}

// rest waits until every schedule is over and nothing of it waits or runs.
func (r *ticking) rest(ctx context.Context, t *testing.T) map[string]*fairlanev1.ScheduleStatus {
	t.Helper()
	for {
		statuses, err := r.list(ctx)
		busy := ""
		for _, s := range statuses {
			if s.GetNextMs() != 0 || s.GetWaiting() > 0 || s.GetInstances() > 0 {
				busy = fmt.Sprintf("%s: next %d, %d waiting, %d instances", s.GetSchedule().GetName(), s.GetNextMs(), s.GetWaiting(), s.GetInstances())
			}
		}
		if err == nil && busy == "" && len(statuses) == len(r.schedules) {
			return statuses
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			t.Fatalf("the schedules do not come to rest: %d of them, %s, %v", len(statuses), busy, err)
		}
	}
}

func (r *ticking) list(ctx context.Context) (map[string]*fairlanev1.ScheduleStatus, error) {
	out := map[string]*fairlanev1.ScheduleStatus{}
	leader, _, err := r.cluster.Leader(ctx)
	if err != nil {
		return nil, err
	}
	for after := ""; ; {
		page, err := leader.Dial().Schedules.ListSchedules(ctx, &fairlanev1.ListSchedulesRequest{AfterName: after, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, s := range page.GetSchedules() {
			out[s.GetSchedule().GetName()] = s
		}
		if after = page.GetNextAfterName(); after == "" {
			return out, nil
		}
	}
}
