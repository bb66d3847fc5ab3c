package rpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// passage is a worker's stream that this node passes on to the leader.
type passage struct {
	*server
	stream *workConn
	leader *peer
	up     *connect.BidiStreamForClientSimple[v1.WorkRequest, v1.WorkResponse]
	cancel context.CancelFunc // of the leader's part
	// unread is what was wrong with the worker's messages. Set before their reader ends.
	unread error
}

// passOn a worker's stream to the leader, message by message, unchanged but for the first answer. nothingDone: it did not begin there. It ends with
// the leader's part, or when another node leads.
func (s *workerService) passOn(ctx context.Context, stream *workConn, leader *peer) (err error, nothingDone bool) {
	p := &passage{server: s.server, stream: stream, leader: leader}
	upstream, cancel := context.WithCancel(ctx)
	p.cancel = cancel
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	if p.up, err = leader.streams.Work(upstream); err != nil {
		return err, ctx.Err() == nil
	}
	running.Go(func() { p.watch(upstream) })
	first, err := p.begin()
	if err != nil {
		reason, _, _ := ReasonOf(err)
		final := connect.IsWireError(err) && reason != NotLeader && reason != ShuttingDown
		// An older leader does not know streams. If the caller has left, that shows when another attempt is to be made.
		return err, !final && connect.CodeOf(err) != connect.CodeUnimplemented
	}
	if err := stream.Send(first); err != nil {
		return err, false
	}
	running.Go(func() { p.upward(upstream) })
	for {
		message, err := p.up.Receive()
		if err == nil {
			err = stream.Send(message)
		}
		if err != nil {
			cancel()
			stopReading(ctx)
			running.Wait()
			return p.why(ctx, err), false
		}
	}
}

// begin waits for the leader's first message and says where the leader is.
func (p *passage) begin() (*v1.WorkResponse, error) {
	late := time.AfterFunc(forwardTime, p.cancel)
	defer late.Stop()
	first, err := p.up.Receive()
	if err != nil {
		return nil, err
	}
	if _, address, known := p.lead.Leader(); known && address != "" {
		first.LeaderUrl = baseURL(address, p.peers.secure)
	}
	return first, nil
}

// watch ends the leader's part. That of a cancelled context alone can leave Receive hanging.
func (p *passage) watch(upstream context.Context) {
	select {
	case <-upstream.Done():
	case <-p.leader.gone.Done():
	case <-p.lead.Closing():
	}
	p.cancel()
	_ = p.up.CloseRequest()
	_ = p.up.CloseResponse()
}

// upward passes the worker's messages on until it sends no more or the leader takes no more. A panic ends the stream alone.
func (p *passage) upward(upstream context.Context) {
	defer func() {
		if cause := recover(); cause != nil {
			p.unread = p.recovered(upstream, p.stream.Spec(), nil, cause)
			p.cancel()
		}
	}()
	for {
		message, err := p.stream.Receive()
		if errors.Is(err, io.EOF) {
			_ = p.up.CloseRequest()
			return
		}
		if err != nil {
			if upstream.Err() == nil { // else the end of the stream is what it could not be read for
				p.unread = err
			}
			p.cancel()
			return
		}
		if p.up.Send(message) != nil {
			return // Receive says why
		}
	}
}

// why the stream ended, for its caller. err is what ended it here.
func (p *passage) why(ctx context.Context, err error) error {
	select {
	case <-p.lead.Closing():
		return problem(ShuttingDown, "node_id", p.lead.ID())
	default:
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case connect.IsWireError(err):
		return err
	case ctx.Err() != nil:
		return p.failure(ctx.Err())
	case p.leader.gone.Err() != nil:
		return p.notLeader()
	}
	if p.unread != nil {
		return p.failure(p.unread)
	}
	return problem(UnknownOutcome, "why", "the connection to the leader broke before its answers came")
}
