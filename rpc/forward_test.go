package rpc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// follower is a node that never leads; whom it takes for the leader can be changed.
type follower struct{ leader atomic.Pointer[string] }

func (f *follower) ID() string     { return "me" }
func (f *follower) IsLeader() bool { return false }
func (f *follower) Leader() (string, string, bool) {
	if address := f.leader.Load(); address != nil {
		return "leader", *address, true
	}
	return "", "", false
}
func (f *follower) LeaderInside() (string, bool) { return "", false }
func (f *follower) Closing() <-chan struct{}     { return nil }
func (f *follower) follow(address string)        { f.leader.Store(&address) }
func (f *follower) WaitLeader(ctx context.Context) error {
	for f.leader.Load() == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// forwarding is a JobService on a follower, and a client of it.
func forwarding(t *testing.T, wait time.Duration) (*follower, *server, fairlanev1connect.JobServiceClient) {
	t.Helper()
	lead := &follower{}
	s := &server{lead: lead, log: hclog.NewNullLogger(), leaderWait: wait, peers: newPeers(nil, nil)}
	t.Cleanup(s.peers.close)
	_, handler := fairlanev1connect.NewJobServiceHandler(&jobService{s}, connect.WithCodec(binaryCodec{}))
	served := httptest.NewServer(handler)
	t.Cleanup(served.Close)
	return lead, s, fairlanev1connect.NewJobServiceClient(served.Client(), served.URL)
}

// leaderThat serves Cancel with a function.
type leaderThat struct {
	fairlanev1connect.UnimplementedJobServiceHandler
	cancel func(context.Context) (*v1.CancelResponse, error)
	calls  atomic.Int32
}

func (l *leaderThat) Cancel(ctx context.Context, _ *v1.CancelRequest) (*v1.CancelResponse, error) {
	l.calls.Add(1)
	return l.cancel(ctx)
}

func (l *leaderThat) start(t *testing.T) (address string) {
	t.Helper()
	_, handler := fairlanev1connect.NewJobServiceHandler(l)
	served := httptest.NewServer(handler)
	t.Cleanup(served.Close)
	return served.Listener.Addr().String()
}

var cancelOne = &v1.CancelRequest{Id: 1}

func wantReason(t *testing.T, err error, want Reason) map[string]string {
	t.Helper()
	reason, metadata, _ := ReasonOf(err)
	if reason != want {
		t.Fatalf("got %q, want %s: %v", reason, want, err)
	}
	return metadata
}

func TestForwardPassesErrorsAsTheyCame(t *testing.T) {
	lead, _, client := forwarding(t, time.Second)
	sent := problem(WrongState, "job", "1", "state", "running", "z", "1", "a", "2")
	leader := &leaderThat{cancel: func(ctx context.Context) (*v1.CancelResponse, error) {
		if !wasForwarded(ctx) {
			t.Error("the call is not marked as forwarded")
		}
		return nil, sent
	}}
	lead.follow(leader.start(t))
	_, err := client.Cancel(t.Context(), cancelOne)
	var got *connect.Error
	if !errors.As(err, &got) || got.Code() != sent.Code() || got.Message() != sent.Message() || len(got.Details()) != len(sent.Details()) {
		t.Fatalf("got %v, want %v", err, sent)
	}
	for i, detail := range got.Details() {
		if !bytes.Equal(detail.Bytes(), sent.Details()[i].Bytes()) || detail.Type() != sent.Details()[i].Type() {
			t.Errorf("detail %d differs", i)
		}
	}
}

func TestForwardGoesOnOnlyWhenNothingWasDone(t *testing.T) {
	done := &leaderThat{cancel: func(context.Context) (*v1.CancelResponse, error) { return &v1.CancelResponse{Cancelled: true}, nil }}
	lead, _, client := forwarding(t, 5*time.Second)
	doneAt := done.start(t)
	for name, former := range map[string]func(t *testing.T) string{
		"refused connection": func(t *testing.T) string {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			listener.Close()
			time.AfterFunc(100*time.Millisecond, func() { lead.follow(doneAt) })
			return listener.Addr().String()
		},
		"not the leader any more": func(t *testing.T) string {
			return (&leaderThat{cancel: func(context.Context) (*v1.CancelResponse, error) {
				lead.follow(doneAt)
				return nil, problem(NotLeader, "node_id", "x")
			}}).start(t)
		},
		"shutting down": func(t *testing.T) string {
			return (&leaderThat{cancel: func(context.Context) (*v1.CancelResponse, error) {
				lead.follow(doneAt)
				return nil, problem(ShuttingDown, "node_id", "x")
			}}).start(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			lead.follow(former(t))
			before := done.calls.Load()
			answer, err := client.Cancel(t.Context(), cancelOne)
			if err != nil || !answer.Cancelled || done.calls.Load() != before+1 {
				t.Errorf("got %v, %v after %d calls", answer, err, done.calls.Load()-before)
			}
		})
	}
}

func TestForwardThatBreaksIsUnknown(t *testing.T) {
	lead, s, client := forwarding(t, 5*time.Second)
	var calls atomic.Int32
	breaks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(breaks.Close)
	lead.follow(breaks.Listener.Addr().String())
	_, err := client.Cancel(t.Context(), cancelOne)
	wantReason(t, err, UnknownOutcome)
	if calls.Load() != 1 {
		t.Errorf("sent %d times", calls.Load())
	}

	// A frozen leader: the call is given up when another node leads.
	reached := make(chan struct{})
	frozen := &leaderThat{cancel: func(ctx context.Context) (*v1.CancelResponse, error) {
		close(reached)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	address := frozen.start(t)
	lead.follow(address)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.followLeader(ctx)
	}()
	go func() {
		<-reached
		// The watcher must have seen the frozen one lead before it can see a change.
		time.AfterFunc(2*leaderLook, func() { lead.follow("127.0.0.1:1") })
	}()
	_, err = client.Cancel(t.Context(), cancelOne)
	wantReason(t, err, UnknownOutcome)
	cancel()
	<-watched
}

func TestNoLeader(t *testing.T) {
	_, _, client := forwarding(t, 50*time.Millisecond)
	began := time.Now()
	_, err := client.Cancel(t.Context(), cancelOne)
	wantReason(t, err, NoLeader)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("not held, only %v", took)
	}
	if !strings.Contains(err.Error(), "no leader for") {
		t.Error(err)
	}
	if !hasRetryInfo(err) {
		t.Error("no RetryInfo")
	}
}

func TestForwardedCallIsNotForwarded(t *testing.T) {
	lead, s, client := forwarding(t, 5*time.Second)
	lead.follow("127.0.0.1:1")
	_ = s
	ctx, info := connect.NewClientContext(t.Context())
	info.RequestHeader().Set(forwardedHeader, "1")
	_, err := client.Cancel(ctx, cancelOne)
	if metadata := wantReason(t, err, NotLeader); metadata["leader_url"] != "http://127.0.0.1:1" {
		t.Errorf("metadata %v", metadata)
	}
}

func TestFailuresOfTheNode(t *testing.T) {
	_, s, _ := forwarding(t, time.Second)
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{errors.Join(errors.New("x"), cluster.ErrUnknownOutcome), UnknownOutcome},
		{&cluster.BusyError{RetryAfter: time.Second}, Busy},
		{cluster.ErrShutdown, ShuttingDown},
		{cluster.ErrNotLeader, NotLeader},
		{context.DeadlineExceeded, TimedOut},
		{errors.New("secret"), Internal},
	} {
		err := s.failure(c.err)
		wantReason(t, err, c.want)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the inside leaks: %v", err)
		}
	}
}
