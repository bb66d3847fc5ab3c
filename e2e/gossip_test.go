package e2e

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func gossipKey(fill byte) string {
	return base64.StdEncoding.EncodeToString(slices.Repeat([]byte{fill}, 32))
}

func writeKeys(t *testing.T, path string, keys ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Two clusters with different names on one network, with the same keys: a node of one that asks the other is refused, and nothing changes there.
func TestTwoClustersOnOneNetwork(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, keys, gossipKey(1))
	ctx, cancel := context.WithTimeout(t.Context(), formingTime)
	defer cancel()
	options := harness.Options{Nodes: 1, Env: []string{"FAIRLANE_GOSSIP_KEYS=" + keys}}
	first := harness.Start(t, options)
	options.Env = append(slices.Clone(options.Env), "FAIRLANE_CLUSTER_NAME=second")
	second := harness.Start(t, options)
	stray, err := second.Add()
	if err != nil {
		t.Fatal(err)
	}
	before, _ := memberIDs(ctx, t, first)
	stray.Enter = []string{"--join", first.Nodes[0].API}
	startAll(t, stray)
	code, err := stray.WaitExit(ctx)
	if err != nil || code != 1 || !strings.Contains(stray.Log(), "WRONG_CLUSTER") {
		t.Errorf("it ended with %d (%v):\n%s", code, err, stray.Log())
	}
	// Asked for ever, with a seed that is the other cluster's: it waits, and each says once that it refused the other.
	stray.Enter = []string{"--bootstrap-expect", "2", "--join", first.Nodes[0].API}
	startAll(t, stray)
	if err := stray.WaitReason(ctx, "1 of 2 fresh nodes are seen"); err != nil {
		t.Error(err)
	}
	waitLog(ctx, t, first.Nodes[0], "gossip was refused")
	if n := strings.Count(first.Nodes[0].Log(), "gossip was refused"); n != 1 {
		t.Errorf("%d lines of what was refused, want 1:\n%s", n, first.Nodes[0].Log())
	}
	for _, cluster := range []*harness.Cluster{first, second} {
		if err := cluster.Nodes[0].WaitReady(ctx); err != nil {
			t.Error(err)
		}
	}
	if after, _ := memberIDs(ctx, t, first); !slices.Equal(before, after) {
		t.Errorf("members %v, before %v", after, before)
	}
}

func waitLog(ctx context.Context, t *testing.T, n *harness.Node, words string) {
	t.Helper()
	for !strings.Contains(n.Log(), words) {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			t.Fatalf("node %d does not log %q:\n%s", n.Number, words, n.Log())
		}
	}
}

// The keys of gossip are changed under load, in the three steps of the handbook: nothing is refused and no job is lost. A node with the former key
// alone is refused then, and told so once.
func TestGossipKeysRotate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(node int) string { return filepath.Join(dir, string(rune('a'+node))) }
	for node := range 4 {
		writeKeys(t, file(node), gossipKey(1))
	}
	cluster := harness.Start(t, harness.Options{NodeEnv: func(node int) []string { return []string{"FAIRLANE_GOSSIP_KEYS=" + file(node)} }})
	ctx, cancel := context.WithTimeout(t.Context(), formingTime)
	defer cancel()
	jobs := 0
	var rotated []string
	for _, keys := range [][]string{{gossipKey(1), gossipKey(2)}, {gossipKey(2), gossipKey(1)}, {gossipKey(2)}} {
		for i, n := range cluster.Nodes {
			writeKeys(t, file(i), keys...)
			if err := n.Hangup(); err != nil {
				t.Fatal(err)
			}
			for {
				enqueueOne(ctx, t, cluster)
				jobs++
				status, err := n.Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
				if err != nil {
					t.Fatal(err)
				}
				if now := status.GetGossipKeys(); !slices.Equal(now, rotated) && len(now) == len(keys) && (i > 0 || len(now) > 0) {
					if i == len(cluster.Nodes)-1 {
						rotated = now
					}
					break
				}
				if ctx.Err() != nil {
					t.Fatalf("node %d still has the keys %v", i, status.GetGossipKeys())
				}
			}
		}
	}
	for _, n := range cluster.Nodes {
		if strings.Contains(n.Log(), "gossip was refused") {
			t.Errorf("something was refused while the keys changed:\n%s", n.Log())
		}
	}
	listed, err := cluster.Nodes[0].Dial().Jobs.List(ctx, &fairlanev1.ListRequest{Filter: &fairlanev1.JobFilter{}, Limit: 1000})
	if err != nil || len(listed.GetJobs()) != min(jobs, 1000) {
		t.Errorf("%d jobs of %d (%v)", len(listed.GetJobs()), jobs, err)
	}
	stray, err := cluster.Add()
	if err != nil {
		t.Fatal(err)
	}
	cluster.Nodes = cluster.Nodes[:3]
	stray.Enter = []string{"--bootstrap-expect", "2", "--join", cluster.Nodes[0].API}
	startAll(t, stray)
	defer stray.Kill()
	waitLog(ctx, t, cluster.Nodes[0], "gossip was refused")
	if err := stray.WaitReason(ctx, "1 of 2 fresh nodes are seen"); err != nil {
		t.Error(err)
	}
	if all, _ := memberIDs(ctx, t, cluster); len(all) != 3 {
		t.Errorf("members %v: want 3", all)
	}
	cluster.CheckDigests(t)
}
