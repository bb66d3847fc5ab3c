package rpc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/go-hclog"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// passing is a WorkerService on a follower; url is where it serves.
func passing(t *testing.T, wait time.Duration) (lead *follower, s *server, url string) {
	t.Helper()
	lead = &follower{}
	s = &server{lead: lead, log: hclog.NewNullLogger(), leaderWait: wait, peers: newPeers(nil, nil)}
	t.Cleanup(s.peers.close)
	path, handler := fairlanev1connect.NewWorkerServiceHandler(&workerService{s}, connect.WithCodec(binaryCodec{}), connect.WithInterceptors(checks{}))
	mux := http.NewServeMux()
	mux.Handle(path, &gate{next: handler, methods: methods(), writer: connect.NewErrorWriter(), node: "me", bodyTime: time.Second, writeTime: time.Second})
	return lead, s, serve(t, mux)
}

// workerLeader serves Work with a function.
type workerLeader struct {
	fairlanev1connect.UnimplementedWorkerServiceHandler
	work  func(context.Context, *workConn) error
	calls atomic.Int32
}

func (l *workerLeader) Work(ctx context.Context, stream *workConn) error {
	l.calls.Add(1)
	return l.work(ctx, stream)
}

func (l *workerLeader) start(t *testing.T) (address string) {
	t.Helper()
	_, handler := fairlanev1connect.NewWorkerServiceHandler(l)
	return serve(t, handler)[len("http://"):]
}

// stands sends the first message and then nothing, until the caller leaves.
func stands(ctx context.Context, stream *workConn) error {
	if err := stream.Send(&v1.WorkResponse{}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestPassedStreamOfAFormerLeader: a leader that is frozen does not answer; the stream ends when another one leads.
func TestPassedStreamOfAFormerLeader(t *testing.T) {
	lead, s, url := passing(t, time.Second)
	leader := &workerLeader{work: stands}
	address := leader.start(t)
	lead.follow(address)
	stream := openStream(t, h2c(t), url, 1)
	if stream.first.GetLeaderUrl() != "http://"+address {
		t.Errorf("leader_url is %q", stream.first.GetLeaderUrl())
	}
	lead.follow("127.0.0.1:1")
	s.peers.leave(door{address: address})
	if metadata := wantReason(t, stream.end(), NotLeader); metadata["leader_url"] != "http://127.0.0.1:1" {
		t.Errorf("metadata %v", metadata)
	}
}

// TestPassedStreamBreaks: nobody knows what became of the calls.
func TestPassedStreamBreaks(t *testing.T) {
	lead, _, url := passing(t, time.Second)
	_, handler := fairlanev1connect.NewWorkerServiceHandler(&workerLeader{work: stands})
	served := httptest.NewUnstartedServer(handler)
	served.Config.Protocols = new(http.Protocols)
	served.Config.Protocols.SetUnencryptedHTTP2(true)
	served.Start()
	lead.follow(served.Listener.Addr().String())
	stream := openStream(t, h2c(t), url, 1)
	served.CloseClientConnections()
	wantReason(t, stream.end(), UnknownOutcome)
	served.Close()
}

// TestPassedStreamWaitsForALeader: while none is known, or the one that is does not lead yet; but not for ever.
func TestPassedStreamWaitsForALeader(t *testing.T) {
	lead, _, url := passing(t, 20*time.Second)
	leader := &workerLeader{}
	leader.work = func(ctx context.Context, stream *workConn) error {
		if !wasForwarded(ctx) {
			t.Error("the stream is not marked as forwarded")
		}
		if leader.calls.Load() == 1 {
			return problem(NotLeader, "node_id", "leader")
		}
		if err := stream.Send(&v1.WorkResponse{}); err != nil {
			return err
		}
		message, err := stream.Receive()
		if err != nil {
			return err
		}
		if err := stream.Send(&v1.WorkResponse{Answers: []*v1.WorkAnswer{{Id: message.GetSession()}}}); err != nil {
			return err
		}
		_, err = stream.Receive()
		return err // EOF
	}
	stream := dialStream(t, h2c(t), url)
	if err := stream.Send(&v1.WorkRequest{Session: 9}); err != nil {
		t.Fatal(err)
	}
	lead.follow("127.0.0.1:1") // nobody listens there
	lead.follow(leader.start(t))
	if _, err := stream.Receive(); err != nil {
		t.Fatal(err)
	}
	stream.answer(9)
	if leader.calls.Load() != 2 {
		t.Errorf("the leader was asked %d times", leader.calls.Load())
	}

	_, _, url = passing(t, 50*time.Millisecond)
	wantReason(t, dialStream(t, h2c(t), url).end(), NoLeader)
}

// TestPassedStreamToAnOldLeader: one that does not know Work says so, and the worker falls back.
func TestPassedStreamToAnOldLeader(t *testing.T) {
	lead, _, url := passing(t, 20*time.Second)
	lead.follow(serve(t, http.NotFoundHandler())[len("http://"):])
	if err := dialStream(t, h2c(t), url).end(); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("got %v", err)
	}
}

// TestPassedMessageTooLarge: this node finds it, and the leader's part of the stream ends.
func TestPassedMessageTooLarge(t *testing.T) {
	lead, _, url := passing(t, time.Second)
	ended := make(chan struct{})
	leader := &workerLeader{work: func(ctx context.Context, stream *workConn) error {
		defer close(ended)
		return stands(ctx, stream)
	}}
	lead.follow(leader.start(t))
	stream := openStream(t, h2c(t), url, 1)
	_ = stream.Send(&v1.WorkRequest{Calls: []*v1.WorkCall{{Id: 1, Call: &v1.WorkCall_Finish{Finish: &v1.FinishRequest{
		Outcome: &v1.FinishRequest_Success{Success: &v1.Success{Result: make([]byte, maxMessageBytes)}},
	}}}}})
	wantReason(t, stream.end(), TooLarge)
	<-ended
}
