package rpc

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// TestRefusals: calls that are well formed and that the machine refuses. The sentence has every value that it needs.
func TestRefusals(t *testing.T) {
	node := startNode(t)
	ctx := t.Context()
	jobs, workers := node.jobs(), node.workers()
	queues := fairlanev1connect.NewQueueServiceClient(http.DefaultClient, node.url)
	session, err := jobs.OpenSession(ctx, &v1.OpenSessionRequest{Nonce: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = workers.Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 6, Lanes: "*:1"}); err != nil {
		t.Fatal(err)
	}
	if _, err = jobs.Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", IdempotencyKey: "key"}}); err != nil {
		t.Fatal(err)
	}
	again, err := jobs.Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", IdempotencyKey: "key"}})
	if err != nil || !again.Deduplicated || again.Id != 1 {
		t.Errorf("the same key and body: %v %v", again, err)
	}
	if _, err = queues.SetQueue(ctx, &v1.SetQueueRequest{Name: "full"}); err != nil {
		t.Fatal(err)
	}
	if _, err = jobs.Cancel(ctx, &v1.CancelRequest{Id: 77, Repeat: &v1.Repeat{Session: session.Session, Number: 5, Lowest: 4}}); err == nil {
		t.Fatal("cancelled a job that is not there")
	}
	before := counts(node)
	for _, c := range []struct {
		method, body string
		status       int
		want         Reason
		names        string
	}{
		{"JobService/Get", `{"id":9}`, 404, UnknownJob, "job 9"},
		{"JobService/Cancel", `{"id":9}`, 404, UnknownJob, "job 9"},
		{"JobService/Retry", `{"id":9}`, 404, UnknownJob, "job 9"},
		{"JobService/Retry", `{"id":1}`, 400, WrongState, "job 1 is pending"},
		{"JobService/Enqueue", `{"job":{"kind":"other","idempotencyKey":"key"}}`, 409, KeyReused, "key key"},
		{"JobService/Cancel", `{"id":1,"repeat":{"session":1,"number":3}}`, 400, TooOld, "number 3"},
		{"JobService/Cancel", `{"id":1,"repeat":{"session":1,"number":5}}`, 409, NumberReused, "number 5"},
		{"JobService/Cancel", `{"id":1,"repeat":{"session":1,"number":5000}}`, 429, TooManyOpen, "session 1"},
		{"JobService/Cancel", `{"id":1,"repeat":{"session":99,"number":1}}`, 400, SessionEnded, "session 99"},
		{"WorkerService/Claim", `{"session":99}`, 400, SessionEnded, "session 99"},
		{"WorkerService/Claim", `{"session":1}`, 400, NotAWorker, "session 1"},
		{"WorkerService/Claim", `{"session":2,"lane":4}`, 400, UnknownLane, "no lane 4"},
		{"WorkerService/Heartbeat", `{"session":99}`, 400, SessionEnded, "session 99"},
		{"WorkerService/Finish", `{"session":99,"fence":4,"success":{}}`, 400, SessionEnded, "session 99"},
		{"WorkerService/Release", `{"session":99,"fences":[4]}`, 400, SessionEnded, "session 99"},
		{"WorkerService/Deregister", `{"session":99}`, 400, SessionEnded, "session 99"},
		{"WorkerService/Drain", `{"name":"nobody"}`, 404, UnknownWorker, "nobody"},
		{"QueueService/GetQueue", `{"name":"nowhere"}`, 404, UnknownQueue, "nowhere"},
		{"QueueService/PauseQueue", `{"name":"nowhere"}`, 404, UnknownQueue, "nowhere"},
		{"QueueService/ResumeQueue", `{"name":"nowhere"}`, 404, UnknownQueue, "nowhere"},
		{"QueueService/DeleteQueue", `{"name":"nowhere"}`, 404, UnknownQueue, "nowhere"},
		{"QueueService/DeleteQueue", `{"name":"default"}`, 400, QueueNotEmpty, "default"},
		{"JobService/Why", `{"id":9}`, 404, UnknownJob, "job 9"},
		{"JobService/List", `{"filter":{"idPrefix":"1a"}}`, 400, InvalidArgument, "id_prefix"},
		{"JobService/List", `{"filter":{"idPrefix":"01"}}`, 400, InvalidArgument, "id_prefix"},
		{"JobService/List", `{"filter":{"enqueuedFromMs":5,"enqueuedBeforeMs":5}}`, 400, InvalidArgument, "enqueued_before_ms"},
		{"JobService/List", `{"limit":1001}`, 400, InvalidArgument, "limit"},
		{"JobService/CancelMany", `{}`, 400, InvalidArgument, "filter"},
		{"JobService/CancelMany", `{"filter":{}}`, 400, InvalidArgument, "at least one field"},
		{"JobService/CancelMany", `{"filter":{"labels":{},"states":[]},"dryRun":true}`, 400, InvalidArgument, "at least one field"},
		{"JobService/CancelMany", `{"filter":{"states":["JOB_STATE_PENDING","JOB_STATE_FAILED"]}}`, 400, InvalidArgument, "JOB_STATE_SCHEDULED, JOB_STATE_PENDING, JOB_STATE_RUNNING"},
		{"JobService/CancelMany", `{"filter":{"user":"u"},"limit":1001}`, 400, InvalidArgument, "limit"},
		{"JobService/RetryMany", `{"filter":{}}`, 400, InvalidArgument, "at least one field"},
		{"JobService/RetryMany", `{"filter":{"states":["JOB_STATE_SUCCEEDED"]}}`, 400, InvalidArgument, "JOB_STATE_FAILED, JOB_STATE_TIMED_OUT, JOB_STATE_CANCELLED"},
		{"QueueService/ListQueueUsers", `{"name":"nowhere"}`, 404, UnknownQueue, "nowhere"},
		{"QueueService/PreviewOrder", `{}`, 400, InvalidArgument, "queue"},
		{"QueueService/PreviewOrder", `{"queue":"full","worker":"w"}`, 400, InvalidArgument, "worker"},
		{"QueueService/PreviewOrder", `{"queue":"full","lane":1}`, 400, InvalidArgument, "lane"},
		{"QueueService/PreviewOrder", `{"queue":"full","limit":1001}`, 400, InvalidArgument, "limit"},
		{"QueueService/PreviewOrder", `{"queue":"nowhere"}`, 404, UnknownQueue, "nowhere"},
		{"QueueService/PreviewOrder", `{"worker":"nobody"}`, 404, UnknownWorker, "nobody"},
		{"QueueService/PreviewOrder", `{"worker":"w","lane":4}`, 400, UnknownLane, "no lane 4; it registered *:1"},
		{"ClusterService/RemoveNode", `{"node_id":"nobody"}`, 404, UnknownNode, "nobody"},
		{"ClusterService/PromoteNode", `{"node_id":"nobody"}`, 404, UnknownNode, "nobody"},
		{"ClusterService/DemoteNode", `{"node_id":"nobody"}`, 404, UnknownNode, "nobody"},
		{"ClusterService/TransferLeadership", `{"node_id":"nobody"}`, 404, UnknownNode, "nobody"},
		{"ClusterService/TransferLeadership", `{}`, 400, TransferFailed, "no other voter"},
		{"ClusterService/RemoveNode", `{"node_id":"nobody","configuration_index":"7777"}`, 409, StaleConfiguration, "not 7777"},
		{"ClusterService/RemoveNode", `{"node_id":"` + node.ID() + `"}`, 400, UnsafeChange, "the last voter"},
		{"ClusterService/DemoteNode", `{"node_id":"` + node.ID() + `"}`, 400, UnsafeChange, "the last voter"},
		{"ClusterService/Leave", `{}`, 400, UnsafeChange, "the last voter"},
		{"ClusterService/ExplainIndex", `{"index":1}`, 404, NoDecision, "index 1"},
		{"ClusterService/ReadLog", `{"from":123456}`, 404, LogCompacted, "log entry 123456"},
		{"ClusterService/ReadLog", `{"limit":1001}`, 400, InvalidArgument, "limit"},
		{"ClusterService/ReadLog", `{"waitMs":30001}`, 400, InvalidArgument, "wait_ms"},
		{"ClusterService/Digest", `{"index":1}`, 404, NoDigest, "index 1"},
	} {
		status, reason, message := node.post(t, c.method, c.body)
		if status != c.status || reason != c.want || !strings.Contains(message, c.names) || strings.Contains(message, "?") {
			t.Errorf("%s %s: got %d %s, want %d %s naming %q: %s", c.method, c.body, status, reason, c.status, c.want, c.names, message)
		}
	}
	if after := counts(node); after != before {
		t.Errorf("refused calls changed the totals\nfrom %s\nto   %s", before, after)
	}
	many, err := jobs.EnqueueMany(ctx, &v1.EnqueueManyRequest{AllOrNothing: true, Jobs: []*v1.NewJob{{Kind: "a"}, {Kind: "other", IdempotencyKey: "key"}}})
	if err != nil || len(many.Results) != 2 || many.Results[0].GetError().GetReason() != string(NotAll) || many.Results[1].GetError().GetReason() != string(KeyReused) {
		t.Errorf("all or nothing: %v %v", many, err)
	}
}

// post a body in JSON that is to be refused.
func (n *testNode) post(t *testing.T, method, body string) (status int, reason Reason, message string) {
	t.Helper()
	response, err := http.Post(n.url+"/fairlane.v1."+method, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	reason, message = wireError(t, answer)
	return response.StatusCode, reason, message
}

// counts of the machine, as text.
func counts(node *testNode) (text string) {
	node.View(func(m *fsm.Machine) { text = totalsAnswer(m.Totals(), m.Queues()).String() })
	return text
}
