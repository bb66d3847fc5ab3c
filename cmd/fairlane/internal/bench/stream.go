package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

const (
	// numbersAhead of the lowest unanswered one, at most: the cluster keeps the answers of 1,024 calls of a session.
	numbersAhead = 1000
	// settleBehind: a claim that has waited while so many other calls were made is answered now, because it holds the lowest number.
	settleBehind = 400
	// streamPause between two streams of a worker.
	streamPause = 20 * time.Millisecond
)

// streamWorker is a session with many slots whose calls go over one stream. Each slot has a claim under way or a job, and a job is done
// at once: its finish claims the next one. What is answered in one message is finished in one.
//
// lowest <= number < next <= lowest + numbersAhead for every unanswered call.
type streamWorker struct {
	run     *run
	session uint64
	client  *http.Client // with a connection of its own
	slots   int

	next, lowest uint64
	open         map[uint64]*fairlanev1.WorkCall // unanswered, by number, which is also the id
	settled      uint64                          // claims with lower numbers were settled
	waiting      []prepared                      // have no number yet: there is no room
	jobs         map[uint64]uint64               // the job that each finish is of, by number
}

// prepared is a call without a number, and the job that it finishes.
type prepared struct {
	call *fairlanev1.WorkCall
	seq  uint64
}

func (r *run) newStreamWorker(ctx context.Context, i int) (*streamWorker, error) {
	session, err := r.register(ctx, i, r.o.Slots)
	if err != nil {
		return nil, err
	}
	return &streamWorker{
		run: r, session: session, client: r.target.connection(), slots: r.o.Slots, next: 1, lowest: 1,
		open: map[uint64]*fairlanev1.WorkCall{}, jobs: map[uint64]uint64{},
	}, nil
}

// work runs streams until ctx ends, one after the other as they break.
func (w *streamWorker) work(ctx context.Context) error {
	for range w.slots {
		w.waiting = append(w.waiting, prepared{call: newClaim()})
	}
	t := w.run.target
	for tries := 0; ctx.Err() == nil; tries++ {
		n := t.leader.Load()
		moved, err := w.stream(ctx, n)
		if ctx.Err() != nil {
			return nil
		}
		if connect.CodeOf(err) == connect.CodeUnimplemented {
			return fmt.Errorf("the cluster does not know streams of workers; leave --stream and --batch out: %w", err)
		}
		if !again(err) {
			return fmt.Errorf("stream of a worker: %w", explain(err))
		}
		t.errors.Add(1)
		if moved {
			tries = 0
		}
		if tries > int(t.patience/streamPause) {
			return fmt.Errorf("no stream within %v: %w", t.patience, err)
		}
		if !pause(ctx, streamPause) {
			return nil
		}
		if err := t.find(ctx, n, t.patience); err != nil {
			return ended(ctx, err)
		}
	}
	return nil
}

// stream is one stream, from the first message to its end, which is always an error. It sends what the former one left unanswered again,
// under the same numbers. moved: something was answered.
func (w *streamWorker) stream(ctx context.Context, n *node) (moved bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := fairlanev1connect.NewWorkerServiceClient(w.client, n.url, connect.WithAcceptCompression("gzip", nil, nil))
	s, err := client.Work(ctx)
	if err != nil {
		return false, err
	}
	defer s.CloseResponse()
	defer s.CloseRequest()
	// While the body of a request is open, net/http looks for more of it and not at the context: Receive would not end.
	defer context.AfterFunc(ctx, func() { _ = s.CloseRequest() })()
	first := &fairlanev1.WorkRequest{Session: w.session}
	for number := range w.open {
		first.Calls = append(first.Calls, w.open[number])
	}
	slices.SortFunc(first.Calls, func(a, b *fairlanev1.WorkCall) int { return int(int64(a.Id) - int64(b.Id)) })
	w.settled = 0
	for m := w.message(first); ; m = w.message(&fairlanev1.WorkRequest{}) {
		if m.Session != 0 || len(m.Calls)+len(m.Settle) > 0 {
			if err := s.Send(m); err != nil {
				_, received := s.Receive() // says why
				return moved, errors.Join(err, received)
			}
		}
		res, err := s.Receive()
		if err != nil {
			return moved, err
		}
		now := w.run.ledger.now()
		for _, a := range res.GetAnswers() {
			moved = true
			if err := w.answered(a, now); err != nil {
				return moved, err
			}
		}
	}
}

