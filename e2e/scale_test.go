package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestScaleBacklog: what a claim costs, and what the nodes hold in memory, while few, many and a million jobs wait. The clusters stand at the
// same time and take turns, so that a neighbour on the machine shows in all of them. Then a node of the largest is killed and comes back:
// from its snapshot, and from the log alone (B4).
func TestScaleBacklog(t *testing.T) {
	sizes, rounds, inRound := [][2]int{{500, 50}, {2000, 200}, {12_000, 1200}}, 2, 20
	if *scaleFull {
		sizes, rounds, inRound = [][2]int{{10_000, 1000}, {200_000, 20_000}, {1_000_000, 100_000}}, 10, 300
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	var clusters []*backlog
	for _, size := range sizes {
		b := startBacklog(ctx, t, harness.Options{}, size[0], size[1])
		_, text := resident(t, b.Cluster)
		t.Logf("%d jobs, just filled: %s", b.jobs, text)
		clusters = append(clusters, b)
	}
	claims, finishes := make([][]time.Duration, len(clusters)), make([][]time.Duration, len(clusters))
	for range rounds {
		for i, b := range clusters {
			for range inRound {
				claim, finish, _, err := b.cycle(ctx)
				if err != nil {
					t.Fatal(err)
				}
				claims[i], finishes[i] = append(claims[i], claim), append(finishes[i], finish)
			}
		}
	}
	for i, b := range clusters {
		slices.Sort(claims[i])
		slices.Sort(finishes[i])
		_, text := resident(t, b.Cluster)
		t.Logf("%d jobs of %d users wait: claim %s; finish %s; %s", b.jobs, b.users, percentiles(claims[i]), percentiles(finishes[i]), text)
	}
	for _, b := range clusters {
		b.checkWaiting(ctx, t)
	}
	for _, b := range clusters[:len(clusters)-1] { // what follows has the machine for itself
		for _, n := range b.Nodes {
			n.Kill()
		}
	}
	clusters[len(clusters)-1].comesBack(ctx, t)
}

// checkWaiting: none was lost and none is there twice.
func (b *backlog) checkWaiting(ctx context.Context, t *testing.T) {
	t.Helper()
	status, err := b.leader.Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
	if got := status.GetTotals().GetJobs().GetPending(); err != nil || got != int64(b.jobs) {
		t.Errorf("%d jobs wait, want %d (%v)", got, b.jobs, err)
	}
}

// comesBack kills a follower and starts it: first its log is read again, then a snapshot, with every check sum and invariant checked.
func (b *backlog) comesBack(ctx context.Context, t *testing.T) {
	t.Helper()
	followers, err := b.Followers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := followers[0]
	took := b.again(ctx, t, n, harness.SnapshotEvery(100)) // this time it makes a snapshot soon
	t.Logf("killed and ready again by its log of %d jobs: %v", b.jobs, took)
	load := b.openLoop(ctx, 200)
	size := int64(0)
	for size < int64(b.jobs*len(scalePayload)) { // one that it made while it read its log holds a part of them
		took, size = watchSnapshot(ctx, t, n)
	}
	load.stop(nil)
	t.Logf("a snapshot of %d jobs: %d MB in %v (%d bytes for each job)", b.jobs, size/1e6, took.Round(10*time.Millisecond), size/int64(b.jobs))
	before, _ := n.Snapshots()
	took = b.again(ctx, t, n)
	after, _ := n.Snapshots()
	t.Logf("killed and ready again by the snapshot of %d jobs: %v (%d snapshots)", b.jobs, took, after)
	if before == 0 {
		t.Error("there was no snapshot to come back from")
	}
	_, text := resident(t, b.Cluster)
	t.Logf("node %d came back: %s", n.Number, text)
	b.CheckDigests(t)
}

// again kills a node with SIGKILL, starts it, and gives the time until it is ready.
func (b *backlog) again(ctx context.Context, t *testing.T, n *harness.Node, env ...string) time.Duration {
	t.Helper()
	n.Kill()
	begin := time.Now()
	if err := n.Start(env...); err != nil {
		t.Fatal(err)
	}
	if err := n.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return time.Since(begin).Round(10 * time.Millisecond)
}

// watchSnapshot waits until the node has written its next snapshot, and gives how long it took and the bytes of its file.
func watchSnapshot(ctx context.Context, t *testing.T, n *harness.Node) (took time.Duration, size int64) {
	t.Helper()
	before, err := snapshotNames(n)
	if err != nil {
		t.Fatal(err)
	}
	var begun time.Time
	for {
		if writing(n) {
			if begun.IsZero() {
				begun = time.Now()
			}
		} else if names, err := snapshotNames(n); err == nil {
			for _, name := range names {
				if slices.Contains(before, name) {
					continue
				}
				if info, err := os.Stat(filepath.Join(snapshotDir(n), name, "state.bin")); err == nil {
					if begun.IsZero() {
						begun = time.Now() // a small one is quicker than a look
					}
					return time.Since(begun), info.Size()
				}
			}
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			t.Fatalf("node %d makes no snapshot: %v", n.Number, err)
		}
	}
}

func snapshotDir(n *harness.Node) string { return filepath.Join(n.Dir, "data", "snapshots") }

// snapshotNames of those that are whole.
func snapshotNames(n *harness.Node) (names []string, err error) {
	entries, err := os.ReadDir(snapshotDir(n))
	for _, e := range entries {
		if e.IsDir() && !strings.HasSuffix(e.Name(), ".tmp") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// writing tells whether the node writes a snapshot at this moment.
func writing(n *harness.Node) bool {
	entries, _ := os.ReadDir(snapshotDir(n))
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".tmp") })
}
