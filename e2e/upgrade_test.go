package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// formerVersion is the last commit of rules 3, before what operators need.
const formerVersion = "925c0ad"

// risenRules are those of this version.
const risenRules = 4

// TestRollingUpgrade: a cluster of the former version is upgraded node by node under load, with one step back in between. Nothing is lost, a
// schedule goes on, all nodes have one digest at every stage, what needs the new rules is refused until the last node is upgraded, and works then.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	former := buildFormer(t)
	cluster := harness.Start(t, harness.Options{Binary: former})
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	jobs := &upgradeLoad{cluster: cluster}
	stop := jobs.start(ctx, t)
	ticking := startTicking(ctx, t, cluster)
	for _, step := range []struct {
		node int
		to   string
	}{{2, ""}, {2, former}, {2, ""}, {0, ""}, {1, ""}} {
		node := cluster.Nodes[step.node]
		if err := node.Stop(15 * time.Second); err != nil {
			t.Fatal(err)
		}
		node.Binary = step.to
		if err := cluster.Restart(ctx, node); err != nil {
			t.Fatal(err)
		}
		_ = sleep(ctx, 1500*time.Millisecond)
		cluster.CheckDigests(t)
		// With the last node the rules may have risen already.
		if _, status, err := cluster.Leader(ctx); err != nil || step.node != 1 && status.GetClusterRules() >= risenRules {
			t.Errorf("rules %d in a mixed cluster: %v", status.GetClusterRules(), err)
		}
		if reason := clockReason(ctx, cluster); reason == "" {
			t.Error("the clock was set back, though it is not ahead")
		}
	}
	raised := time.Now()
	for {
		if _, status, err := cluster.Leader(ctx); err == nil && status.GetClusterRules() >= risenRules {
			break
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			t.Fatal("the rules do not rise")
		}
	}
	if reason := clockReason(ctx, cluster); reason != "CLOCK_NOT_AHEAD" {
		t.Errorf("set-clock after the upgrade: %q", reason)
	}
	t.Logf("%v after the last node was ready the rules had risen", time.Since(raised).Round(10*time.Millisecond))
	ticking(t)
	stop()
	jobs.check(ctx, t)
	cluster.CheckDigests(t)
}

// clockReason is why the clock was not set back: by rules 4, because there is nothing to set back.
func clockReason(ctx context.Context, cluster *harness.Cluster) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := cluster.Nodes[2].Dial().Cluster.SetClock(ctx, &fairlanev1.SetClockRequest{})
	if reason := harness.Reason(err); err == nil || reason != "" {
		return reason
	}
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		return "UNKNOWN_METHOD"
	}
	return err.Error()
}

// buildFormer builds the former version from its commit.
func buildFormer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := exec.Command("git", "-C", "..", "cat-file", "-e", formerVersion+"^{commit}").Run(); err != nil {
		t.Skipf("commit %s is not in this clone (a shallow one?): the former version cannot be built", formerVersion)
	}
	archive := filepath.Join(dir, "former.tar")
	for _, step := range []*exec.Cmd{
		exec.Command("git", "-C", "..", "archive", "-o", archive, formerVersion),
		exec.Command("tar", "xf", archive, "-C", dir),
		exec.Command("go", "build", "-C", dir, "-tags", "failpoint", "-o", filepath.Join(dir, "fairlane-former"), "./cmd/fairlane"),
	} {
		if out, err := step.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", step.Args, err, out)
		}
	}
	_ = os.Remove(archive)
	return filepath.Join(dir, "fairlane-former")
}

// upgradeLoad enqueues jobs and works on them while nodes come and go.
type upgradeLoad struct {
	cluster *harness.Cluster
	ids     []uint64
}

func (l *upgradeLoad) start(ctx context.Context, t *testing.T) (stop func()) {
	t.Helper()
	worker, err := l.cluster.Register(ctx, "w", "*:16")
	if err != nil {
		t.Fatal(err)
	}
	session, err := l.cluster.OpenSession(ctx, 11)
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(ctx)
	var parties, hands sync.WaitGroup
	for range 6 {
		hands.Go(func() {
			for idle := 0; idle < 3; {
				answer, err := worker.Claim(ctx, 0, time.Second)
				switch {
				case err == nil && answer.GetClaim() != nil:
					_, _ = worker.Succeed(ctx, answer.GetClaim().GetFence(), "")
				case life.Err() != nil:
					idle++
				}
			}
		})
	}
	parties.Go(func() {
		for i := 0; life.Err() == nil; i++ {
			answer, err := l.cluster.Enqueue(ctx, session, &fairlanev1.NewJob{Kind: "k", User: fmt.Sprintf("u%d", i%3)})
			if err != nil {
				t.Errorf("enqueue %d: %v", i, err)
				return
			}
			l.ids = append(l.ids, answer.GetId())
			_ = sleep(ctx, 4*time.Millisecond)
		}
	})
	return func() { end(); parties.Wait(); hands.Wait() }
}

func (l *upgradeLoad) check(ctx context.Context, t *testing.T) {
	t.Helper()
	seen := map[uint64]bool{}
	for _, id := range l.ids {
		job, err := l.cluster.Get(ctx, id)
		if err != nil || job.GetState() != fairlanev1.JobState_JOB_STATE_SUCCEEDED || job.GetAttempt() != 1 || seen[id] {
			t.Errorf("job %d: %v, attempt %d, %v", id, job.GetState(), job.GetAttempt(), err)
		}
		seen[id] = true
	}
	t.Logf("%d jobs through the upgrade, each succeeded in its first attempt", len(l.ids))
}

// startTicking puts a schedule of one second. The function given back checks that no second of it is unaccounted for.
func startTicking(ctx context.Context, t *testing.T, cluster *harness.Cluster) func(*testing.T) {
	t.Helper()
	began := time.Now()
	err := cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Schedules.PutSchedule(ctx, &fairlanev1.PutScheduleRequest{Schedule: &fairlanev1.Schedule{
			Name: "tick", Spec: "@every 1s", CatchUp: fairlanev1.CatchUp_CATCH_UP_ALL, MaxInstances: 1000, Job: &fairlanev1.NewJob{Kind: "tick", Queue: "ticks"}}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) {
		t.Helper()
		var fired uint64
		err := cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
			answer, err := api.Schedules.GetSchedule(ctx, &fairlanev1.GetScheduleRequest{Name: "tick"})
			fired = answer.GetStatus().GetTotals().GetFired()
			return err
		})
		seconds := time.Since(began).Seconds()
		if err == nil { // it would keep the workers busy for ever
			err = cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
				_, err := api.Schedules.PauseSchedule(ctx, &fairlanev1.PauseScheduleRequest{Name: "tick"})
				return err
			})
		}
		if err != nil || float64(fired) < seconds-5 || float64(fired) > seconds+1 {
			t.Errorf("%d of the times fired in %.1f s: %v", fired, seconds, err)
		}
		t.Logf("a schedule of one second fired %d times in %.1f s", fired, seconds)
	}
}
