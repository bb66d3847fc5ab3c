package rpc

import (
	"context"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// leaderNamed makes one call that succeeds and one that is refused, and gives what the headers of both name.
func (n *testNode) leaderNamed(t *testing.T) (success, refusal string) {
	t.Helper()
	ctx, info := connect.NewClientContext(t.Context())
	if _, err := n.jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}}); err != nil {
		t.Fatal(err)
	}
	_, err := n.jobs().Get(t.Context(), &v1.GetRequest{Id: 1 << 40})
	wantReason(t, err, UnknownJob)
	wire, _ := errors.AsType[*connect.Error](err)
	return info.ResponseHeader().Get(leaderHeader), wire.Meta().Get(leaderHeader)
}

// TestAnswersNameTheLeader: what a node passed on says where the leader is, refusals too; the leader's own answers say nothing; and so it is
// after a change.
func TestAnswersNameTheLeader(t *testing.T) {
	nodes := startThree(t)
	check := func(nodes []*testNode) {
		t.Helper()
		leader := leaderOf(t, nodes)
		for i, node := range nodes {
			want := leader.url
			if node == leader {
				want = ""
			}
			if success, refusal := node.leaderNamed(t); success != want || refusal != want {
				t.Errorf("node %d names %q and, refusing, %q; want %q", i, success, refusal, want)
			}
		}
	}
	check(nodes)
	former := leaderOf(t, nodes)
	var rest []*testNode
	for _, node := range nodes {
		if node != former {
			rest = append(rest, node)
		}
	}
	former.stop()
	check(rest)
}

// leaderOf the nodes, when all of them agree.
func leaderOf(t *testing.T, nodes []*testNode) (leader *testNode) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	waitUntil(t, ctx, "all nodes know the leader", func() bool {
		for _, node := range nodes {
			if node.IsLeader() {
				leader = node
			}
		}
		for _, node := range nodes {
			id, address, known := node.Leader()
			if leader == nil || !known || id != leader.ID() || address == "" {
				return false
			}
		}
		return true
	})
	return leader
}

// TestLeaderIsNotNamedInVain: a call that another node did not answer names none, for it was perhaps that node's end.
func TestLeaderIsNotNamedInVain(t *testing.T) {
	lead, _, client := forwarding(t, 50*time.Millisecond)
	leader := &leaderThat{cancel: func(context.Context) (*v1.CancelResponse, error) { return nil, problem(NotLeader, "node_id", "x") }}
	lead.follow(leader.start(t))
	_, err := client.Cancel(t.Context(), cancelOne)
	wantReason(t, err, NoLeader)
	wire, _ := errors.AsType[*connect.Error](err)
	if named := wire.Meta().Get(leaderHeader); named != "" {
		t.Errorf("names %q", named)
	}
}
