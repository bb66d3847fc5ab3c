package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	"github.com/fairlane-scheduler/fairlane/e2e/history"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// nemesis kills the leader at a random moment, measures how long nothing can be written, and starts the node again, until
// the plan's kills are done.
func (c *chaos) nemesis(ctx context.Context, rng *rand.Rand) error {
	for c.kills.Load() < int64(c.plan.Kills) {
		if err := sleep(ctx, time.Duration(300+rng.IntN(1700))*time.Millisecond); err != nil {
			return err
		}
		leader, _, err := c.cluster.Leader(ctx)
		if err != nil {
			return err
		}
		begin := time.Now()
		leader.Kill()
		err = c.cluster.AnyFrom(ctx, leader.Number+1, 0, func(ctx context.Context, api harness.API) error {
			_, err := api.Cluster.Checkpoint(ctx, &fairlanev1.CheckpointRequest{})
			return err
		})
		if err != nil {
			return fmt.Errorf("write after kill %d: %w", c.kills.Load()+1, err)
		}
		c.mu.Lock()
		c.failovers = append(c.failovers, time.Since(begin))
		c.mu.Unlock()
		if err := sleep(ctx, time.Duration(rng.IntN(1000))*time.Millisecond); err != nil {
			return err
		}
		if err := c.cluster.Restart(ctx, leader); err != nil {
			return err
		}
		c.kills.Add(1)
	}
	return nil
}

// table is the run in figures.
func (c *chaos) table(r *history.Result, took time.Duration) string {
	slices.Sort(c.failovers)
	above, fullest := 0, 0
	for lane, most := range r.MostRunning {
		if most > c.slots[lane] {
			above++
		}
		if most == c.slots[lane] {
			fullest++
		}
	}
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-38s %s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "chaos on %s, seed %d\n", c.plan.Store, c.plan.Seed)
	row("leader kills (SIGKILL)", "%d", c.kills.Load())
	row("first write after a kill", "median %v, worst %v", c.failovers[len(c.failovers)/2].Round(time.Millisecond),
		c.failovers[len(c.failovers)-1].Round(time.Millisecond))
	row("jobs acknowledged", "%d in %v (%.0f jobs/s)", r.Acknowledged, took.Round(100*time.Millisecond), float64(r.Acknowledged)/took.Seconds())
	row("in a final state", "%d", r.Final)
	row("lost", "%d", r.Lost)
	row("finished twice", "%d", r.Twice)
	row("jobs that nobody asked for", "%d", r.Unexpected)
	row("claims; accepted finishes that ended jobs", "%d; %d", r.Claims, r.Finishes)
	row("late finishes refused", "%d", r.LostClaims)
	row("repeats answered byte for byte", "%d", r.Repeats)
	row("calls without a known outcome", "%d", r.Unknown)
	row("lanes; filled to the last slot; above", "%d; %d; %d", len(r.MostRunning), fullest, above)
	row("calls explained by porcupine", "%d", r.Checked)
	row("violations", "%d", len(r.Violations))
	return b.String()
}
