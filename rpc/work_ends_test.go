package rpc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/go-hclog"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// deadlines is a ResponseWriter that counts them.
type deadlines struct {
	*httptest.ResponseRecorder
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error  { d.set++; return nil }
func (d *deadlines) SetWriteDeadline(time.Time) error { d.set++; return nil }

// TestTimersOfAnEndedStream: one that fires as the handler returns leaves the connection alone. net/http's writer is nil then, and a timer's panic would end the
// process.
func TestTimersOfAnEndedStream(t *testing.T) {
	const path = "/fairlane.v1.WorkerService/Work"
	var body *messageBody
	var writer *messageWriter
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	g := &gate{methods: methods(), writeTime: time.Hour, next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, writer = r.Body.(*messageBody), w.(*messageWriter)
		body.control.endReading()
		writer.control.endWriting()
	})}
	request := httptest.NewRequest(http.MethodPost, path, http.NoBody)
	request.ProtoMajor = 2
	request.Header.Set("Content-Type", "application/connect+proto")
	g.ServeHTTP(w, request)
	if w.set != 2 {
		t.Errorf("%d deadlines while it runs", w.set)
	}
	body.control.endReading()
	writer.control.endWriting()
	if w.set != 2 {
		t.Errorf("%d deadlines after its end", w.set-2)
	}
}

// panicking is a conn whose messages cannot be taken.
type panicking struct{ connect.StreamingHandlerConn }

func (c *panicking) Receive(any) error { panic("a fault") }

type panics struct{ checks }

func (panics) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error { return next(ctx, &panicking{conn}) }
}

// TestPanicOfAStream ends that stream, on the leader and on a node that passes it on, and not the process.
func TestPanicOfAStream(t *testing.T) {
	node := startNode(t)
	lead := &follower{}
	passing := &server{lead: lead, log: hclog.NewNullLogger(), leaderWait: time.Second, peers: newPeers(nil, nil)}
	t.Cleanup(passing.peers.close)
	lead.follow((&workerLeader{work: stands}).start(t))
	leading := &server{node: node.Node, lead: node.Node, log: hclog.NewNullLogger(), leaderWait: time.Second, peers: newPeers(nil, nil)}
	t.Cleanup(leading.peers.close)
	for name, s := range map[string]*server{"leader": leading, "follower": passing} {
		t.Run(name, func(t *testing.T) {
			_, handler := fairlanev1connect.NewWorkerServiceHandler(&workerService{s}, connect.WithCodec(binaryCodec{}), connect.WithInterceptors(panics{}))
			url := serve(t, &gate{next: handler, methods: methods(), writer: connect.NewErrorWriter(), node: "n", bodyTime: time.Second, writeTime: time.Second})
			wantReason(t, dialStream(t, h2c(t), url).end(), Internal)
		})
	}
}

// TestUnreadStream: a stream that the server does not read leaves the others of its connection their room.
func TestUnreadStream(t *testing.T) {
	const path, messages = "/fairlane.v1.WorkerService/Work", 32 // many, so that the unread stream has taken what it can get by then
	var others atomic.Bool
	leave := make(chan struct{})
	handler := connect.NewBidiStreamHandler(path, func(_ context.Context, s *workConn) error {
		if err := s.Send(&v1.WorkResponse{}); err != nil {
			return err
		}
		if !others.Swap(true) {
			<-leave
			return nil
		}
		for {
			message, err := s.Receive()
			if err != nil {
				return err
			}
			if err := s.Send(&v1.WorkResponse{Answers: []*v1.WorkAnswer{{Id: message.GetCalls()[0].GetId()}}}); err != nil {
				return err
			}
		}
	})
	url, client := serve(t, handler), h2c(t)
	open := func() *testStream {
		s := dialStream(t, client, url)
		if _, err := s.Receive(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	message := func(id uint64) *v1.WorkRequest {
		return &v1.WorkRequest{Calls: []*v1.WorkCall{{Id: id, Call: &v1.WorkCall_Finish{Finish: &v1.FinishRequest{
			Outcome: &v1.FinishRequest_Success{Success: &v1.Success{Result: make([]byte, 100<<10)}},
		}}}}}
	}
	unread, read := open(), open()
	var sending sync.WaitGroup
	sending.Go(func() {
		for unread.Send(message(1)) == nil { // its room is full soon; then it waits for the end
		}
	})
	end := sync.OnceFunc(func() { close(leave) })
	late := time.AfterFunc(20*time.Second, func() {
		t.Error("the other stream of the connection has no room")
		end()
	})
	t.Cleanup(sending.Wait)
	t.Cleanup(end)
	t.Cleanup(func() { late.Stop() })
	for id := uint64(1); id <= messages; id++ {
		if err := read.Send(message(id)); err != nil {
			t.Fatal(err)
		}
		read.answer(id)
	}
}

// TestStreamEndsWithTheNode: a silent stream on the leader ends at once when the node shuts down, though its worker sends nothing.
func TestStreamEndsWithTheNode(t *testing.T) {
	node := startNode(t)
	s := openStream(t, h2c(t), node.url, node.worker(t, "w", 1))
	node.stop()
	wantReason(t, s.end(), ShuttingDown)
}
