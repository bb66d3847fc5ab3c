package rpc

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

func (n *testNode) queues() fairlanev1connect.QueueServiceClient {
	return fairlanev1connect.NewQueueServiceClient(http.DefaultClient, n.url)
}

func (n *testNode) cluster() fairlanev1connect.ClusterServiceClient {
	return fairlanev1connect.NewClusterServiceClient(http.DefaultClient, n.url)
}

// enqueue jobs of users in turn, in one queue.
func (n *testNode) enqueue(t *testing.T, queue string, users ...string) (ids []uint64) {
	t.Helper()
	request := &v1.EnqueueManyRequest{}
	for _, user := range users {
		request.Jobs = append(request.Jobs, &v1.NewJob{Kind: "k", Queue: queue, User: user, Labels: map[string]string{"of": user}})
	}
	made, err := n.jobs().EnqueueMany(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range made.Results {
		ids = append(ids, result.Id)
	}
	return ids
}

// TestWhyAndOrderOnAllNodes: every node explains a job in the same bytes at the same index, and previews the same order; through each
// of them Why answers as the leader does.
func TestWhyAndOrderOnAllNodes(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	ids := nodes[1].enqueue(t, "manual", "ana", "ana", "ben", "", "ben")
	if _, err := nodes[2].workers().Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 2, Lanes: "other:1 manual>*:2@1GiB"}); err != nil {
		t.Fatal(err)
	}
	paused, err := nodes[0].queues().PauseQueue(ctx, &v1.PauseQueueRequest{Name: "manual"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		type saying struct {
			own, order []byte
			index      uint64
		}
		// While a session lives the log goes on by itself, so nodes that are asked one after the other are asked until they agree on an index.
		var said []saying
		waitUntil(t, ctx, "all nodes are asked at one index", func() bool {
			said = said[:0]
			for _, node := range nodes {
				if err := node.WaitApplied(ctx, paused.Position.Index); err != nil {
					t.Fatal(err)
				}
				why, known := node.Insight().Why(fsm.JobID(id))
				if !known {
					t.Fatalf("node %s does not know job %d", node.ID(), id)
				}
				order, err := node.queues().PreviewOrder(ctx, &v1.PreviewOrderRequest{Worker: "w", Lane: 1})
				if err != nil {
					t.Fatal(err)
				}
				if order.Index != why.Index {
					return false
				}
				text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(whyAnswer(why))
				list, _ := proto.MarshalOptions{Deterministic: true}.Marshal(order)
				said = append(said, saying{text, list, why.Index})
			}
			return said[0].index == said[1].index && said[1].index == said[2].index
		})
		for i := range said {
			if string(said[i].own) != string(said[0].own) || string(said[i].order) != string(said[0].order) {
				t.Errorf("job %d: node %d says otherwise at index %d\n%x %x\n%x %x", id, i, said[0].index, said[0].own, said[0].order, said[i].own, said[i].order)
			}
		}
		for i, node := range nodes {
			why, err := node.jobs().Why(ctx, &v1.WhyRequest{Id: id})
			if err != nil || why.Index < paused.Position.Index || !strings.Contains(why.Summary, "queue manual is paused") {
				t.Errorf("job %d through node %d: %v %v", id, i, why, err)
			}
		}
	}
}

// TestWhyIsLinearizable: what one node acknowledged is in the answer of the next, at once.
func TestWhyIsLinearizable(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	for i := range 20 {
		id := nodes[i%3].enqueue(t, "manual", "ana")[0]
		if _, err := nodes[(i+1)%3].jobs().Cancel(ctx, &v1.CancelRequest{Id: id}); err != nil {
			t.Fatal(err)
		}
		why, err := nodes[(i+2)%3].jobs().Why(ctx, &v1.WhyRequest{Id: id})
		if err != nil || why.State != v1.JobState_JOB_STATE_CANCELLED || !strings.Contains(why.Summary, "was cancelled") {
			t.Fatalf("job %d: %v %v", id, why, err)
		}
	}
}

