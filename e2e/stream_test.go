package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	fairlane "github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/e2e/harness"
)

// streamPlan is a run of TestStreams.
type streamPlan struct {
	jobs, tokens int
	gap          time.Duration // between two tokens of a job
	killEvery    time.Duration // 0: nobody is killed
}

// TestStreams: jobs write tokens while leaders are killed, and every reader gets each byte once, in order. Latency and log
// entries are printed.
func TestStreams(t *testing.T) {
	plans := map[string]streamPlan{
		"quiet": {jobs: 20, tokens: 100, gap: 10 * time.Millisecond},
		"kills": {jobs: 20, tokens: 300, gap: 20 * time.Millisecond, killEvery: 3 * time.Second},
	}
	if *full {
		plans = map[string]streamPlan{
			"quiet": {jobs: 100, tokens: 1000, gap: 20 * time.Millisecond},
			"kills": {jobs: 100, tokens: 1000, gap: 30 * time.Millisecond, killEvery: 5 * time.Second},
		}
	}
	for _, name := range []string{"quiet", "kills"} {
		t.Run(name, func(t *testing.T) { runStreams(t, plans[name]) })
	}
}

func runStreams(t *testing.T, plan streamPlan) {
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	client := startSDK(ctx, t, cluster, fmt.Sprintf("stream:%d", plan.jobs), "stream", func(ctx context.Context, job *fairlane.RawJob) ([]byte, error) {
		return []byte("done"), writeTokens(ctx, job, plan)
	})
	before := appliedIndex(ctx, t, cluster)
	var handles []*fairlane.Handle
	for range plan.jobs {
		handle, err := client.Enqueue(ctx, "stream", nil, fairlane.To("stream"))
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, handle)
	}
	over, stop := context.WithCancel(ctx)
	killed := make(chan int, 1)
	go func() { killed <- killLeaders(over, t, cluster, plan.killEvery) }()

	var mu sync.Mutex
	var late []time.Duration
	var readers sync.WaitGroup
	for _, handle := range handles {
		readers.Go(func() {
			mine, err := readTokens(ctx, handle, plan.tokens)
			if err != nil {
				t.Errorf("job %d: %v", handle.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			late = append(late, mine...)
		})
	}
	readers.Wait()
	stop()
	kills := <-killed
	if t.Failed() {
		return
	}
	entries := appliedIndex(ctx, t, cluster) - before
	slices.Sort(late)
	t.Logf("%d jobs x %d tokens, one token each %v, %d leaders killed: every byte once and in order; write to reader p50 %v, p99 %v, worst %v; %.1f log entries for 1,000 tokens",
		plan.jobs, plan.tokens, plan.gap, kills, late[len(late)/2].Round(time.Millisecond), late[len(late)*99/100].Round(time.Millisecond),
		late[len(late)-1].Round(time.Millisecond), float64(entries)*1000/float64(plan.jobs*plan.tokens))
	if plan.killEvery > 0 && kills == 0 {
		t.Error("no leader was killed")
	}
	cluster.CheckDigests(t)
}

// writeTokens writes numbered tokens with the time of their writing; every eighth ends a clause, as text does.
func writeTokens(ctx context.Context, job *fairlane.RawJob, plan streamPlan) error {
	tick := time.NewTicker(plan.gap)
	defer tick.Stop()
	for i := range plan.tokens {
		end := " "
		if i%8 == 7 {
			end = ", "
		}
		if err := job.Token(fmt.Sprintf("%d:%d%s", i, time.Now().UnixNano(), end)); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// readTokens follows a job's output to its end and gives how long each token took.
func readTokens(ctx context.Context, handle *fairlane.Handle, tokens int) (late []time.Duration, err error) {
	rest, next, offset := "", 0, uint64(0)
	for chunk, err := range handle.Stream(ctx) {
		if err != nil {
			return late, err
		}
		if chunk.Attempt != 1 || chunk.Restarted || chunk.Skipped > 0 {
			return late, fmt.Errorf("attempt %d, restarted %v, %d skipped; it ran once", chunk.Attempt, chunk.Restarted, chunk.Skipped)
		}
		if len(chunk.Data) > 0 && chunk.Offset != offset {
			return late, fmt.Errorf("data at %d, %d bytes were read", chunk.Offset, offset)
		}
		offset += uint64(len(chunk.Data))
		now := time.Now()
		rest += string(chunk.Data)
		for {
			token, more, found := strings.Cut(rest, " ")
			if !found {
				break
			}
			rest = more
			number, at, _ := strings.Cut(strings.TrimSuffix(token, ","), ":")
			nanos, err := strconv.ParseInt(at, 10, 64)
			if number != strconv.Itoa(next) || err != nil {
				return late, fmt.Errorf("token %q where number %d should be", token, next)
			}
			next++
			late = append(late, now.Sub(time.Unix(0, nanos)))
		}
	}
	if next != tokens || rest != "" {
		return late, fmt.Errorf("%d of %d tokens, and %q", next, tokens, rest)
	}
	return late, nil
}

// killLeaders kills the leader each time, starts it again, and gives the number of kills when ctx ends.
func killLeaders(ctx context.Context, t *testing.T, cluster *harness.Cluster, every time.Duration) (kills int) {
	if every == 0 {
		return 0
	}
	for sleep(ctx, every) == nil {
		leader, _, err := cluster.Leader(ctx)
		if err != nil {
			return kills
		}
		leader.Kill()
		kills++
		_ = sleep(ctx, 500*time.Millisecond)
		// Also when the run is over: the digests of all nodes are compared.
		if err := cluster.Restart(context.WithoutCancel(ctx), leader); err != nil {
			t.Errorf("restart: %v", err)
			return kills
		}
	}
	return kills
}

// appliedIndex of the leader.
func appliedIndex(ctx context.Context, t *testing.T, cluster *harness.Cluster) uint64 {
	t.Helper()
	_, status, err := cluster.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return status.GetAppliedIndex()
}
