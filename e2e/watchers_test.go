package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestManyWatchers: very many watchers of one queue share the work. It prints what they cost in memory and CPU, and what
// claims take with and without them, in one run.
func TestManyWatchers(t *testing.T) {
	watchers, measured := 600, 2*time.Second
	if *full {
		watchers, measured = 10_000, 15*time.Second
	}
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	worker, err := cluster.Register(ctx, "w", "watched:1")
	if err != nil {
		t.Fatal(err)
	}
	before := measureCycles(ctx, t, cluster, worker, measured)

	life, end := context.WithCancel(ctx)
	var frames, cut atomic.Int64
	var readers sync.WaitGroup
	started := make(chan struct{}, watchers)
	apart := 0
	var api harness.API
	for i := range watchers {
		if i%500 == 0 { // streams on one HTTP/2 connection
			one, done := cluster.Nodes[apart%len(cluster.Nodes)].DialApart()
			t.Cleanup(done)
			api = one
			apart++
		}
		readers.Go(func(api harness.API) func() {
			return func() {
				stream, err := api.Queues.WatchQueue(life, &fairlanev1.WatchQueueRequest{Name: "watched"})
				if err != nil {
					cut.Add(1)
					started <- struct{}{}
					return
				}
				defer stream.Close()
				for first := true; stream.Receive(); first = false {
					if first {
						started <- struct{}{}
					}
					frames.Add(1)
				}
				if life.Err() == nil {
					cut.Add(1)
				}
			}
		}(api))
	}
	for i := range watchers {
		select {
		case <-started:
		case <-ctx.Done():
			t.Fatalf("%d of %d watches began", i, watchers)
		}
	}
	frames.Store(0)
	during := measureCycles(ctx, t, cluster, worker, measured)
	seen := frames.Load()
	end()
	readers.Wait()
	t.Logf("%d watchers of one queue on %d connections: %d frames (%.0f/s) while it changed; %d were cut off",
		watchers, apart, seen, float64(seen)/measured.Seconds(), cut.Load())
	t.Logf("without them: %v", before)
	t.Logf("with them:    %v", during)
	if cut.Load() > 0 || seen == 0 {
		t.Errorf("%d watches were cut off, %d frames", cut.Load(), seen)
	}
}

// cycles is what a run of jobs, one after the other, took.
type cycles struct {
	claims   []time.Duration // from the enqueue to the claim in the worker's hand
	cpu      float64         // cores in use by all nodes
	resident int64           // bytes of all nodes, after it
}

func (c cycles) String() string {
	at := func(percent int) time.Duration {
		return c.claims[min(len(c.claims)-1, len(c.claims)*percent/100)].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("enqueue to claim p50 %v, p99 %v over %d jobs at 100 jobs/s; nodes use %.2f cores, %d MiB", at(50), at(99), len(c.claims), c.cpu, c.resident>>20)
}

// measureCycles enqueues a job each 10 ms for a claim that waits on a follower, and finishes it.
func measureCycles(ctx context.Context, t *testing.T, cluster *harness.Cluster, worker *harness.Worker, d time.Duration) (c cycles) {
	t.Helper()
	usage := func() (cpu time.Duration, resident int64) {
		for _, n := range cluster.Nodes {
			u, err := n.Usage()
			if err != nil {
				t.Fatal(err)
			}
			cpu, resident = cpu+u.CPU, resident+u.Resident
		}
		return cpu, resident
	}
	cpu, _ := usage()
	began := time.Now()
	sent := make(chan time.Time, 1)
	for next := began; time.Since(began) < d; next = next.Add(10 * time.Millisecond) {
		_ = sleep(ctx, time.Until(next))
		go func() {
			sent <- time.Now()
			_ = cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
				_, err := api.Jobs.Enqueue(ctx, &fairlanev1.EnqueueRequest{Job: &fairlanev1.NewJob{Kind: "k", Queue: "watched", IdempotencyKey: fmt.Sprint(next.UnixNano())}})
				return err
			})
		}()
		claim, err := worker.Claim(ctx, 0, 10*time.Second)
		if err != nil || claim.GetClaim() == nil {
			t.Fatalf("claim: %v %v", claim, err)
		}
		c.claims = append(c.claims, time.Since(<-sent))
		if _, err := worker.Succeed(ctx, claim.GetClaim().GetFence(), ""); err != nil {
			t.Fatal(err)
		}
	}
	after, resident := usage()
	c.cpu, c.resident = (after-cpu).Seconds()/time.Since(began).Seconds(), resident
	slices.Sort(c.claims)
	return c
}
