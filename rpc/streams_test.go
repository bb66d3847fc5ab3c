package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func (n *testNode) events() fairlanev1connect.EventServiceClient {
	return fairlanev1connect.NewEventServiceClient(http.DefaultClient, n.url)
}

// limited gives a context that ends with the test, at the latest in 30 s.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// run is a claimed job.
type run struct {
	session, fence, job uint64
}

// claimOne enqueues a job and claims it with a worker of its own.
func claimOne(t *testing.T, node *testNode, name string) run {
	t.Helper()
	worker, err := node.workers().Register(t.Context(), &v1.RegisterRequest{Name: name, Nonce: rand.Uint64(), Lanes: "*:8"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = node.jobs().Enqueue(t.Context(), &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", Limits: &v1.JobLimits{ExclusionWindowMs: new(int64)}}}); err != nil {
		t.Fatal(err)
	}
	return claimNext(t, node, worker.Session)
}

func claimNext(t *testing.T, node *testNode, session uint64) run {
	t.Helper()
	claimed, err := node.workers().Claim(t.Context(), &v1.ClaimRequest{Session: session, WaitMs: 10_000})
	if err != nil || claimed.Claim == nil {
		t.Fatal(claimed, err)
	}
	return run{session, claimed.Claim.Fence, claimed.Claim.Job.Id}
}

func (r run) append(t *testing.T, node *testNode, offset uint64, text string, progress *v1.Progress) *v1.OutputStatus {
	t.Helper()
	answer, err := node.workers().AppendOutput(t.Context(), &v1.AppendOutputRequest{Session: r.session, Parts: []*v1.OutputPart{
		{Fence: r.fence, Offset: offset, Data: []byte(text), Progress: progress},
	}})
	if err != nil || len(answer.Statuses) != 1 {
		t.Fatal(answer, err)
	}
	return answer.Statuses[0]
}

func (r run) end(t *testing.T, node *testNode, request *v1.FinishRequest) {
	t.Helper()
	request.Session, request.Fence = r.session, r.fence
	if answer, err := node.workers().Finish(t.Context(), request); err != nil || answer.Error != nil {
		t.Fatal(answer, err)
	}
}

func succeed() *v1.FinishRequest {
	return &v1.FinishRequest{Outcome: &v1.FinishRequest_Success{Success: &v1.Success{}}}
}

// work makes events: jobs that are enqueued, claimed and finished, some released.
func work(t *testing.T, node *testNode, rounds int) {
	for i := range rounds {
		r := claimOne(t, node, fmt.Sprint("worker", i))
		if i%3 == 0 {
			if _, err := node.workers().Release(t.Context(), &v1.ReleaseRequest{Session: r.session, Fences: []uint64{r.fence}}); err != nil {
				t.Error(err)
				return
			}
			r = claimNext(t, node, r.session)
		}
		r.end(t, node, succeed())
	}
}

// TestEventsOnAnyNode: a watch that goes on at another node every few events sees what the others saw, once and in order.
func TestEventsOnAnyNode(t *testing.T) {
	nodes := startThree(t)
	ctx := limited(t)
	const rounds = 12
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(t, nodes[0], rounds)
	}()
	var got []*v1.Event
	finished, after := 0, fromOldest
	for hops := 0; finished < rounds; hops++ {
		stream, err := nodes[hops%3].events().WatchEvents(ctx, &v1.WatchEventsRequest{After: after})
		if err != nil {
			t.Fatal(err)
		}
		for read := 0; read < 5 && finished < rounds && stream.Receive(); {
			message := stream.Msg()
			if message.Reset_ {
				t.Fatalf("reset on node %d after %s: %s", hops%3, after, message.Reason)
			}
			for i, event := range message.Events { // a client that stops inside a message goes on inside it
				if read++; read > 5 {
					message.EventId = message.Events[i-1].Id
					break
				}
				got = append(got, event)
				if event.Kind == "job_finished" {
					finished++
				}
			}
			after = message.EventId
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		stream.Close()
	}
	<-done
	for i, node := range nodes {
		stream, err := node.events().WatchEvents(ctx, &v1.WatchEventsRequest{After: fromOldest})
		if err != nil {
			t.Fatal(err)
		}
		var all []*v1.Event
		for len(all) < len(got) && stream.Receive() {
			all = append(all, stream.Msg().Events...)
		}
		stream.Close()
		for j, event := range got {
			if j >= len(all) || event.String() != all[j].String() {
				t.Fatalf("node %d, event %d: %v", i, j, event)
			}
		}
	}
	if len(got) < rounds*4 {
		t.Errorf("only %d events", len(got))
	}
}

// TestEventFilters: by job, queue, user and state; what does not match still moves the id.
func TestEventFilters(t *testing.T) {
	node := startNode(t, func(_ *cluster.Config, c *Config) { c.idleTick = 20 * time.Millisecond })
	ctx := limited(t)
	for _, job := range []*v1.NewJob{{Kind: "k", Queue: "a", User: "ana"}, {Kind: "k", Queue: "b", User: "ana"}, {Kind: "k", Queue: "a", User: "bo"}} {
		if _, err := node.jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: job}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := node.jobs().Cancel(ctx, &v1.CancelRequest{Id: 3}); err != nil {
		t.Fatal(err)
	}
	end, _ := node.Newest()
	for want, request := range map[string]*v1.WatchEventsRequest{
		"1 job_enqueued, 3 job_enqueued, 3 job_cancelled": {Queue: "a"},
		"1 job_enqueued, 2 job_enqueued":                  {User: "ana"},
		"3 job_enqueued, 3 job_cancelled":                 {Job: 3},
		"3 job_cancelled":                                 {States: []v1.JobState{v1.JobState_JOB_STATE_CANCELLED}},
		"2 job_enqueued":                                  {Queue: "b", User: "ana", Job: 2},
		"":                                                {User: "nobody"},
	} {
		request.After = fromOldest
		stream, err := node.events().WatchEvents(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for stream.Receive() {
			for _, event := range stream.Msg().Events {
				if event.Kind != "queue_changed" && event.Kind != "job_ready" {
					got = append(got, fmt.Sprint(event.Job, " ", event.Kind))
				}
			}
			if stream.Msg().EventId == end.String() {
				break
			}
		}
		if text := strings.Join(got, ", "); text != want || stream.Err() != nil {
			t.Errorf("%v: got %q, want %q (%v)", request, text, want, stream.Err())
		}
		stream.Close()
	}
	// A watch that nothing matches is told how far it is, so that it can go on from there.
	stream, err := node.events().WatchEvents(ctx, &v1.WatchEventsRequest{Queue: "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() || stream.Msg().EventId != end.String() {
		t.Fatalf("the beginning: %v %v", stream.Msg(), stream.Err())
	}
	if _, err := node.jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", Queue: "a"}}); err != nil {
		t.Fatal(err)
	}
	if !stream.Receive() || len(stream.Msg().Events) > 0 || stream.Msg().EventId == end.String() {
		t.Errorf("past what does not match: %v %v", stream.Msg(), stream.Err())
	}
}

// TestEventsLost: too far behind, another epoch, and a watch that is slower than the log.
func TestEventsLost(t *testing.T) {
	node := startNode(t, func(c *cluster.Config, _ *Config) { c.KeepEvents = 4 })
	ctx := limited(t)
	enqueueMany := func(n int) {
		for range n {
			if _, err := node.jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}}); err != nil {
				t.Error(err)
			}
		}
	}
	enqueueMany(6)
	epoch := node.OldestEvents().Epoch
	for _, after := range []string{cluster.Position{Epoch: epoch, Index: 1}.String(), cluster.Position{Epoch: epoch + 1, Index: 1}.String()} {
		stream, err := node.events().WatchEvents(ctx, &v1.WatchEventsRequest{After: after})
		if err != nil {
			t.Fatal(err)
		}
		newest, _ := node.Newest()
		if !stream.Receive() || !stream.Msg().Reset_ || stream.Msg().Reason == "" || stream.Msg().EventId != newest.String() {
			t.Errorf("after %s: %v %v", after, stream.Msg(), stream.Err())
		}
		enqueueMany(1)
		if !stream.Receive() || len(stream.Msg().Events) != 2 { // enqueued, ready
			t.Errorf("after the reset: %v %v", stream.Msg(), stream.Err())
		}
		stream.Close()
	}
	s := &server{node: node.Node, lead: node.Node, idleTick: time.Hour}
	sent := 0
	last := ""
	err := s.followEvents(ctx, &v1.WatchEventsRequest{After: fromOldest}, eventSink{send: func(m *v1.WatchEventsResponse) error {
		sent++
		last = m.EventId
		enqueueMany(10) // a slow reader: more comes than is kept
		return nil
	}})
	if metadata := wantReason(t, err, SlowWatcher); metadata["event_id"] != last || metadata["code"] != "FL1107" || sent != 1 {
		t.Errorf("cut off after %d messages, the last %s: %v", sent, last, metadata)
	}
}

