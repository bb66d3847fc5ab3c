package rpc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// startThree starts a cluster of three nodes, the first of which leads, and waits until all vote.
func startThree(t testing.TB) []*testNode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	nodes := []*testNode{startNode(t), openNode(t, false), openNode(t, false)}
	for _, node := range nodes[1:] {
		if err := Join(ctx, node.Node, nil, []string{nodes[0].url}); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes {
		waitUntil(t, ctx, "all nodes vote", func() bool {
			voters := 0
			for _, member := range node.Status().Members {
				if member.Voter {
					voters++
				}
			}
			_, address, known := node.Leader()
			return voters == len(nodes) && known && address != ""
		})
	}
	return nodes
}

func waitUntil(t testing.TB, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waiting until %s: %v", what, ctx.Err())
		case <-look.C:
		}
	}
}

// call sends a request as bytes and gives status and answer as bytes, refusals too.
func (n *testNode) call(t *testing.T, method string, request proto.Message) string {
	t.Helper()
	body, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(n.url+"/fairlane.v1."+method, "application/proto", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s %x", response.StatusCode, response.Header.Get("Content-Type"), answer)
}

func (n *testNode) jobs() fairlanev1connect.JobServiceClient {
	return fairlanev1connect.NewJobServiceClient(http.DefaultClient, n.url)
}

func (n *testNode) workers() fairlanev1connect.WorkerServiceClient {
	return fairlanev1connect.NewWorkerServiceClient(http.DefaultClient, n.url)
}

// TestRepeatedAnswersAreEqualBytes sends every protected call once, and then again at each node, also after the leader
// is gone. Enqueue, Claim, Finish with its next claim, Release, Cancel, Retry, and refusals.
func TestRepeatedAnswersAreEqualBytes(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	session, err := nodes[1].jobs().OpenSession(ctx, &v1.OpenSessionRequest{Nonce: 1})
	if err != nil {
		t.Fatal(err)
	}
	worker, err := nodes[2].workers().Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 2, Lanes: "*:2"})
	if err != nil {
		t.Fatal(err)
	}
	repeat := func(number uint64) *v1.Repeat {
		return &v1.Repeat{Session: session.Session, Number: number, Lowest: 1}
	}
	labels := map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
	newJob := func(user string) *v1.NewJob { return &v1.NewJob{Kind: "k", User: user, Labels: labels} }
	type repeated struct {
		method  string
		request proto.Message
		answer  string
	}
	var calls []*repeated
	send := func(i int, method string, request proto.Message) {
		calls = append(calls, &repeated{method, request, nodes[i%3].call(t, method, request)})
	}
	send(0, "JobService/Enqueue", &v1.EnqueueRequest{Job: newJob("ana"), Repeat: repeat(1)})
	send(1, "JobService/EnqueueMany", &v1.EnqueueManyRequest{Jobs: []*v1.NewJob{newJob("bo"), newJob("cy")}, Repeat: repeat(2)})
	var claims []*v1.ClaimResponse
	for number := uint64(1); number <= 2; number++ {
		request := &v1.ClaimRequest{Session: worker.Session, Number: number, Lowest: 1}
		send(int(number), "WorkerService/Claim", request)
		claim, err := nodes[0].workers().Claim(ctx, request)
		if err != nil || claim.Claim == nil {
			t.Fatalf("claim %d: %v %v", number, claim, err)
		}
		claims = append(claims, claim)
	}
	send(2, "WorkerService/Claim", &v1.ClaimRequest{Session: worker.Session, Lane: 9, Number: 3, Lowest: 1})
	send(1, "WorkerService/Finish", &v1.FinishRequest{
		Session: worker.Session, Fence: claims[0].Claim.Fence, Number: 4, Lowest: 1,
		Outcome: &v1.FinishRequest_Success{Success: &v1.Success{Result: []byte("r")}}, Next: &v1.NextClaim{},
	})
	send(2, "WorkerService/Release", &v1.ReleaseRequest{Session: worker.Session, Fences: []uint64{claims[1].Claim.Fence}, Number: 5, Lowest: 1})
	send(0, "JobService/Cancel", &v1.CancelRequest{Id: claims[1].Claim.Job.Id, Repeat: repeat(3)})
	send(1, "JobService/Cancel", &v1.CancelRequest{Id: 999, Repeat: repeat(4)})
	send(2, "JobService/Retry", &v1.RetryRequest{Id: claims[1].Claim.Job.Id, Repeat: repeat(5)})
	send(0, "JobService/Retry", &v1.RetryRequest{Id: claims[1].Claim.Job.Id + 1000, Repeat: repeat(6)})
	send(1, "QueueService/SetQueue", &v1.SetQueueRequest{Name: "new", Repeat: repeat(7)})

	check := func(when string, nodes []*testNode) {
		t.Helper()
		for i, node := range nodes {
			for _, call := range calls {
				if again := node.call(t, call.method, call.request); again != call.answer {
					t.Errorf("%s, node %d, %s %v\nfirst %s\nagain %s", when, i, call.method, call.request, call.answer, again)
				}
			}
		}
	}
	check("the same leader", nodes)
	for i, node := range nodes { // whichever leads by now
		if node.IsLeader() {
			node.stop()
			nodes = append(nodes[:i:i], nodes[i+1:]...)
			break
		}
	}
	check("the next leader", nodes)
}

