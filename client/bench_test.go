package fairlane

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// endless is a cluster that always has a job, so that a benchmark measures the worker. Its answers are ready in memory.
type endless struct {
	fairlanev1connect.UnimplementedWorkerServiceHandler
	fence    atomic.Uint64
	calls    atomic.Uint64
	messages atomic.Uint64
	job      *fairlanev1.Job
}

func (e *endless) Register(_ context.Context, r *fairlanev1.RegisterRequest) (*fairlanev1.RegisterResponse, error) {
	return &fairlanev1.RegisterResponse{Session: 1, Lanes: parseFakeLanes(r.Lanes), HeartbeatMs: 20000}, nil
}

func (e *endless) Drain(context.Context, *fairlanev1.DrainRequest) (*fairlanev1.DrainResponse, error) {
	return &fairlanev1.DrainResponse{}, nil
}

func (e *endless) Deregister(context.Context, *fairlanev1.DeregisterRequest) (*fairlanev1.DeregisterResponse, error) {
	return &fairlanev1.DeregisterResponse{}, nil
}

func (e *endless) Claim(context.Context, *fairlanev1.ClaimRequest) (*fairlanev1.ClaimResponse, error) {
	return &fairlanev1.ClaimResponse{Claim: &fairlanev1.Claim{Fence: e.fence.Add(1), Job: e.job, LeaseMs: 60000, HeartbeatMs: 20000}}, nil
}

func (e *endless) Finish(ctx context.Context, r *fairlanev1.FinishRequest) (*fairlanev1.FinishResponse, error) {
	e.calls.Add(1)
	res := &fairlanev1.FinishResponse{State: StateSucceeded}
	if r.Next != nil {
		res.Next, _ = e.Claim(ctx, nil)
	}
	return res, nil
}

func (e *endless) Work(ctx context.Context, stream *connect.BidiStream[fairlanev1.WorkRequest, fairlanev1.WorkResponse]) error {
	if err := stream.Send(&fairlanev1.WorkResponse{}); err != nil {
		return err
	}
	for {
		m, err := stream.Receive()
		if err != nil {
			return err
		}
		e.messages.Add(1)
		res := &fairlanev1.WorkResponse{}
		for _, c := range m.Calls {
			a := &fairlanev1.WorkAnswer{Id: c.Id}
			switch c := c.Call.(type) {
			case *fairlanev1.WorkCall_Claim:
				claim, _ := e.Claim(ctx, c.Claim)
				a.Answer = &fairlanev1.WorkAnswer_Claim{Claim: claim}
			case *fairlanev1.WorkCall_Finish:
				finish, _ := e.Finish(ctx, c.Finish)
				a.Answer = &fairlanev1.WorkAnswer_Finish{Finish: finish}
			default:
				a.Answer = &fairlanev1.WorkAnswer_Error{Error: &fairlanev1.ErrorBody{Reason: "INTERNAL"}}
			}
			res.Answers = append(res.Answers, a)
		}
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}

// BenchmarkWorker runs b.N jobs, with the server in the same process: what it costs a job is the worker and the codec of both sides.
func BenchmarkWorker(b *testing.B) {
	for _, slots := range []int{1, 16, 128} {
		for _, single := range []bool{true, false} {
			b.Run(fmt.Sprintf("slots=%d/stream=%v", slots, !single), func(b *testing.B) { benchmarkWorker(b, slots, single) })
		}
	}
}

func benchmarkWorker(b *testing.B, slots int, single bool) {
	e := &endless{job: &fairlanev1.Job{Id: 1, Kind: "k", Queue: "default", User: "ana", State: StateRunning, Attempt: 1, MaxAttempts: 4,
		Payload: &fairlanev1.Job_Data{Data: make([]byte, 256)}}}
	mux := http.NewServeMux()
	mux.Handle(fairlanev1connect.NewWorkerServiceHandler(e))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	cl, err := Connect(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	options := []WorkerOption{Lanes(fmt.Sprintf("*:%d", slots))}
	if single {
		options = append(options, SingleCalls())
	}
	w := NewWorker(cl, options...)
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var left atomic.Int64
	left.Store(int64(b.N))
	w.HandleRest(func(context.Context, *RawJob) ([]byte, error) {
		if left.Add(-1) == 0 {
			stop()
		}
		return nil, nil
	})
	b.ReportAllocs()
	b.ResetTimer()
	if err := w.Run(ctx); err != nil {
		b.Fatal(err)
	}
	if m := e.messages.Load(); m > 0 {
		b.ReportMetric(float64(e.calls.Load())/float64(m), "calls/message")
	}
}