// TestWatchJob on another node than the one that took the job: from the beginning to the end, and resumed.
func TestWatchJob(t *testing.T) {
	nodes := startThree(t)
	ctx := limited(t)
	r := claimOne(t, nodes[0], "w")
	stream, err := nodes[1].jobs().WatchJob(ctx, &v1.WatchJobRequest{Id: r.job})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() || stream.Msg().Job.State != v1.JobState_JOB_STATE_RUNNING || stream.Msg().Reset_ {
		t.Fatalf("at once: %v %v", stream.Msg(), stream.Err())
	}
	after := stream.Msg().EventId
	r.append(t, nodes[2], 0, "", &v1.Progress{Fraction: 0.25, Message: "a quarter"})
	if !stream.Receive() || stream.Msg().Job.GetProgress().GetFraction() != 0.25 {
		t.Fatalf("progress: %v %v", stream.Msg(), stream.Err())
	}
	resumed, err := nodes[2].jobs().WatchJob(ctx, &v1.WatchJobRequest{Id: r.job, After: after})
	if err != nil {
		t.Fatal(err)
	}
	defer resumed.Close()
	r.end(t, nodes[0], succeed())
	for name, s := range map[string]*connect.ServerStreamForClient[v1.WatchJobResponse]{"the first": stream, "the resumed": resumed} {
		last := s.Msg()
		count := 0
		for s.Receive() {
			last = s.Msg()
			count++
		}
		if s.Err() != nil || last.Job.GetState() != v1.JobState_JOB_STATE_SUCCEEDED || count == 0 || count > 2 { // the resumed one may see the progress
			t.Errorf("%s watch: %d messages, the last %v, %v", name, count, last, s.Err())
		}
	}
	// Of a final job, after its last event: the job, and the end.
	ended, err := nodes[1].jobs().WatchJob(ctx, &v1.WatchJobRequest{Id: r.job, After: cluster.Position{Epoch: nodes[1].OldestEvents().Epoch, Index: 1 << 40}.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer ended.Close()
	if !ended.Receive() || ended.Msg().Reset_ || ended.Receive() || ended.Err() != nil {
		t.Errorf("a job that has ended: %v %v", ended.Msg(), ended.Err())
	}
	missing, err := nodes[1].jobs().WatchJob(ctx, &v1.WatchJobRequest{Id: 999})
	if err != nil {
		t.Fatal(err)
	}
	defer missing.Close()
	missing.Receive()
	wantReason(t, missing.Err(), UnknownJob)
}

// TestWatchQueue: the queue now, and each time that its counts changed.
func TestWatchQueue(t *testing.T) {
	nodes := startThree(t)
	ctx := limited(t)
	for i := range 3 { // the queue is made at one node and watched at another
		name := fmt.Sprint("q", i)
		if _, err := nodes[0].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", Queue: name}}); err != nil {
			t.Fatal(err)
		}
		client := fairlanev1connect.NewQueueServiceClient(http.DefaultClient, nodes[i].url)
		stream, err := client.WatchQueue(ctx, &v1.WatchQueueRequest{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if !stream.Receive() || stream.Msg().Queue.GetCounts().GetPending() != 1 || !stream.Msg().HasWork || stream.Msg().EventId == "" {
			t.Fatalf("node %d: %v %v", i, stream.Msg(), stream.Err())
		}
		if _, err := client.PauseQueue(ctx, &v1.PauseQueueRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
		if !stream.Receive() || !stream.Msg().Queue.Paused {
			t.Errorf("node %d: %v %v", i, stream.Msg(), stream.Err())
		}
		stream.Close()
	}
}

// TestStreamsEndWithTheNode: every watch is told that its node goes.
func TestStreamsEndWithTheNode(t *testing.T) {
	node := startNode(t)
	r := claimOne(t, node, "w")
	stream, err := node.jobs().StreamOutput(limited(t), &v1.StreamOutputRequest{Id: r.job, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if !stream.Receive() || stream.Msg().Attempt != 1 {
		t.Fatal(stream.Msg(), stream.Err())
	}
	node.stop()
	for stream.Receive() {
	}
	if reason, _, _ := ReasonOf(stream.Err()); reason != ShuttingDown {
		t.Errorf("ended with %v", stream.Err())
	}
	if errors.Is(stream.Err(), context.DeadlineExceeded) {
		t.Error("nobody ended it")
	}
}