// TestReadYourWrites: what one node acknowledged is seen at once through every other.
func TestReadYourWrites(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	for i := range 30 {
		made, err := nodes[i%3].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}})
		if err != nil {
			t.Fatal(err)
		}
		for j, node := range nodes {
			if got, err := node.jobs().Get(ctx, &v1.GetRequest{Id: made.Id}); err != nil || got.Job.Id != made.Id {
				t.Fatalf("job %d through node %d: %v %v", made.Id, j, got, err)
			}
		}
	}
	// A page of the list ends with the number at which the next one starts.
	var listed []uint64
	for before := uint64(0); ; {
		page, err := nodes[0].jobs().List(ctx, &v1.ListRequest{Limit: 7, BeforeId: before})
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range page.Jobs {
			listed = append(listed, job.Id)
		}
		if before = page.NextBeforeId; before == 0 {
			break
		}
	}
	if len(listed) != 30 || listed[0] != 30 || listed[29] != 1 {
		t.Errorf("listed %v", listed)
	}
}

// TestWaitAndParkedClaimOverFollowers: a claim that waits through one node gets the job enqueued through another, and a
// Wait through the third returns with its end.
func TestWaitAndParkedClaimOverFollowers(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	worker, err := nodes[1].workers().Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 2, Lanes: "*:1"})
	if err != nil {
		t.Fatal(err)
	}
	claimed := make(chan *v1.ClaimResponse, 1)
	go func() {
		claim, err := nodes[1].workers().Claim(ctx, &v1.ClaimRequest{Session: worker.Session, WaitMs: 20_000, Number: 1, Lowest: 1})
		if err != nil {
			t.Error(err)
		}
		claimed <- claim
	}()
	made, err := nodes[2].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	claim := <-claimed
	if claim.GetClaim().GetJob().GetId() != made.Id {
		t.Fatalf("claimed %v", claim)
	}
	waited := make(chan *v1.WaitResponse, 1)
	go func() {
		answer, err := nodes[2].jobs().Wait(ctx, &v1.WaitRequest{Id: made.Id, WaitMs: 20_000})
		if err != nil {
			t.Error(err)
		}
		waited <- answer
	}()
	finished, err := nodes[1].workers().Finish(ctx, &v1.FinishRequest{
		Session: worker.Session, Fence: claim.Claim.Fence, Outcome: &v1.FinishRequest_Success{Success: &v1.Success{Result: []byte("r")}},
	})
	if err != nil || finished.Error != nil {
		t.Fatal(finished, err)
	}
	if answer := <-waited; answer.GetJob().GetState() != v1.JobState_JOB_STATE_SUCCEEDED {
		t.Errorf("waited for %v", answer)
	}
	short, err := nodes[0].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := nodes[1].jobs().Wait(ctx, &v1.WaitRequest{Id: short.Id, WaitMs: 20}); err != nil || answer.Job.State != v1.JobState_JOB_STATE_PENDING {
		t.Errorf("a wait that ends: %v %v", answer, err)
	}
	_, err = nodes[1].jobs().Wait(ctx, &v1.WaitRequest{Id: 12345})
	wantReason(t, err, UnknownJob)
}

// TestDigestsOfAllNodes: Checkpoint and Digest through the API.
func TestDigestsOfAllNodes(t *testing.T) {
	nodes := startThree(t)
	ctx := t.Context()
	if _, err := nodes[1].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}}); err != nil {
		t.Fatal(err)
	}
	mark, err := fairlanev1connect.NewClusterServiceClient(http.DefaultClient, nodes[2].url).Checkpoint(ctx, &v1.CheckpointRequest{})
	if err != nil {
		t.Fatal(err)
	}
	digests := make(map[string]bool)
	for _, node := range nodes {
		client := fairlanev1connect.NewClusterServiceClient(http.DefaultClient, node.url)
		digest, err := client.Digest(ctx, &v1.DigestRequest{Index: mark.Index, WaitMs: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		if digest.NodeId != node.ID() {
			t.Errorf("a digest of %s, asked %s", digest.NodeId, node.ID())
		}
		digests[digest.Digest] = true
		status, err := client.Status(ctx, &v1.StatusRequest{})
		if err != nil || status.NodeId != node.ID() || len(status.Members) != 3 || status.Totals.GetEnqueued() != 1 || status.NotReady != "" {
			t.Errorf("status %v %v", status, err)
		}
	}
	if len(digests) != 1 {
		t.Errorf("digests differ: %v", digests)
	}
}
