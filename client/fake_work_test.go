package fairlane

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// isWork reports that both sides send as they like.
func isWork(req *http.Request) bool { return strings.HasSuffix(req.URL.Path, "/Work") }

type settleKey struct{}

// settled gives the channel that closes when a claim of a stream is to be answered; nil: it is not one.
func settled(ctx context.Context) <-chan struct{} {
	c, _ := ctx.Value(settleKey{}).(chan struct{})
	return c
}

// fakeWork is one stream of a worker on the side of the cluster. Each call does what it does alone, under the same plan; where the plan breaks its
// connection, the stream breaks.
type fakeWork struct {
	fake    *fake
	stream  *connect.BidiStream[fairlanev1.WorkRequest, fairlanev1.WorkResponse]
	x       *exchange
	session uint64
	broke   context.CancelCauseFunc

	mu      sync.Mutex // one answer at a time
	settles map[uint64]chan struct{}
}

// message is what the fake saw of one message of a stream.
type message struct {
	node            string
	calls, settles  int
	finishes, waits int
	lowest          uint64
}

func (f *fake) Work(ctx context.Context, stream *connect.BidiStream[fairlanev1.WorkRequest, fairlanev1.WorkResponse]) error {
	x := ctx.Value(exchangeKey{}).(*exchange)
	if f.noWork {
		return connect.NewError(connect.CodeUnimplemented, errNotHTTP2)
	}
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	_, err = serve(f, ctx, "Work", first, first.Session, 0, 0, func(*fakeSession) (*fairlanev1.WorkResponse, bool, error) { return nil, false, nil })
	if x.fault.hang || x.fault.mute {
		<-ctx.Done()
		return ctx.Err()
	}
	if x.fault.refuse == "" && x.fault.leader == "" {
		if x.fault.dial || x.fault.before || x.fault.after {
			panic(http.ErrAbortHandler)
		}
	}
	if err != nil {
		return err
	}
	ctx, broke := context.WithCancelCause(ctx)
	defer broke(nil)
	w := &fakeWork{fake: f, stream: stream, x: x, session: first.Session, broke: broke, settles: map[uint64]chan struct{}{}}
	if err := stream.Send(&fairlanev1.WorkResponse{LeaderUrl: x.fault.direct}); err != nil {
		return err
	}
	f.mu.Lock()
	f.works[w] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.works, w)
	}()
	var calls sync.WaitGroup
	received := make(chan error, 1)
	go func() {
		defer close(received)
		received <- w.read(ctx, &calls)
	}()
	select {
	case err = <-received:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	broke(nil)
	if x.hangUp != nil {
		x.hangUp()
		for range received { // until the reader has ended
		}
	}
	calls.Wait()
	if err == http.ErrAbortHandler {
		panic(err)
	}
	return err
}

// Status is what a visitor sees.
func (f *fake) Status(ctx context.Context, r *fairlanev1.StatusRequest) (*fairlanev1.StatusResponse, error) {
	return serve(f, ctx, "Status", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.StatusResponse, bool, error) {
		answer := &fairlanev1.StatusResponse{ClusterId: "ours", Role: "leader"}
		x := ctx.Value(exchangeKey{}).(*exchange)
		if x.fault.other {
			answer.ClusterId = "theirs"
		}
		if x.fault.led {
			answer.Role = "follower"
		}
		return answer, false, nil
	})
}

// breakStreams cuts the connections of all streams of workers.
func (f *fake) breakStreams() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.works {
		w.broke(http.ErrAbortHandler)
	}
}

// read takes messages until the stream ends.
func (w *fakeWork) read(ctx context.Context, calls *sync.WaitGroup) error {
	for {
		m, err := w.stream.Receive()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		w.note(m)
		w.mu.Lock()
		for _, id := range m.Settle {
			if c := w.settles[id]; c != nil {
				close(c)
				delete(w.settles, id)
			}
		}
		var ready []func()
		for _, call := range m.Calls {
			in := context.WithValue(ctx, exchangeKey{}, &exchange{node: w.x.node})
			if c := call.GetClaim(); c != nil && c.WaitMs > 0 {
				c.WaitMs = 1 << 40
				w.settles[call.Id] = make(chan struct{})
				in = context.WithValue(in, settleKey{}, w.settles[call.Id])
			}
			ready = append(ready, func() { w.serve(in, m.Lowest, call) })
		}
		w.mu.Unlock()
		for _, do := range ready {
			calls.Go(do)
		}
	}
}

