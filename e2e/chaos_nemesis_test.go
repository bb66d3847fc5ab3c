package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	"github.com/fairlane-scheduler/fairlane/e2e/history"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// nemesis kills or freezes the leader at a random moment, measures how long nothing can be written, and brings the node
// back, until the plan's faults are done.
func (c *chaos) nemesis(ctx context.Context, rng *rand.Rand) error {
	var faults []func(context.Context, *rand.Rand, *harness.Node) error
	for range c.plan.Kills {
		faults = append(faults, c.kill)
	}
	for range c.plan.Freezes {
		faults = append(faults, c.freeze)
	}
	rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for i, fault := range faults {
		if err := sleep(ctx, time.Duration(300+rng.IntN(1700))*time.Millisecond); err != nil {
			return err
		}
		leader, _, err := c.cluster.Leader(ctx)
		if err != nil {
			return err
		}
		if err := fault(ctx, rng, leader); err != nil {
			return fmt.Errorf("fault %d at node %d: %w", i, leader.Number, err)
		}
		c.faults.Add(1)
	}
	return nil
}

func (c *chaos) kill(ctx context.Context, rng *rand.Rand, leader *harness.Node) error {
	begin := time.Now()
	leader.Kill()
	c.kills.Add(1)
	if err := c.write(ctx, leader.Number+1, begin); err != nil {
		return err
	}
	if err := sleep(ctx, time.Duration(rng.IntN(1000))*time.Millisecond); err != nil {
		return err
	}
	return c.cluster.Restart(ctx, leader)
}

func (c *chaos) freeze(ctx context.Context, _ *rand.Rand, leader *harness.Node) error {
	begin := time.Now()
	if err := leader.Freeze(); err != nil {
		return err
	}
	err := c.write(ctx, leader.Number+1, begin)
	_ = sleep(ctx, 5*time.Second-time.Since(begin))
	return errors.Join(err, leader.Thaw(), leader.WaitReady(ctx))
}

// write measures how long after a fault the first write succeeds.
func (c *chaos) write(ctx context.Context, first int, begin time.Time) error {
	err := c.cluster.AnyFrom(ctx, first, 0, func(ctx context.Context, api harness.API) error {
		_, err := api.Cluster.Checkpoint(ctx, &fairlanev1.CheckpointRequest{})
		return err
	})
	if err != nil {
		return fmt.Errorf("first write after it: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failovers = append(c.failovers, time.Since(begin))
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
	if c.plan.Freezes > 0 {
		row("leader freezes of 5 s (SIGSTOP)", "%d", c.plan.Freezes)
	}
	if c.plan.Clocks {
		row("wall clock ahead of real time, at most", "%v", c.ahead())
	}
	if c.plan.Changes > 0 {
		row("changes of the members", "%d", c.faults.Load())
		row("longest time without an acknowledgement", "%v", c.leaderless[1].Round(time.Millisecond))
	}
	row("first write after such a fault", "median %v, worst %v", c.failovers[len(c.failovers)/2].Round(time.Millisecond),
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