// message adds the calls that have room, and settles claims that hold up the numbers.
func (w *streamWorker) message(m *fairlanev1.WorkRequest) *fairlanev1.WorkRequest {
	for w.lowest < w.next && w.open[w.lowest] == nil {
		w.lowest++
	}
	taken := 0
	for ; taken < len(w.waiting) && w.next-w.lowest < numbersAhead; taken++ {
		call := w.waiting[taken].call
		call.Id = w.next
		switch c := call.Call.(type) {
		case *fairlanev1.WorkCall_Claim:
			c.Claim.Number = w.next
		case *fairlanev1.WorkCall_Finish:
			c.Finish.Number = w.next
			w.jobs[w.next] = w.waiting[taken].seq
		}
		w.open[w.next] = call
		m.Calls = append(m.Calls, call)
		w.next++
	}
	w.waiting = append(w.waiting[:0], w.waiting[taken:]...)
	m.Lowest = w.lowest
	if w.next > settleBehind {
		for number := max(w.lowest, w.settled); number < w.next-settleBehind; number++ {
			if c := w.open[number]; c != nil && c.GetClaim() != nil {
				m.Settle = append(m.Settle, number)
			}
		}
		w.settled = max(w.settled, w.next-settleBehind)
	}
	return m
}

// answered takes one answer and prepares the call that follows it.
func (w *streamWorker) answered(a *fairlanev1.WorkAnswer, now int64) error {
	if w.open[a.GetId()] == nil {
		return &finalError{fmt.Errorf("an answer to call %d, which is not open", a.GetId())}
	}
	delete(w.open, a.GetId())
	var claim *fairlanev1.Claim
	switch x := a.GetAnswer().(type) {
	case *fairlanev1.WorkAnswer_Claim:
		claim = x.Claim.GetClaim()
	case *fairlanev1.WorkAnswer_Finish:
		if e := x.Finish.GetError(); e != nil {
			return refusedBody("finish of a claim", e)
		}
		seq := w.jobs[a.GetId()]
		delete(w.jobs, a.GetId())
		w.run.finished(seq, now)
		claim = x.Finish.GetNext().GetClaim()
	case *fairlanev1.WorkAnswer_Error:
		return refusedBody("call of a stream", x.Error)
	}
	if claim == nil {
		w.waiting = append(w.waiting, prepared{call: newClaim()})
		return nil
	}
	seq, ok := w.run.ledger.start(claim.GetJob().GetData(), claim.GetJob().GetId(), 0, now)
	if !ok {
		return w.run.strangeJob(claim)
	}
	w.waiting = append(w.waiting, prepared{newFinish(claim.GetFence()), seq})
	return nil
}

func newClaim() *fairlanev1.WorkCall {
	return &fairlanev1.WorkCall{Call: &fairlanev1.WorkCall_Claim{Claim: &fairlanev1.ClaimRequest{WaitMs: claimWait}}}
}

var (
	success   = &fairlanev1.FinishRequest_Success{Success: &fairlanev1.Success{}}
	claimNext = &fairlanev1.NextClaim{}
)

// newFinish also claims the next job.
func newFinish(fence uint64) *fairlanev1.WorkCall {
	return &fairlanev1.WorkCall{Call: &fairlanev1.WorkCall_Finish{
		Finish: &fairlanev1.FinishRequest{Fence: fence, Outcome: success, Next: claimNext},
	}}
}

func (w *streamWorker) end() {
	w.run.deregister(w.session)
	w.client.CloseIdleConnections()
}

// finalError ends the run: another attempt would not help.
type finalError struct{ error }

func refusedBody(what string, e *fairlanev1.ErrorBody) error {
	return &finalError{fmt.Errorf("%s: %s (%s %s)", what, e.GetMessage(), e.GetReason(), e.GetCode())}
}
