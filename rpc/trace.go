package rpc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// maxTraceMs is the longest recording.
	maxTraceMs = 3_600_000
	// tracePiece of the snapshot goes into one message.
	tracePiece = 64 << 10
)

func checkRecordTrace(r *v1.RecordTraceRequest) error {
	var f fields
	f.between("for_ms", r.GetForMs(), 0, maxTraceMs, "ms (0: the snapshot alone)")
	return f.result()
}

// RecordTrace is of this node alone and never forwarded. The end is sent only if nothing between it and the snapshot is missing.
func (s *clusterService) RecordTrace(ctx context.Context, r *v1.RecordTraceRequest, out *connect.ServerStream[v1.RecordTraceResponse]) error {
	if err := checkRecordTrace(r); err != nil {
		return err
	}
	recording, err := s.node.Record()
	if err != nil {
		return s.traceFailure(err)
	}
	defer recording.Stop()
	last := make(chan *fsm.Snapshot, 1) // has room for the only one
	stop := func() { last <- recording.Stop() }
	if r.GetForMs() == 0 {
		stop()
	} else {
		defer time.AfterFunc(time.Duration(r.GetForMs())*time.Millisecond, stop).Stop()
	}
	return s.sendTrace(ctx, recording, last, out)
}

// sendTrace sends all of a recording; last gets the state after it when it was stopped.
func (s *clusterService) sendTrace(ctx context.Context, recording *cluster.Recording, last <-chan *fsm.Snapshot,
	out *connect.ServerStream[v1.RecordTraceResponse],
) error {
	pieces := bufio.NewWriterSize(traceSnapshot{out}, tracePiece)
	if _, err := recording.Start().WriteTo(pieces); err != nil {
		return s.traceFailure(err)
	}
	if err := pieces.Flush(); err != nil {
		return s.traceFailure(err)
	}
	for {
		entry, err := recording.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s.traceFailure(err)
		}
		part := &v1.RecordTraceResponse_Entry{Entry: &v1.TraceEntry{Index: entry.Index, Batch: entry.Batch}}
		if err := out.Send(&v1.RecordTraceResponse{Part: part}); err != nil {
			return s.traceFailure(err)
		}
	}
	end := <-last
	digest, err := end.Digest()
	if err != nil {
		return s.traceFailure(err)
	}
	part := &v1.RecordTraceResponse_End{End: &v1.TraceEnd{Index: end.Index(), Digest: digest[:]}}
	return out.Send(&v1.RecordTraceResponse{Part: part})
}

// traceSnapshot sends each write as a piece of the snapshot; none may be longer than tracePiece.
type traceSnapshot struct {
	out *connect.ServerStream[v1.RecordTraceResponse]
}

func (t traceSnapshot) Write(p []byte) (int, error) {
	for at := 0; at < len(p); at += tracePiece {
		part := &v1.RecordTraceResponse_Snapshot{Snapshot: p[at:min(len(p), at+tracePiece)]}
		if err := t.out.Send(&v1.RecordTraceResponse{Part: part}); err != nil {
			return at, err
		}
	}
	return len(p), nil
}

func (s *clusterService) traceFailure(err error) error {
	switch {
	case errors.Is(err, cluster.ErrRecordings):
		return problem(TraceEnded, "node_id", s.node.ID(), "why", "it runs two recordings already")
	case errors.Is(err, cluster.ErrRecordingSlow):
		return problem(TraceEnded, "node_id", s.node.ID(), "why", "it was read too slowly, and the node keeps a bounded part of what is not read yet")
	case errors.Is(err, cluster.ErrRecordingRestored):
		return problem(TraceEnded, "node_id", s.node.ID(), "why", "the node was behind and got the state of another one meanwhile")
	}
	return s.failure(err)
}