// TestPreviewAndUsers of one node, and the status of its queue.
func TestPreviewAndUsers(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	ids := node.enqueue(t, "manual", "ana", "ben", "ana", "cho")
	order, err := node.queues().PreviewOrder(ctx, &v1.PreviewOrderRequest{Queue: "manual", Limit: 2})
	if err != nil || len(order.Jobs) != 2 || order.Jobs[0].Id != ids[0] || order.Jobs[0].Queue != "manual" || order.Jobs[0].User != "ana" ||
		order.Jobs[0].Kind != "k" || order.Jobs[0].Line != "manual" || order.Index == 0 {
		t.Errorf("order: %v %v", order, err)
	}
	page, err := node.queues().ListQueueUsers(ctx, &v1.ListQueueUsersRequest{Name: "manual", Limit: 2})
	if err != nil || len(page.Users) != 2 || page.Users[0].User != "ana" || page.Users[0].Pending != 2 || page.NextAfterUser != "ben" {
		t.Errorf("users: %v %v", page, err)
	}
	page, err = node.queues().ListQueueUsers(ctx, &v1.ListQueueUsersRequest{Name: "manual", AfterUser: page.GetNextAfterUser()})
	if err != nil || len(page.Users) != 1 || page.Users[0].User != "cho" || page.NextAfterUser != "" || page.Index == 0 {
		t.Errorf("the next users: %v %v", page, err)
	}
	got, err := node.queues().GetQueue(ctx, &v1.GetQueueRequest{Name: "manual"})
	if err != nil || got.Queue.Users != 3 || got.Queue.LiveClaims != 0 || got.Queue.OldestWaitMs < 0 {
		t.Errorf("queue: %v %v", got, err)
	}
	if _, err := node.queues().SetQueue(ctx, &v1.SetQueueRequest{Name: "none"}); err != nil {
		t.Fatal(err)
	}
	all, err := node.queues().ListQueues(ctx, &v1.ListQueuesRequest{})
	if err != nil || len(all.Queues) != 2 || all.Queues[0].Users != 3 || all.Queues[1].OldestWaitMs != -1 {
		t.Errorf("queues: %v %v", all, err)
	}
}

// TestExplainIndex: the index of a claim's answer explains that claim.
func TestExplainIndex(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	id := node.enqueue(t, "manual", "ana")[0]
	worker, err := node.workers().Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 2, Lanes: "manual:1"})
	if err != nil {
		t.Fatal(err)
	}
	claim, err := node.workers().Claim(ctx, &v1.ClaimRequest{Session: worker.Session})
	if err != nil || claim.Claim == nil {
		t.Fatal(claim, err)
	}
	explained, err := node.cluster().ExplainIndex(ctx, &v1.ExplainIndexRequest{Index: claim.Position.Index})
	if err != nil || len(explained.Decisions) != 1 || explained.Decisions[0].Job != id || explained.Decisions[0].Fence != claim.Claim.Fence {
		t.Errorf("explained: %v %v", explained, err)
	}
	_, err = node.cluster().ExplainIndex(ctx, &v1.ExplainIndexRequest{Index: 1})
	wantReason(t, err, NoDecision)
}

func TestDecisionTexts(t *testing.T) {
	d := &logv1.DecisionRecord{
		Job: 12, Queue: "manual", User: "ben", Worker: "w1", Lane: 1, Line: "manual", Mode: logv1.Mode_MODE_ROUND_ROBIN, Turn: 1099511627790,
		JobPlace: 77, WaitedMs: 3200, Waiting: 41,
	}
	with := func(change func(*logv1.DecisionRecord)) *logv1.DecisionRecord {
		out := proto.Clone(d).(*logv1.DecisionRecord)
		change(out)
		return out
	}
	for _, c := range []struct {
		decision *logv1.DecisionRecord
		want     string
	}{
		{d, "job 12 of user ben to worker w1 lane 1: first of chain position 0, line manual (round robin): user ben was served longest ago (claim 1099511627790); priority 0, place 77, waited 3.2 s; 41 jobs waited"},
		{with(func(d *logv1.DecisionRecord) { d.Turn, d.Waiting = 0, 1 }), "job 12 of user ben to worker w1 lane 1: first of chain position 0, line manual (round robin): user ben was never served in it; priority 0, place 77, waited 3.2 s; 1 job waited"},
		{with(func(d *logv1.DecisionRecord) { d.Mode, d.Line, d.Position = logv1.Mode_MODE_FIFO, "*", 1 }), "job 12 of user ben to worker w1 lane 1: first of chain position 1, line * (fifo): priority and age decide, whoever the user is; priority 0, place 77, waited 3.2 s; 41 jobs waited"},
		{with(func(d *logv1.DecisionRecord) { d.OnlyUser, d.Priority = true, -3 }), "job 12 of user ben to worker w1 lane 1: first of chain position 0, line manual (round robin): the worker serves user ben alone, so turns do not count; priority -3, place 77, waited 3.2 s; 41 jobs waited"},
	} {
		got := decisionAnswer(c.decision)
		if got.Text != c.want {
			t.Errorf("got  %s\nwant %s", got.Text, c.want)
		}
		if got.Job != 12 || got.Turn != c.decision.Turn || got.JobPlace != 77 || got.WaitedMs != 3200 || got.Waiting != c.decision.Waiting {
			t.Errorf("numbers of %v", got)
		}
	}
}
