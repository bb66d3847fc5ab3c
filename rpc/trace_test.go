package rpc

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func (n *testNode) clusterService() fairlanev1connect.ClusterServiceClient {
	return fairlanev1connect.NewClusterServiceClient(http.DefaultClient, n.url)
}

// replayed receives a whole trace, replays it, and gives the number of its entries and the digest that the replay gives.
func replayed(t *testing.T, stream *connect.ServerStreamForClient[v1.RecordTraceResponse]) (entries int, got []byte, end *v1.TraceEnd) {
	t.Helper()
	defer stream.Close()
	var snapshot bytes.Buffer
	var m *fsm.Machine
	begin := func() {
		if m == nil {
			var err error
			if m, err = fsm.Restore(&snapshot); err != nil {
				t.Fatal(err)
			}
		}
	}
	for stream.Receive() {
		switch part := stream.Msg().GetPart().(type) {
		case *v1.RecordTraceResponse_Snapshot:
			if len(part.Snapshot) > tracePiece {
				t.Errorf("a piece of %d bytes", len(part.Snapshot))
			}
			snapshot.Write(part.Snapshot)
		case *v1.RecordTraceResponse_Entry:
			begin()
			b := &logv1.Batch{}
			if err := proto.Unmarshal(part.Entry.GetBatch(), b); err != nil {
				t.Fatal(err)
			}
			m.Apply(part.Entry.GetIndex(), b)
			entries++
		case *v1.RecordTraceResponse_End:
			begin()
			end = part.End
		}
	}
	if err := stream.Err(); err != nil || end == nil {
		t.Fatalf("no end of the trace: %v", err)
	}
	sum, err := m.Snapshot().Digest()
	if err != nil || m.AppliedIndex() != end.GetIndex() {
		t.Fatalf("replayed to %d, the end is %d: %v", m.AppliedIndex(), end.GetIndex(), err)
	}
	return entries, sum[:], end
}

// TestRecordTrace: a follower records while jobs come; the replay gives the digest of the end.
func TestRecordTrace(t *testing.T) {
	nodes := startThree(t)
	ctx, cancel := context.WithCancel(t.Context())
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		for ctx.Err() == nil {
			_, _ = nodes[0].jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k", User: "ana", Payload: &v1.NewJob_Json{Json: `{"n": 1}`}}})
		}
	}()
	defer func() { cancel(); <-loaded }()
	for _, forMs := range []int64{400, 0} {
		stream, err := nodes[1].clusterService().RecordTrace(t.Context(), &v1.RecordTraceRequest{ForMs: forMs})
		if err != nil {
			t.Fatal(err)
		}
		entries, got, end := replayed(t, stream)
		if !bytes.Equal(got, end.GetDigest()) {
			t.Errorf("for %d ms: the replay gives digest %x, recorded was %x", forMs, got, end.GetDigest())
		}
		if (entries > 0) != (forMs > 0) {
			t.Errorf("for %d ms: %d entries", forMs, entries)
		}
	}
}

// TestRecordTraceRefusals: what is asked wrongly, a third recording, and a node that ends.
func TestRecordTraceRefusals(t *testing.T) {
	node := startNode(t)
	open := func(ms int64) *connect.ServerStreamForClient[v1.RecordTraceResponse] {
		stream, err := node.clusterService().RecordTrace(t.Context(), &v1.RecordTraceRequest{ForMs: ms})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stream.Close() })
		return stream
	}
	for _, ms := range []int64{-1, maxTraceMs + 1} {
		if s := open(ms); s.Receive() || connect.CodeOf(s.Err()) != connect.CodeInvalidArgument {
			t.Errorf("for %d ms: %v", ms, s.Err())
		}
	}
	two := []*connect.ServerStreamForClient[v1.RecordTraceResponse]{open(60_000), open(60_000)}
	for _, s := range two {
		if !s.Receive() {
			t.Fatal(s.Err())
		}
	}
	if s := open(60_000); s.Receive() || !strings.Contains(s.Err().Error(), "two recordings") {
		t.Errorf("third recording: %v", s.Err())
	}
	go node.stop()
	for _, s := range two {
		for s.Receive() {
		}
		if s.Err() == nil || connect.CodeOf(s.Err()) != connect.CodeUnavailable {
			t.Errorf("recording of a node that shut down: %v", s.Err())
		}
	}
	node.stop()
}

// TestRecordTraceLeaves: a caller that goes away frees the place of its recording.
func TestRecordTraceLeaves(t *testing.T) {
	node := startNode(t)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		waitUntil(t, ctx, "a recording is free", func() bool {
			call, leave := context.WithCancel(ctx)
			defer leave()
			stream, err := node.clusterService().RecordTrace(call, &v1.RecordTraceRequest{ForMs: 60_000})
			if err != nil {
				t.Fatal(err)
			}
			ok := stream.Receive()
			leave()
			if err := stream.Close(); err != nil && !errors.Is(err, context.Canceled) {
				t.Log(err)
			}
			return ok
		})
		cancel()
	}
}
