package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// lostReply is one kind of call whose answer is lost with its leader.
type lostReply struct {
	op        string // as the failpoint names it
	procedure string
	// prepare leaves the cluster as the call needs it, without a call of its kind, and gives the request.
	prepare func(ctx context.Context, t *testing.T, w *world) proto.Message
	// check looks at the answer and at what is there afterwards: one effect.
	check func(ctx context.Context, t *testing.T, w *world, body []byte)
}

// world is a cluster with one party and one worker that has two slots.
type world struct {
	cluster *harness.Cluster
	session *harness.Session
	worker  *harness.Worker
	claimed *fairlanev1.Claim
	jobs    []uint64
}

var lostReplies = []lostReply{
	{"Enqueue", "JobService/Enqueue", prepareEnqueue, checkEnqueue},
	{"Claim", "WorkerService/Claim", prepareClaim, checkClaim},
	{"Finish", "WorkerService/Finish", prepareFinish, checkFinish},
	{"Cancel", "JobService/Cancel", prepareCancel, checkCancel},
	{"Retry", "JobService/Retry", prepareRetry, checkRetry},
}

// TestReplyLost: the leader is killed between commit and answer. The same request, sent again to the new leader, to a
// follower and to the killed node when it is back, gets one answer, byte for byte, and has one effect (A4). The call
// arrives once at the leader itself and once by way of a follower.
func TestReplyLost(t *testing.T) {
	for _, store := range harness.LogStores {
		for _, way := range []string{"leader", "follower"} {
			for _, c := range lostReplies {
				// The short form takes each kind once, and both stores and both ways.
				if !*full && (store == harness.LogStores[0]) != (way == "leader") {
					continue
				}
				if !*full && (way == "leader") != (c.op == "Finish" || c.op == "Enqueue" || c.op == "Retry") {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", store, way, c.op), func(t *testing.T) {
					t.Parallel()
					loseReply(t, c, store, way == "leader")
				})
			}
		}
	}
}

func loseReply(t *testing.T, c lostReply, store string, direct bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cluster := harness.Start(t, harness.Options{LogStore: store, FirstEnv: func(node int) []string {
		if node != 0 {
			return nil
		}
		return []string{"FAIRLANE_FAILPOINT=after_commit:" + c.op + ":1"}
	}})
	leader, _, err := cluster.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if leader.Number != 0 {
		t.Fatalf("node %d leads a new cluster; the failpoint is in node 0", leader.Number)
	}
	w := &world{cluster: cluster}
	if w.session, err = cluster.OpenSession(ctx, rand.Uint64()|1); err != nil {
		t.Fatal(err)
	}
	if w.worker, err = cluster.Register(ctx, "w", "*:2"); err != nil {
		t.Fatal(err)
	}
	request := c.prepare(ctx, t, w)

	at := leader
	if !direct {
		at = cluster.Nodes[1]
	}
	status, first, err := at.Raw(ctx, c.procedure, request)
	if direct && err == nil {
		t.Fatalf("the leader answered %d %q; it should have been killed before", status, first)
	}
	code, err := leader.WaitExit(ctx)
	if err != nil || code != 137 {
		t.Fatalf("the failpoint: exit code %d, %v", code, err)
	}
	if !direct && status != http.StatusOK && !bytes.Contains(first, []byte("UNKNOWN_OUTCOME")) {
		t.Fatalf("the follower answered %d %s; the outcome was unknown to it", status, first)
	}

	heir, _, err := cluster.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	answer := ask(ctx, t, heir, c.procedure, request)
	if status == http.StatusOK && !bytes.Equal(first, answer) {
		t.Errorf("the follower had answered %x, the new leader answers %x", first, answer)
	}
	if err := cluster.Restart(ctx, leader); err != nil {
		t.Fatal(err)
	}
	for _, node := range cluster.Nodes {
		if again := ask(ctx, t, node, c.procedure, request); !bytes.Equal(again, answer) {
			t.Errorf("node %d answers %x, the new leader answered %x", node.Number, again, answer)
		}
	}
	c.check(ctx, t, w, answer)
	cluster.CheckDigests(t)
}

// ask sends the request until it is answered with success.
func ask(ctx context.Context, t *testing.T, node *harness.Node, procedure string, request proto.Message) []byte {
	t.Helper()
	for {
		status, body, err := node.Raw(ctx, procedure, request)
		if err == nil && status == http.StatusOK {
			return body
		}
		if err == nil && status != http.StatusServiceUnavailable {
			t.Fatalf("node %d answers %d %s", node.Number, status, body)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			t.Fatalf("node %d: %v; last answer %d %s", node.Number, err, status, body)
		}
	}
}

// enqueue adds jobs that the case needs before its call.
func (w *world) enqueue(ctx context.Context, t *testing.T, count int) {
	t.Helper()
	for range count {
		answer, err := w.cluster.Enqueue(ctx, w.session, &fairlanev1.NewJob{Kind: "k", Queue: "q"})
		if err != nil {
			t.Fatal(err)
		}
		w.jobs = append(w.jobs, answer.GetId())
	}
}

func (w *world) claim(ctx context.Context, t *testing.T) {
	t.Helper()
	answer, err := w.worker.Claim(ctx, 0, 5*time.Second)
	if err != nil || answer.GetClaim() == nil {
		t.Fatalf("claim: %v %v", answer, err)
	}
	w.claimed = answer.GetClaim()
}

