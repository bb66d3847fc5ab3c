package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	"github.com/fairlane-scheduler/fairlane/e2e/history"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// chaosPlan is how much a run does at least.
type chaosPlan struct {
	Store     string
	Seed      uint64
	Jobs      int
	Kills     int
	PerSecond int // jobs enqueued, about
	Limit     time.Duration
	// Clocks puts the wall clocks of the nodes 3 s apart, and lets one after the other jump.
	Clocks bool
	// Freezes of the leader for 5 s, mixed with the kills.
	Freezes int
	// Changes of the members of a cluster of five, instead of kills and freezes.
	Changes int
}

// chaos is a run: parties that use a cluster, one who kills its leaders, and the history of what they saw.
type chaos struct {
	plan    chaosPlan
	cluster *harness.Cluster
	record  *history.Recorder

	enqueued atomic.Int64 // acknowledged jobs
	kills    atomic.Int64
	faults   atomic.Int64 // kills and freezes
	drained  atomic.Bool  // nothing waits and nothing runs: workers may go
	parties  atomic.Int64

	mu        sync.Mutex
	stamps    map[uint64]int64 // the cluster's time of each enqueue, Unix milliseconds
	slots     map[history.LaneID]int
	failovers []time.Duration
	// leaderless: first writes after removals at most, and the longest time without an acknowledged enqueue.
	leaderless []time.Duration
}

// lease of the jobs in a chaos run: the shortest allowed, so that lost claims come back within the run.
const chaosLease = 3 * time.Second

var chaosQueues = []string{"fast", "bulk", "slow"}

// TestChaos: three processes with fsync, on each log store; producers that repeat their calls, workers that finish, fail,
// fall silent and disappear, cancels and reads in between; the leader is killed with SIGKILL again and again. Afterwards
// the history is checked against every promise (A2).
func TestChaos(t *testing.T) {
	for _, store := range harness.LogStores {
		t.Run(store, func(t *testing.T) {
			if !*full { // the long form is also a measurement, and runs alone
				t.Parallel()
			}
			plan := chaosPlan{Store: store, Seed: *seedFlag, Jobs: 1000, Kills: 2, PerSecond: 300, Limit: 90 * time.Second}
			if *full {
				plan.Jobs, plan.Kills, plan.Limit = 20_000, 22, 10*time.Minute
			}
			if plan.Seed == 0 {
				plan.Seed = rand.Uint64()
			}
			t.Logf("seed %d", plan.Seed)
			runChaos(t, plan)
		})
	}
}

// TestClocks is chaos with wall clocks that are 3 s apart and jump, and leaders that stand still for 5 s, which is longer
// than a lease, beside those that are killed: no lease ends early (A6).
func TestClocks(t *testing.T) {
	t.Parallel()
	for i, store := range harness.LogStores {
		if !*full && i > 0 {
			break
		}
		t.Run(store, func(t *testing.T) {
			plan := chaosPlan{Store: store, Seed: *seedFlag, Jobs: 300, Kills: 1, Freezes: 1, PerSecond: 60, Limit: 90 * time.Second, Clocks: true}
			if *full {
				plan.Jobs, plan.Kills, plan.Freezes, plan.Limit = 2000, 6, 6, 10*time.Minute
			}
			if plan.Seed == 0 {
				plan.Seed = rand.Uint64()
			}
			t.Logf("seed %d", plan.Seed)
			runChaos(t, plan)
		})
	}
}

