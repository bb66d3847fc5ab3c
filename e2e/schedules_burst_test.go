package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestSchedulesAtOnce: many schedules that are due in the same second all fire, each once, while another queue is worked on. It says how late
// they were, and what a job of the other queue waited for its claim before and meanwhile (E5).
func TestSchedulesAtOnce(t *testing.T) {
	count := 1500
	if *full {
		count = 10_000
	}
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	at := time.Now().Add(time.Duration(count/500+6) * time.Second).Truncate(time.Second)
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("burst-%05d", i)
	}
	put := time.Now()
	err := each(ctx, 64, names, func(ctx context.Context, name string) error {
		return cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
			_, err := api.Schedules.PutSchedule(ctx, &fairlanev1.PutScheduleRequest{Schedule: &fairlanev1.Schedule{
				Name: name, Spec: "@at " + at.UTC().Format(time.RFC3339), Job: &fairlanev1.NewJob{Kind: "burst", Queue: "burst"}}})
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	putting := time.Since(put)
	if time.Until(at) < 2*time.Second {
		t.Fatalf("the run is invalid: %d schedules were put in %v, which is too late", count, putting)
	}
	probe := newProbe(ctx, t, cluster)
	_ = sleep(ctx, time.Until(at))
	before := probe.cut()
	fired, worst := firedAll(ctx, t, cluster, names)
	during := probe.cut()
	probe.stop()
	t.Logf("%d schedules put in %v (%.0f/s); due at once: all fired %v after the instant, by the totals the last was %v late", count, putting.Round(time.Millisecond),
		float64(count)/putting.Seconds(), fired.Sub(at).Round(time.Millisecond), time.Duration(worst)*time.Millisecond)
	t.Logf("enqueue to claim of another queue, 500 jobs/s: before p50 %v, p99 %v; meanwhile p50 %v, p99 %v, worst %v (%d jobs)",
		quantile(before, 50), quantile(before, 99), quantile(during, 50), quantile(during, 99), quantile(during, 100), len(during))
	if len(before) == 0 || len(during) == 0 {
		t.Errorf("the run is invalid: %d jobs of the other queue were claimed before, %d meanwhile", len(before), len(during))
	}
	queue, err := cluster.Nodes[0].Dial().Queues.GetQueue(ctx, &fairlanev1.GetQueueRequest{Name: "burst"})
	if err != nil || queue.GetQueue().GetCounts().GetPending() != int64(count) {
		t.Errorf("%d jobs wait, want %d (%v)", queue.GetQueue().GetCounts().GetPending(), count, err)
	}
}

// firedAll waits until every schedule fired, and checks that each did once.
func firedAll(ctx context.Context, t *testing.T, cluster *harness.Cluster, names []string) (at time.Time, worstMs int64) {
	t.Helper()
	for {
		queue, err := cluster.Nodes[0].Dial().Queues.GetQueue(ctx, &fairlanev1.GetQueueRequest{Name: "burst"})
		if err == nil && queue.GetQueue().GetCounts().GetPending() >= int64(len(names)) {
			at = time.Now()
			break
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			t.Fatalf("%d of %d fired: %v", queue.GetQueue().GetCounts().GetPending(), len(names), err)
		}
	}
	run := &ticking{cluster: cluster}
	statuses, err := run.list(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		totals := statuses[name].GetTotals()
		if totals.GetFired() != 1 || statuses[name].GetNextMs() != 0 {
			t.Errorf("schedule %s: %v", name, totals)
		}
		worstMs = max(worstMs, totals.GetMostLateMs())
	}
	return at, worstMs
}

// probe enqueues 500 jobs a second into a queue of its own and measures how long after that a parked worker has each.
type probe struct {
	mu    sync.Mutex
	waits []time.Duration
	stop  func()
}

func newProbe(ctx context.Context, t *testing.T, cluster *harness.Cluster) *probe {
	t.Helper()
	worker, err := cluster.Register(ctx, "probe", "probe:64")
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(ctx)
	p := &probe{}
	var parties sync.WaitGroup
	for range 32 {
		parties.Go(func() {
			for life.Err() == nil {
				answer, err := worker.Claim(life, 0, 5*time.Second)
				if job := answer.GetClaim().GetJob(); err == nil && job != nil {
					var sent time.Time
					_ = sent.UnmarshalText([]byte(job.GetJson()[1 : len(job.GetJson())-1]))
					p.mu.Lock()
					p.waits = append(p.waits, time.Since(sent))
					p.mu.Unlock()
					_, _ = worker.Succeed(ctx, answer.GetClaim().GetFence(), "")
				}
			}
		})
	}
	leader, _, err := cluster.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	api := leader.Dial()
	parties.Go(func() {
		beat := time.NewTicker(2 * time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-beat.C:
			case <-life.Done():
				return
			}
			parties.Go(func() {
				text, _ := time.Now().MarshalText()
				_, _ = api.Jobs.Enqueue(life, &fairlanev1.EnqueueRequest{Job: &fairlanev1.NewJob{
					Kind: "probe", Queue: "probe", Payload: &fairlanev1.NewJob_Json{Json: `"` + string(text) + `"`}}})
			})
		}
	})
	p.stop = func() { end(); parties.Wait() }
	t.Cleanup(p.stop)
	return p
}

// cut gives the waits since the last cut.
func (p *probe) cut() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.waits
	p.waits = nil
	slices.Sort(out)
	return out
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)].Round(10 * time.Microsecond)
}
