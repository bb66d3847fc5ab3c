package rpc

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Every node takes the calls that change the members, also those about the leader itself.
func TestMembersThroughAnyNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	nodes := startThree(t)
	waitUntil(t, ctx, "the rules are raised", func() bool { return nodes[0].Status().ClusterRules >= 4 })
	leader, other, third := nodes[0], nodes[1], nodes[2]
	moved, err := third.cluster().TransferLeadership(ctx, &v1.TransferLeadershipRequest{NodeId: other.ID()})
	if err != nil || moved.GetLeaderId() != other.ID() {
		t.Fatalf("transfer: %v %v", moved, err)
	}
	waitUntil(t, ctx, "the node leads", other.IsLeader)
	if _, err := third.cluster().DemoteNode(ctx, &v1.DemoteNodeRequest{NodeId: other.ID()}); err != nil {
		t.Fatalf("demotion of the leader: %v", err)
	}
	voters := func(n *testNode) (count int) {
		for _, m := range n.Status().Members {
			if m.Voter {
				count++
			}
		}
		return count
	}
	waitUntil(t, ctx, "two vote", func() bool { return voters(third) == 2 && !other.IsLeader() })
	answer, err := leader.cluster().PromoteNode(ctx, &v1.PromoteNodeRequest{NodeId: other.ID()})
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, ctx, "three vote", func() bool { return voters(third) == 3 })
	_, err = leader.cluster().DemoteNode(ctx, &v1.DemoteNodeRequest{NodeId: other.ID(), ConfigurationIndex: answer.GetConfigurationIndex() - 1})
	if reason, _, _ := ReasonOf(err); reason != StaleConfiguration {
		t.Errorf("a change from an older configuration: %v", err)
	}
}

// A node that leaves is removed, also when it leads, is told so, and ends without a failure; the others refuse it from then on.
func TestLeave(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	nodes := startThree(t)
	waitUntil(t, ctx, "the rules are raised", func() bool { return nodes[0].Status().ClusterRules >= 4 })
	leader := nodes[0]
	if _, err := leader.cluster().Leave(ctx, &v1.LeaveRequest{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-leader.Left():
	case <-ctx.Done():
		t.Fatal("the node that left does not know it")
	}
	for _, n := range nodes[1:] {
		waitUntil(t, ctx, "two members", func() bool { return len(n.Status().Members) == 2 })
	}
	_, err := nodes[1].cluster().Join(ctx, &v1.JoinRequest{NodeId: leader.ID(), RaftAddress: "127.0.0.1:1", ApiAddress: "127.0.0.1:2", Rules: fsm.Rules})
	if reason, _, _ := ReasonOf(err); reason != NodeRemoved {
		t.Errorf("the node that left joined: %v", err)
	}
}

// The refusals of a change say what the node said.
func TestMemberProblems(t *testing.T) {
	for want, err := range map[Reason]error{
		UnknownNode:        &cluster.UnknownNodeError{ID: "n"},
		StaleConfiguration: &cluster.ConfigurationError{Expected: 1, Now: 2},
		UnsafeChange:       &cluster.UnsafeChangeError{Change: "removal", ID: "n", Why: "w", Todo: "t"},
		NodeRemoved:        &cluster.RemovedError{ID: "n"},
		TransferFailed:     &cluster.TransferError{Why: "w"},
	} {
		if reason, _, _ := ReasonOf(memberProblem(fmt.Errorf("wrapped: %w", err))); reason != want {
			t.Errorf("%v: %s, want %s", err, reason, want)
		}
	}
	if memberProblem(cluster.ErrNotLeader) != nil {
		t.Error("every error is one of the members")
	}
}
