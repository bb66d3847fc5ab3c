package main

import (
	"context"
	"net/http"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// script is what a fake node sends on its streams of one kind: one part for each connection. After every part but the last the connection
// breaks in the middle of the stream, or says nothing more if the node is frozen; the last one ends the stream in order, or with err.
type script[Res any] struct {
	mu     sync.Mutex
	parts  [][]*Res
	err    error
	frozen bool
	asked  []proto.Message
}

// serve one connection.
func (s *script[Res]) serve(ctx context.Context, req proto.Message, to *connect.ServerStream[Res]) error {
	s.mu.Lock()
	s.asked = append(s.asked, proto.Clone(req))
	var part []*Res
	if len(s.parts) > 0 {
		part, s.parts = s.parts[0], s.parts[1:]
	}
	more := len(s.parts) > 0
	s.mu.Unlock()
	for _, m := range part {
		if err := to.Send(m); err != nil {
			return err
		}
	}
	if more && s.frozen {
		<-ctx.Done()
		return ctx.Err()
	}
	if more {
		panic(http.ErrAbortHandler)
	}
	return s.err
}

func (f *fakeNode) StreamOutput(ctx context.Context, req *fairlanev1.StreamOutputRequest, to *connect.ServerStream[fairlanev1.StreamOutputResponse]) error {
	return f.output.serve(ctx, req, to)
}

func (f *fakeNode) WatchQueue(ctx context.Context, req *fairlanev1.WatchQueueRequest, to *connect.ServerStream[fairlanev1.WatchQueueResponse]) error {
	return f.watch.serve(ctx, req, to)
}

func (f *fakeNode) WatchEvents(ctx context.Context, req *fairlanev1.WatchEventsRequest, to *connect.ServerStream[fairlanev1.WatchEventsResponse]) error {
	return f.events.serve(ctx, req, to)
}

func (f *fakeNode) remember(req proto.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, proto.Clone(req))
}

func (f *fakeNode) OpenSession(context.Context, *fairlanev1.OpenSessionRequest) (*fairlanev1.OpenSessionResponse, error) {
	return &fairlanev1.OpenSessionResponse{Session: 1}, nil
}

func (f *fakeNode) Enqueue(_ context.Context, req *fairlanev1.EnqueueRequest) (*fairlanev1.EnqueueResponse, error) {
	f.remember(req)
	return &fairlanev1.EnqueueResponse{Id: 7}, nil
}

func (f *fakeNode) Cancel(_ context.Context, req *fairlanev1.CancelRequest) (*fairlanev1.CancelResponse, error) {
	f.remember(req)
	return &fairlanev1.CancelResponse{Cancelled: req.GetId() != 8, State: fairlanev1.JobState_JOB_STATE_CANCELLED}, nil
}

func (f *fakeNode) Retry(_ context.Context, req *fairlanev1.RetryRequest) (*fairlanev1.RetryResponse, error) {
	f.remember(req)
	return &fairlanev1.RetryResponse{Id: req.GetId() + 100}, nil
}

func (f *fakeNode) Why(_ context.Context, req *fairlanev1.WhyRequest) (*fairlanev1.WhyResponse, error) {
	f.remember(req)
	return f.why, nil
}

