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

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// formerVersion is the last commit of rules 2, before schedules.
const formerVersion = "d3cb9a1"

// TestRollingUpgrade: a cluster of the former version is upgraded node by node under load, with one step back in between. Nothing is lost, all nodes
// have one digest at every stage, what needs the new rules is refused until the last node is upgraded, and works then.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	former := buildFormer(t)
	cluster := harness.Start(t, harness.Options{Binary: former})
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	jobs := &upgradeLoad{cluster: cluster}
	stop := jobs.start(ctx, t)
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
		if step.node != 1 {
			if reason := putReason(ctx, cluster); reason != "CLUSTER_TOO_OLD" && reason != "UNKNOWN_METHOD" { // an old leader does not know the call
				t.Errorf("a schedule in a mixed cluster: %q", reason)
			}
		}
	}
	raised := time.Now()
	for putReason(ctx, cluster) != "" {
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			t.Fatalf("the rules do not rise: %s", putReason(ctx, cluster))
		}
	}
	t.Logf("%v after the last node was ready a schedule could be put", time.Since(raised).Round(10*time.Millisecond))
	stop()
	jobs.check(ctx, t)
	cluster.CheckDigests(t)
}

func putReason(ctx context.Context, cluster *harness.Cluster) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := cluster.Nodes[2].Dial().Schedules.PutSchedule(ctx, &fairlanev1.PutScheduleRequest{Schedule: &fairlanev1.Schedule{
		Name: "s", Spec: "@hourly", Job: &fairlanev1.NewJob{Kind: "k"}}})
	if err == nil {
		return ""
	}
	if reason := harness.Reason(err); reason != "" {
		return reason
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
