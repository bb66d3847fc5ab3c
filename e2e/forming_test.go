package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// formingTime bounds each of these tests.
const formingTime = 90 * time.Second

// expecting makes the node one of count that form a cluster together; it knows of the others.
func expecting(count int, nodes ...*harness.Node) {
	for _, n := range nodes {
		var others []string
		for _, other := range nodes {
			if other != n {
				others = append(others, other.API)
			}
		}
		n.Enter = []string{"--bootstrap-expect", fmt.Sprint(count)}
		if len(others) > 0 {
			n.Enter = append(n.Enter, "--join", strings.Join(others, ","))
		}
	}
}

func startAll(t *testing.T, nodes ...*harness.Node) {
	t.Helper()
	for _, n := range nodes {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

// memberIDs as the leader sees them, sorted, with whether each votes.
func memberIDs(ctx context.Context, t *testing.T, cluster *harness.Cluster) (all, voters []string) {
	t.Helper()
	_, status, err := cluster.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range status.GetMembers() {
		all = append(all, m.GetNodeId())
		if m.GetVoter() {
			voters = append(voters, m.GetNodeId())
		}
	}
	slices.Sort(all)
	slices.Sort(voters)
	return all, voters
}

// Three fresh nodes that are started at once form one cluster, every time; also with certificates and keys for gossip.
func TestFreshNodesFormOneCluster(t *testing.T) {
	t.Parallel()
	for round := range 3 {
		options := harness.Options{TLS: round == 1}
		if options.TLS {
			keys := filepath.Join(t.TempDir(), "gossip.keys")
			if err := os.WriteFile(keys, []byte("xKlT2mYb8Y0k9o4ZJvUuZ1b0m3p8s6Qw0r5n7d2f4hA=\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			options.Env = []string{"FAIRLANE_GOSSIP_KEYS=" + keys}
		}
		cluster := harness.Prepare(t, options)
		ctx, cancel := context.WithTimeout(t.Context(), formingTime)
		defer cancel()
		expecting(3, cluster.Nodes...)
		began := time.Now()
		startAll(t, cluster.Nodes...)
		if err := cluster.WaitVoters(ctx); err != nil {
			t.Fatal(err)
		}
		for _, n := range cluster.Nodes {
			if err := n.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("three fresh nodes were a ready cluster after %v", time.Since(began).Round(10*time.Millisecond))
		cluster.CheckDigests(t)
		// The same flags at a later start begin nothing.
		node := cluster.Nodes[1]
		node.Kill()
		if err := cluster.Restart(ctx, node); err != nil {
			t.Fatal(err)
		}
		if all, voters := memberIDs(ctx, t, cluster); len(all) != 3 || len(voters) != 3 {
			t.Errorf("members %v, voters %v: want 3", all, voters)
		}
		cluster.CheckDigests(t)
		for _, n := range cluster.Nodes {
			n.Kill()
		}
	}
}

// Of four fresh nodes where three are expected none begins, and each says which there are. When one ends the others form the cluster, and the
// fourth is added to it when it comes back.
func TestTooManyFreshNodes(t *testing.T) {
	t.Parallel()
	cluster := harness.Prepare(t, harness.Options{Nodes: 5})
	ctx, cancel := context.WithTimeout(t.Context(), formingTime)
	defer cancel()
	nodes, bridge := cluster.Nodes[:4], cluster.Nodes[4]
	// Two pairs that meet: each of any three nodes has a partner whom it knows already, so no three are alone for a moment.
	expecting(3, nodes[:2]...)
	expecting(3, nodes[2:]...)
	startAll(t, nodes...)
	for _, n := range nodes {
		if err := n.WaitReason(ctx, "2 of 3 fresh nodes are seen"); err != nil {
			t.Fatal(err)
		}
	}
	bridge.Enter = []string{"--bootstrap-expect", "5", "--join", nodes[0].API + "," + nodes[2].API}
	startAll(t, bridge)
	words := []string{"4 fresh nodes are seen"}
	for _, n := range nodes {
		status, err := n.Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, status.GetNodeId())
	}
	for _, n := range nodes {
		if err := n.WaitReason(ctx, words...); err != nil {
			t.Fatal(err)
		}
	}
	bridge.Kill()
	if err := nodes[3].Stop(15 * time.Second); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[:3] {
		if err := n.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	nodes[3].Enter = append(nodes[3].Enter[:2:2], "--join", nodes[0].API)
	if err := cluster.Restart(ctx, nodes[3]); err != nil {
		t.Fatal(err)
	}
	if all, _ := memberIDs(ctx, t, cluster); len(all) != 4 {
		t.Errorf("members %v: want 4", all)
	}
	cluster.CheckDigests(t)
}

// All nodes come back at new addresses, told nothing but where the others' APIs are now; then each at an address that was another one's. They elect a
// leader, who corrects the configuration, and nothing is lost.
func TestAllNodesMove(t *testing.T) {
	t.Parallel()
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), formingTime)
	defer cancel()
	const jobs = 20
	for range jobs {
		enqueueOne(ctx, t, cluster)
	}
	for _, how := range []string{"new addresses", "each other's addresses"} {
		before, _ := memberIDs(ctx, t, cluster)
		for _, n := range cluster.Nodes {
			n.Kill()
		}
		if how == "new addresses" {
			for _, n := range cluster.Nodes {
				if err := n.Move(); err != nil {
					t.Fatal(err)
				}
			}
		} else {
			a, b, c := cluster.Nodes[0], cluster.Nodes[1], cluster.Nodes[2]
			a.API, b.API, c.API = b.API, c.API, a.API
			a.Raft, b.Raft, c.Raft = b.Raft, c.Raft, a.Raft
			a.Gossip, b.Gossip, c.Gossip = b.Gossip, c.Gossip, a.Gossip
		}
		for _, n := range cluster.Nodes {
			n.Enter = n.JoinAll()
		}
		began := time.Now()
		startAll(t, cluster.Nodes...)
		if _, _, err := cluster.Leader(ctx); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		t.Logf("%s: a leader after %v", how, time.Since(began).Round(10*time.Millisecond))
		waitAddresses(ctx, t, cluster)
		for _, n := range cluster.Nodes {
			if err := n.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if after, voters := memberIDs(ctx, t, cluster); !slices.Equal(before, after) || len(voters) != 3 {
			t.Errorf("%s: members %v, before %v; %d vote", how, after, before, len(voters))
		}
		cluster.CheckDigests(t)
	}
	listed, err := cluster.Nodes[0].Dial().Jobs.List(ctx, &fairlanev1.ListRequest{Filter: &fairlanev1.JobFilter{}, Limit: 100})
	if err != nil || len(listed.GetJobs()) != jobs {
		t.Errorf("%d jobs are left of %d (%v)", len(listed.GetJobs()), jobs, err)
	}
}

// waitAddresses waits until the leader's configuration has the present address of every node.
func waitAddresses(ctx context.Context, t *testing.T, cluster *harness.Cluster) {
	t.Helper()
	for {
		right := 0
		if _, status, err := cluster.Leader(ctx); err == nil {
			for _, m := range status.GetMembers() {
				for _, n := range cluster.Nodes {
					if m.GetRaftAddress() == n.Raft && m.GetApiAddress() == n.API {
						right++
					}
				}
			}
			if right == len(cluster.Nodes) {
				return
			}
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			t.Fatalf("the configuration has %d of %d addresses", right, len(cluster.Nodes))
		}
	}
}

func enqueueOne(ctx context.Context, t *testing.T, cluster *harness.Cluster) {
	t.Helper()
	key := fmt.Sprint(time.Now().UnixNano())
	err := cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Jobs.Enqueue(ctx, &fairlanev1.EnqueueRequest{Job: &fairlanev1.NewJob{Kind: "k", IdempotencyKey: key}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A copy of a data directory is refused, by gossip before raft begins, and without gossip by the leader. The cluster stays as it is.
func TestClonedDataDirectory(t *testing.T) {
	t.Parallel()
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), formingTime)
	defer cancel()
	before, _ := memberIDs(ctx, t, cluster)
	original := cluster.Nodes[2]
	if err := original.Stop(15 * time.Second); err != nil {
		t.Fatal(err)
	}
	var copies []*harness.Node
	for range 2 {
		clone, err := cluster.Add()
		if err != nil {
			t.Fatal(err)
		}
		if err := original.CopyData(clone); err != nil {
			t.Fatal(err)
		}
		clone.Enter = []string{"--join", cluster.Nodes[0].API + "," + cluster.Nodes[1].API}
		copies = append(copies, clone)
	}
	original.Enter = copies[0].Enter
	if err := cluster.Restart(ctx, original); err != nil {
		t.Fatal(err)
	}
	copies[1].Gossip = "off"
	for i, want := range []string{"in use by a live process whose gossip is at " + original.Gossip, "NODE_ID_IN_USE"} {
		began := time.Now()
		startAll(t, copies[i])
		code, err := copies[i].WaitExit(ctx)
		if err != nil || code != 1 || !strings.Contains(copies[i].Log(), want) {
			t.Errorf("copy %d ended with %d (%v), its log does not say %q:\n%s", i, code, err, want, copies[i].Log())
		}
		t.Logf("the copy was refused after %v", time.Since(began).Round(10*time.Millisecond))
	}
	cluster.Nodes = cluster.Nodes[:3]
	if err := original.WaitReady(ctx); err != nil {
		t.Error(err)
	}
	if after, voters := memberIDs(ctx, t, cluster); !slices.Equal(before, after) || len(voters) != 3 {
		t.Errorf("members %v, before %v; %d vote", after, before, len(voters))
	}
	waitAddresses(ctx, t, cluster)
	cluster.CheckDigests(t)
}