func runChaos(t *testing.T, plan chaosPlan) {
	options := harness.Options{LogStore: plan.Store, Env: []string{harness.SnapshotEvery(plan.Jobs / 10)}}
	var wrong *clocks
	if plan.Changes > 0 {
		options.Nodes, options.Env = 5, append(options.Env, deadAfter)
	}
	if plan.Clocks {
		wrong = newClocks(t.TempDir())
		options.NodeEnv, options.Patience = wrong.env, frozenPatience
	}
	c := &chaos{plan: plan, slots: make(map[history.LaneID]int), stamps: make(map[uint64]int64), record: history.NewRecorder(),
		cluster: harness.Start(t, options)}
	ctx, cancel := context.WithTimeout(context.Background(), plan.Limit)
	defer cancel()
	for _, queue := range chaosQueues {
		if err := c.cluster.SetQueue(ctx, queue, chaosSettings()); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	var producers, others sync.WaitGroup
	failures := make(chan error, 64)
	run := func(wg *sync.WaitGroup, what string, do func(context.Context, *rand.Rand) error) {
		party := uint64(c.parties.Add(1))
		wg.Go(func() {
			if err := do(ctx, rand.New(rand.NewPCG(plan.Seed, party))); err != nil {
				failures <- fmt.Errorf("%s: %w", what, err)
				cancel()
			}
		})
	}
	for range 6 {
		run(&producers, "producer", c.produce)
	}
	for i, lanes := range []string{"fast:2 bulk>*:6", "slow:4 *:6", "fast>slow:4 bulk:4"} {
		name := fmt.Sprintf("w%d", i)
		run(&others, "worker "+name, func(ctx context.Context, rng *rand.Rand) error { return c.work(ctx, rng, name, lanes) })
	}
	if plan.Changes > 0 {
		run(&producers, "members", c.changeMembers)
	} else {
		run(&producers, "nemesis", c.nemesis)
	}
	if wrong != nil {
		run(&others, "clocks", func(ctx context.Context, rng *rand.Rand) error { return wrong.strobe(ctx, rng, &c.drained) })
	}
	producers.Wait()
	run(&others, "drain", func(ctx context.Context, _ *rand.Rand) error { return c.drain(ctx) })
	others.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	if t.Failed() {
		return
	}
	c.judge(t, time.Since(begin))
}

func chaosSettings() *fairlanev1.QueueSettings {
	lease, heartbeat, attempts, none := chaosLease.Milliseconds(), int64(1000), int32(1000), int64(0)
	retention, retained := int64(24*3600*1000), int64(10_000_000)
	return &fairlanev1.QueueSettings{RetentionMs: &retention, RetentionJobs: &retained, Limits: &fairlanev1.JobLimits{
		LeaseMs: &lease, HeartbeatMs: &heartbeat, MaxAttempts: &attempts, BackoffFirstMs: &none, ExclusionWindowMs: &none}}
}

// wanted reports whether producers go on.
func (c *chaos) wanted() bool {
	return c.enqueued.Load() < int64(c.plan.Jobs) || c.faults.Load() < int64(c.plan.Kills+c.plan.Freezes+c.plan.Changes)
}

// drain waits until no job is waiting or running, and lets the workers go.
func (c *chaos) drain(ctx context.Context) error {
	defer c.drained.Store(true)
	for {
		open := int64(0)
		err := c.cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
			answer, err := api.Queues.ListQueues(ctx, &fairlanev1.ListQueuesRequest{})
			open = 0
			for _, q := range answer.GetQueues() {
				open += q.GetCounts().GetScheduled() + q.GetCounts().GetPending() + q.GetCounts().GetRunning()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%d jobs are not final: %w", open, err)
		}
		if open == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d jobs are not final: %w", open, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// judge reads all jobs, checks the history, and prints the table.
func (c *chaos) judge(t *testing.T, took time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c.cluster.CheckDigests(t)
	finals, err := c.finals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	result := history.Check(history.Run{Ops: c.record.Ops(), Slots: c.slots, Final: finals})
	for i, v := range result.Violations {
		if i == 20 {
			t.Errorf("and %d more", len(result.Violations)-i)
			break
		}
		t.Error(v)
	}
	if result.Acknowledged < c.plan.Jobs || int(c.kills.Load()) < c.plan.Kills {
		t.Errorf("the run is too small: %d jobs, %d kills", result.Acknowledged, c.kills.Load())
	}
	if c.plan.Jobs >= 1000 && (result.Repeats == 0 || result.LostClaims == 0) {
		t.Errorf("the run is too tame: %d repeats, %d late finishes refused", result.Repeats, result.LostClaims)
	}
	for _, node := range c.cluster.Nodes {
		if snapshots, err := node.Snapshots(); c.plan.Changes == 0 && (err != nil || snapshots == 0) {
			t.Errorf("node %d has %d snapshots: %v", node.Number, snapshots, err)
		}
	}
	if ahead := c.ahead(); c.plan.Clocks && ahead < apart/2 {
		t.Errorf("the cluster's clock was never more than %v ahead: the nodes' clocks are not wrong", ahead)
	}
	t.Log(c.table(result, took))
}

// ahead is how far the cluster's wall clock was ahead of the real time at most, as the stamps of enqueued jobs show.
func (c *chaos) ahead() time.Duration {
	most := int64(0)
	for _, op := range c.record.Ops() {
		if op.Kind == history.Enqueue && op.Outcome == history.Done {
			most = max(most, c.stamps[op.Job]-c.record.Wall(op.Return))
		}
	}
	return time.Duration(most) * time.Millisecond
}

// finals reads every job of the cluster, page by page, then each one with its result.
func (c *chaos) finals(ctx context.Context) (map[uint64]history.FinalJob, error) {
	ids := make(chan uint64, 1000)
	finals := make(map[uint64]history.FinalJob)
	var mu sync.Mutex
	var readers sync.WaitGroup
	var failed atomic.Pointer[error]
	for range 16 {
		readers.Go(func() {
			for id := range ids {
				job, err := c.cluster.Get(ctx, id)
				if err != nil {
					failed.CompareAndSwap(nil, &err)
					continue
				}
				mu.Lock()
				c.stamps[id] = job.GetEnqueuedMs()
				finals[id] = history.FinalJob{State: job.GetState(), Fence: job.GetFence(), Result: string(job.GetResult())}
				mu.Unlock()
			}
		})
	}
	err := c.eachID(ctx, ids)
	close(ids)
	readers.Wait()
	if failure := failed.Load(); failure != nil {
		err = *failure
	}
	return finals, err
}

// eachID sends the id of every job that the cluster lists.
func (c *chaos) eachID(ctx context.Context, ids chan<- uint64) error {
	for before := uint64(0); ; {
		var page *fairlanev1.ListResponse
		err := c.cluster.Any(ctx, func(ctx context.Context, api harness.API) (err error) {
			page, err = api.Jobs.List(ctx, &fairlanev1.ListRequest{Limit: 1000, BeforeId: before})
			return err
		})
		if err != nil {
			return err
		}
		for _, job := range page.GetJobs() {
			ids <- job.GetId()
		}
		if before = page.GetNextBeforeId(); before == 0 {
			return nil
		}
	}
}