// CancelMany has 5 jobs to cancel, in steps of 2.
func (f *fakeNode) CancelMany(_ context.Context, req *fairlanev1.CancelManyRequest) (*fairlanev1.CancelManyResponse, error) {
	f.remember(req)
	if req.GetDryRun() {
		return &fairlanev1.CancelManyResponse{Matched: 5, Index: 9}, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unknown > 0 {
		f.unknown--
		return nil, remoteError(connect.CodeUnknown, "UNKNOWN_OUTCOME", "FL1103", "the outcome of this call is not known")
	}
	switch req.GetBeforeId() {
	case 0:
		return &fairlanev1.CancelManyResponse{Matched: 2, Changed: 2, NextBeforeId: 40, Index: 9}, nil
	case 40:
		return &fairlanev1.CancelManyResponse{Matched: 2, Changed: 2, NextBeforeId: 20, Index: 10}, nil
	}
	return &fairlanev1.CancelManyResponse{Matched: 1, Changed: 1, Index: 11}, nil
}

// RetryMany runs 3 jobs again and has no room for more.
func (f *fakeNode) RetryMany(_ context.Context, req *fairlanev1.RetryManyRequest) (*fairlanev1.RetryManyResponse, error) {
	f.remember(req)
	return &fairlanev1.RetryManyResponse{Matched: 5, Changed: 3, NextBeforeId: 40, Index: 9,
		Refused: &fairlanev1.ErrorBody{Reason: "STATE_FULL", Code: "FL1401", Message: "the cluster is full"}}, nil
}

// ListQueueUsers gives two pages.
func (f *fakeNode) ListQueueUsers(_ context.Context, req *fairlanev1.ListQueueUsersRequest) (*fairlanev1.ListQueueUsersResponse, error) {
	f.remember(req)
	if req.GetAfterUser() == "" {
		return &fairlanev1.ListQueueUsersResponse{Users: []*fairlanev1.QueueUser{
			{User: "ana", Pending: 41, Running: 2, OldestWaitMs: 90_000, AtLimit: true, LastTurn: 1099511627790},
		}, NextAfterUser: "ana"}, nil
	}
	return &fairlanev1.ListQueueUsersResponse{Users: []*fairlanev1.QueueUser{{User: "ben", OldestWaitMs: -1}}}, nil
}

func (f *fakeNode) PreviewOrder(_ context.Context, req *fairlanev1.PreviewOrderRequest) (*fairlanev1.PreviewOrderResponse, error) {
	f.remember(req)
	return &fairlanev1.PreviewOrderResponse{Index: 3, Jobs: []*fairlanev1.PreviewedJob{
		{Id: 7, Queue: "manual", User: "ana", Kind: "hello", Line: "manual", WaitMs: 3210},
		{Id: 9, Queue: "bulk", User: "", Kind: "hello", Line: "*", Position: 1, Priority: 4},
	}}, nil
}

func (f *fakeNode) ExplainIndex(_ context.Context, req *fairlanev1.ExplainIndexRequest) (*fairlanev1.ExplainIndexResponse, error) {
	f.remember(req)
	return &fairlanev1.ExplainIndexResponse{Decisions: []*fairlanev1.Decision{
		{Index: 55, Fence: 1099511627791, Attempt: 1, AtMs: 1_790_000_000_000, Text: "job 12 of user ben to worker w1 lane 0"},
	}}, nil
}

// ReadLog holds the entries 41 to 45; the last is not committed. It gives two at a time, and 46 to who waits.
func (f *fakeNode) ReadLog(_ context.Context, req *fairlanev1.ReadLogRequest) (*fairlanev1.ReadLogResponse, error) {
	f.remember(req)
	out := &fairlanev1.ReadLogResponse{FirstIndex: 41, LastIndex: 45, CommitIndex: 44}
	if req.GetWaitMs() > 0 && req.GetFrom() >= 45 {
		out.LastIndex, out.CommitIndex = 46, 46
	}
	from := req.GetFrom()
	if from == 0 {
		from = max(41, 46-uint64(req.GetLimit()))
	}
	for at := from; at <= out.LastIndex && len(out.Entries) < min(2, int(req.GetLimit())); at++ {
		out.Entries = append(out.Entries, &fairlanev1.LogEntry{Index: at, Term: 3, Type: "commands", AtMs: 1_790_000_000_000, Rules: 4, Bytes: 120,
			Lines: []string{"cancel job 7", "enqueue a job: mail"}, Committed: at <= out.CommitIndex})
	}
	return out, nil
}

func (f *fakeNode) GetQueue(_ context.Context, req *fairlanev1.GetQueueRequest) (*fairlanev1.GetQueueResponse, error) {
	return &fairlanev1.GetQueueResponse{Queue: &fairlanev1.Queue{
		Name: req.GetName(), Counts: &fairlanev1.QueueCounts{Pending: 5, Running: 2}, Users: 3, LiveClaims: 4, OldestWaitMs: 61_000,
		Settings: &fairlanev1.QueueSettings{MaxRunning: proto.Int64(4)},
	}}, nil
}