// jobCount is how many jobs there are at all.
func (w *world) jobCount(ctx context.Context, t *testing.T) int {
	t.Helper()
	var page *fairlanev1.ListResponse
	err := w.cluster.Any(ctx, func(ctx context.Context, api harness.API) (err error) {
		page, err = api.Jobs.List(ctx, &fairlanev1.ListRequest{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.GetJobs())
}

// running is how many claims the cluster thinks the worker has.
func (w *world) running(ctx context.Context, t *testing.T) uint32 {
	t.Helper()
	var page *fairlanev1.ListWorkersResponse
	err := w.cluster.Any(ctx, func(ctx context.Context, api harness.API) (err error) {
		page, err = api.Workers.ListWorkers(ctx, &fairlanev1.ListWorkersRequest{})
		return err
	})
	if err != nil || len(page.GetWorkers()) != 1 {
		t.Fatalf("list workers: %v %v", page, err)
	}
	return page.GetWorkers()[0].GetLanes()[0].GetRunning()
}

func decode[M proto.Message](t *testing.T, body []byte, into M) M {
	t.Helper()
	if err := proto.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
	return into
}

func prepareEnqueue(_ context.Context, _ *testing.T, w *world) proto.Message {
	number := w.session.Begin()
	return &fairlanev1.EnqueueRequest{Job: &fairlanev1.NewJob{Kind: "k", Queue: "q"}, Repeat: w.session.Repeat(number)}
}

func checkEnqueue(ctx context.Context, t *testing.T, w *world, body []byte) {
	answer := decode(t, body, &fairlanev1.EnqueueResponse{})
	if n := w.jobCount(ctx, t); n != 1 || answer.GetId() == 0 || answer.GetDeduplicated() {
		t.Errorf("%d jobs after the answer %v", n, answer)
	}
}

func prepareClaim(ctx context.Context, t *testing.T, w *world) proto.Message {
	w.enqueue(ctx, t, 2)
	number := w.worker.Begin()
	return &fairlanev1.ClaimRequest{Session: w.worker.ID, Number: number, Lowest: number}
}

func checkClaim(ctx context.Context, t *testing.T, w *world, body []byte) {
	answer := decode(t, body, &fairlanev1.ClaimResponse{})
	if n := w.running(ctx, t); n != 1 || answer.GetClaim().GetJob().GetId() != w.jobs[0] {
		t.Errorf("%d claims live after the answer %v", n, answer)
	}
}

func prepareFinish(ctx context.Context, t *testing.T, w *world) proto.Message {
	w.enqueue(ctx, t, 3)
	w.claim(ctx, t)
	number := w.worker.Begin()
	return &fairlanev1.FinishRequest{Session: w.worker.ID, Fence: w.claimed.GetFence(), Number: number, Lowest: number,
		Outcome: harness.Succeeded("done"), Next: &fairlanev1.NextClaim{}}
}

func checkFinish(ctx context.Context, t *testing.T, w *world, body []byte) {
	answer := decode(t, body, &fairlanev1.FinishResponse{})
	if n := w.running(ctx, t); n != 1 || answer.GetError() != nil || answer.GetNext().GetClaim().GetJob().GetId() != w.jobs[1] {
		t.Errorf("%d claims live after the answer %v", n, answer)
	}
	if job, err := w.cluster.Get(ctx, w.jobs[0]); err != nil || job.GetState() != fairlanev1.JobState_JOB_STATE_SUCCEEDED || string(job.GetResult()) != "done" {
		t.Errorf("the finished job: %v %v", job, err)
	}
}

func prepareCancel(ctx context.Context, t *testing.T, w *world) proto.Message {
	w.enqueue(ctx, t, 1)
	number := w.session.Begin()
	return &fairlanev1.CancelRequest{Id: w.jobs[0], Repeat: w.session.Repeat(number)}
}

func checkCancel(ctx context.Context, t *testing.T, w *world, body []byte) {
	answer := decode(t, body, &fairlanev1.CancelResponse{})
	job, err := w.cluster.Get(ctx, w.jobs[0])
	if err != nil || !answer.GetCancelled() || job.GetState() != fairlanev1.JobState_JOB_STATE_CANCELLED {
		t.Errorf("the job is %v (%v) after the answer %v", job, err, answer)
	}
}

func prepareRetry(ctx context.Context, t *testing.T, w *world) proto.Message {
	w.enqueue(ctx, t, 1)
	if answer, err := w.cluster.Cancel(ctx, w.session, w.jobs[0]); err != nil || !answer.GetCancelled() {
		t.Fatalf("cancel: %v %v", answer, err)
	}
	number := w.session.Begin()
	return &fairlanev1.RetryRequest{Id: w.jobs[0], Repeat: w.session.Repeat(number)}
}

func checkRetry(ctx context.Context, t *testing.T, w *world, body []byte) {
	answer := decode(t, body, &fairlanev1.RetryResponse{})
	job, err := w.cluster.Get(ctx, answer.GetId())
	if n := w.jobCount(ctx, t); err != nil || n != 2 || job.GetRetryOf() != w.jobs[0] {
		t.Errorf("%d jobs, the new one %v (%v), after the answer %v", n, job, err, answer)
	}
}
