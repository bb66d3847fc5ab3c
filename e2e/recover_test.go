package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestQuorumLoss is C5: two of three nodes are lost with their data, under load. offline recover makes a cluster of the third, with all that it
// has; the others join anew, empty.
func TestQuorumLoss(t *testing.T) {
	t.Parallel()
	for _, store := range harness.LogStores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			loseQuorum(t, store)
		})
	}
}

func loseQuorum(t *testing.T, store string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cluster := harness.Start(t, harness.Options{LogStore: store, Env: []string{harness.SnapshotEvery(200)}})
	waitNamed(ctx, t, cluster.Nodes[0], filepath.Join(t.TempDir(), "a"))
	worker, fence := heldClaim(ctx, t, cluster)
	load := &backupLoad{}
	stop := load.start(ctx, t, cluster)
	load.atLeast(ctx, t, 300)
	stop()
	survivor := cluster.Nodes[0]
	data := filepath.Join(survivor.Dir, "data")
	if _, errs, code := runBinary(ctx, t, "offline", "recover", data, "--yes", "x"); code != 1 || !strings.Contains(errs, "in use") {
		t.Errorf("recover while the node runs: exit code %d, %s", code, errs)
	}
	for _, node := range cluster.Nodes {
		node.Kill()
	}
	for _, lost := range cluster.Nodes[1:] {
		if err := os.RemoveAll(filepath.Join(lost.Dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	var seen []struct {
		NodeID    string `json:"node_id"`
		ClusterID string `json:"cluster_id"`
		Term      uint64 `json:"term"`
		LastIndex uint64 `json:"last_index"`
		Members   []any  `json:"members"`
	}
	told(ctx, t, &seen, "offline", "inspect", data)
	if len(seen) != 1 || len(seen[0].Members) != 3 || seen[0].ClusterID == "" || seen[0].Term == 0 || seen[0].LastIndex == 0 {
		t.Fatalf("inspect: %+v", seen)
	}
	if _, errs, code := runBinary(ctx, t, "offline", "recover", data, "--yes", "another"); code != 2 || !strings.Contains(errs, seen[0].NodeID) {
		t.Errorf("recover under another id: exit code %d, %s", code, errs)
	}
	var result struct {
		Copy  string `json:"copy"`
		Epoch uint32 `json:"epoch"`
	}
	told(ctx, t, &result, "offline", "recover", data, "--yes", seen[0].NodeID)
	if _, err := os.Stat(filepath.Join(result.Copy, "node_id")); err != nil || result.Epoch < 2 {
		t.Errorf("recovered %+v: %v", result, err)
	}
	began := time.Now()
	if err := cluster.Restart(ctx, survivor); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready %v after its start, alone", time.Since(began).Round(10*time.Millisecond))
	for _, id := range load.acknowledged() {
		answer, err := survivor.Dial().Jobs.Get(ctx, &fairlanev1.GetRequest{Id: id})
		if err != nil || answer.GetJob().GetState() != fairlanev1.JobState_JOB_STATE_PENDING {
			t.Fatalf("job %d: %v %v", id, answer.GetJob().GetState(), err)
		}
	}
	for _, node := range cluster.Nodes[1:] {
		if err := cluster.Restart(ctx, node); err != nil {
			t.Fatal(err)
		}
	}
	if err := cluster.WaitVoters(ctx); err != nil {
		t.Fatal(err)
	}
	refusedClaim(ctx, t, cluster, worker, fence)
	cluster.CheckDigests(t)
}