func (w *fakeWork) note(m *fairlanev1.WorkRequest) {
	n := message{node: w.x.node, calls: len(m.Calls), settles: len(m.Settle), lowest: m.Lowest}
	for _, c := range m.Calls {
		if c.GetFinish() != nil {
			n.finishes++
		}
		if c.GetClaim().GetWaitMs() > 0 {
			n.waits++
		}
	}
	w.fake.mu.Lock()
	defer w.fake.mu.Unlock()
	w.fake.messages = append(w.fake.messages, n)
}

// serve makes one call and sends its answer.
func (w *fakeWork) serve(ctx context.Context, lowest uint64, call *fairlanev1.WorkCall) {
	out := &fairlanev1.WorkAnswer{Id: call.Id}
	var err error
	switch c := call.Call.(type) {
	case *fairlanev1.WorkCall_Claim:
		c.Claim.Session, c.Claim.Lowest = w.session, lowest
		var res *fairlanev1.ClaimResponse
		res, err = w.fake.Claim(ctx, c.Claim)
		out.Answer = &fairlanev1.WorkAnswer_Claim{Claim: res}
	case *fairlanev1.WorkCall_Finish:
		c.Finish.Session, c.Finish.Lowest = w.session, lowest
		var res *fairlanev1.FinishResponse
		res, err = w.fake.Finish(ctx, c.Finish)
		out.Answer = &fairlanev1.WorkAnswer_Finish{Finish: res}
	case *fairlanev1.WorkCall_Release:
		c.Release.Session, c.Release.Lowest = w.session, lowest
		var res *fairlanev1.ReleaseResponse
		res, err = w.fake.Release(ctx, c.Release)
		out.Answer = &fairlanev1.WorkAnswer_Release{Release: res}
	case *fairlanev1.WorkCall_Heartbeat:
		c.Heartbeat.Session = w.session
		var res *fairlanev1.HeartbeatResponse
		res, err = w.fake.Heartbeat(ctx, c.Heartbeat)
		out.Answer = &fairlanev1.WorkAnswer_Heartbeat{Heartbeat: res}
	case *fairlanev1.WorkCall_Output:
		c.Output.Session = w.session
		var res *fairlanev1.AppendOutputResponse
		res, err = w.fake.AppendOutput(ctx, c.Output)
		out.Answer = &fairlanev1.WorkAnswer_Output{Output: res}
	}
	w.answer(ctx, out, err)
}

// answer sends what became of a call, or lets the stream end with it.
func (w *fakeWork) answer(ctx context.Context, out *fairlanev1.WorkAnswer, err error) {
	what := ctx.Value(exchangeKey{}).(*exchange).fault
	switch e := details(err); {
	case ctx.Err() != nil, what.hang:
		return
	case what.dial, what.before, what.after:
		w.broke(http.ErrAbortHandler)
		return
	case err == nil:
	case e.Reason == ErrNotLeader, e.Reason == ErrNoLeader, e.Reason == ErrShuttingDown, e.Reason == ErrUnknownOutcome:
		w.broke(err)
		return
	default:
		body := &fairlanev1.ErrorBody{Reason: string(e.Reason), Code: "FL0000", Message: e.Message}
		if ms := e.RetryAfter.Milliseconds(); ms > 0 {
			body.Metadata = map[string]string{"retry_ms": strconv.FormatInt(ms, 10)}
		}
		out.Answer = &fairlanev1.WorkAnswer_Error{Error: body}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.settles, out.Id)
	_ = w.stream.Send(&fairlanev1.WorkResponse{Answers: []*fairlanev1.WorkAnswer{proto.CloneOf(out)}})
}

// details is what fromWire gives on the other side.
func details(err error) *Error {
	e := &Error{}
	wire, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return e
	}
	for _, d := range wire.Details() {
		value, _ := d.Value()
		switch d := value.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.Metadata = Reason(d.GetReason()), d.GetMetadata()
		case *errdetails.RetryInfo:
			e.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	return e
}
