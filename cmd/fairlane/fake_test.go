package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// fakeNode answers as a node with one job in a given state would, and remembers what it was asked.
type fakeNode struct {
	fairlanev1connect.UnimplementedJobServiceHandler
	fairlanev1connect.UnimplementedQueueServiceHandler
	fairlanev1connect.UnimplementedWorkerServiceHandler
	fairlanev1connect.UnimplementedClusterServiceHandler
	fairlanev1connect.UnimplementedEventServiceHandler
	fakeSchedules

	state  fairlanev1.JobState
	leader string
	why    *fairlanev1.WhyResponse
	output script[fairlanev1.StreamOutputResponse]
	watch  script[fairlanev1.WatchQueueResponse]
	events script[fairlanev1.WatchEventsResponse]

	mu       sync.Mutex
	setQueue *fairlanev1.SetQueueRequest
	list     *fairlanev1.ListRequest
	noLeader int // answers "no leader" this often first
	unknown  int // bulk steps that answer "unknown outcome" first
	asked    []proto.Message
	pages    []*fairlanev1.ListResponse // of List; none: the one job
}

func (f *fakeNode) start(t *testing.T) (endpoint string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(fairlanev1connect.NewJobServiceHandler(f))
	mux.Handle(fairlanev1connect.NewQueueServiceHandler(f))
	mux.Handle(fairlanev1connect.NewWorkerServiceHandler(f))
	mux.Handle(fairlanev1connect.NewClusterServiceHandler(f))
	mux.Handle(fairlanev1connect.NewEventServiceHandler(f))
	mux.Handle(fairlanev1connect.NewScheduleServiceHandler(f))
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://")
}

func (f *fakeNode) job() *fairlanev1.Job {
	return &fairlanev1.Job{
		Id: 7, Kind: "hello", Queue: "manual", User: "ana", State: f.state, Attempt: 2, Charged: 1, MaxAttempts: 4,
		EnqueuedMs: 1_790_000_000_000, Payload: &fairlanev1.Job_Json{Json: `{"n":1}`}, Result: []byte("a\tb"), Worker: "w1",
		Progress: &fairlanev1.Progress{Fraction: 0.29, Message: "page 29", AtMs: 1_790_000_000_000},
	}
}

func remoteError(code connect.Code, reason, stable, message string) error {
	return remoteFieldError(code, reason, stable, "", message)
}

// remoteFieldError is about one field of the request.
func remoteFieldError(code connect.Code, reason, stable, field, message string) error {
	err := connect.NewError(code, errorText(message))
	metadata := map[string]string{"code": stable}
	if field != "" {
		metadata["field"] = field
	}
	detail, _ := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: reason, Domain: "fairlane", Metadata: metadata})
	err.AddDetail(detail)
	return err
}

type errorText string

func (e errorText) Error() string { return string(e) }

func (f *fakeNode) Get(_ context.Context, req *fairlanev1.GetRequest) (*fairlanev1.GetResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noLeader > 0 {
		f.noLeader--
		return nil, remoteError(connect.CodeUnavailable, "NO_LEADER", "FL1102", "no leader for 5 s")
	}
	if req.GetId() != 7 {
		return nil, remoteError(connect.CodeNotFound, "UNKNOWN_JOB", "FL1202", "there is no job 8")
	}
	return &fairlanev1.GetResponse{Job: f.job(), Index: 3}, nil
}

func (f *fakeNode) Wait(context.Context, *fairlanev1.WaitRequest) (*fairlanev1.WaitResponse, error) {
	return &fairlanev1.WaitResponse{Job: f.job(), Index: 3}, nil
}

func (f *fakeNode) List(_ context.Context, req *fairlanev1.ListRequest) (*fairlanev1.ListResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = req
	f.asked = append(f.asked, proto.Clone(req))
	if len(f.pages) > 0 {
		page := f.pages[0]
		f.pages = f.pages[1:]
		return page, nil
	}
	if req.GetBeforeId() == 7 {
		return &fairlanev1.ListResponse{Index: 3}, nil
	}
	return &fairlanev1.ListResponse{Jobs: []*fairlanev1.Job{f.job()}, NextBeforeId: 7, Index: 3}, nil
}

func (f *fakeNode) SetQueue(_ context.Context, req *fairlanev1.SetQueueRequest) (*fairlanev1.SetQueueResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.setQueue = req
	return &fairlanev1.SetQueueResponse{Queue: &fairlanev1.Queue{Name: req.GetName(), Settings: req.GetSettings(), Counts: &fairlanev1.QueueCounts{}}}, nil
}

func (f *fakeNode) ListQueues(context.Context, *fairlanev1.ListQueuesRequest) (*fairlanev1.ListQueuesResponse, error) {
	return &fairlanev1.ListQueuesResponse{Queues: []*fairlanev1.Queue{
		{Name: "manual", Counts: &fairlanev1.QueueCounts{Pending: 5, Running: 2}, Paused: true, Users: 3, OldestWaitMs: 61_000},
	}}, nil
}

// ListWorkers gives two pages.
func (f *fakeNode) ListWorkers(_ context.Context, req *fairlanev1.ListWorkersRequest) (*fairlanev1.ListWorkersResponse, error) {
	lanes := []*fairlanev1.LaneStatus{
		{Lane: &fairlanev1.Lane{Chain: []string{"fast_lane"}, Slots: 1}, Running: 1},
		{Lane: &fairlanev1.Lane{Chain: []string{"manual", "*"}, Slots: 4, MemoryBytes: 1 << 30}, Running: 2, ReservedBytes: 3 << 20},
	}
	if req.GetAfterSession() == 0 {
		return &fairlanev1.ListWorkersResponse{Workers: []*fairlanev1.Worker{{Session: 4, Name: "w1", Lanes: lanes}}, NextAfterSession: 4}, nil
	}
	return &fairlanev1.ListWorkersResponse{Workers: []*fairlanev1.Worker{{Session: 9, Name: "w2", Draining: true, User: "ben"}}}, nil
}

func (f *fakeNode) Status(context.Context, *fairlanev1.StatusRequest) (*fairlanev1.StatusResponse, error) {
	return &fairlanev1.StatusResponse{NodeId: "n-1", Role: "follower", LeaderId: f.leader, Term: 3, LogStore: "raft-wal", Members: []*fairlanev1.Member{
		{NodeId: "n-1", RaftAddress: "127.0.0.1:1", ApiAddress: "127.0.0.1:2", Voter: true},
	}, Totals: &fairlanev1.Totals{Jobs: &fairlanev1.QueueCounts{}}}, nil
}
