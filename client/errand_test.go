package fairlane

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestLeftErrand: of a call that was written and then given up nobody can say what it did; of one that was not, everybody can.
func TestLeftErrand(t *testing.T) {
	for name, written := range map[string]bool{"written": true, "not written": false} {
		t.Run(name, func(t *testing.T) {
			l := &life{client: &Client{clock: newMachineClock()}, book: newBook(1)}
			l.carrier = newCarrier(l, false)
			e := l.errand(&call{client: l.client})
			e.call.Call = &fairlanev1.WorkCall_Finish{Finish: &fairlanev1.FinishRequest{}}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() {
				_, _, err := l.carrier.carry(ctx, e)
				ended <- err
			}()
			<-l.carrier.poke
			if written && !l.carrier.gather(&fairlanev1.WorkRequest{}) {
				t.Error("nothing to send")
			}
			cancel()
			if err := <-ended; errors.Is(err, ErrUnknownOutcome) != written || !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// TestErrandIsUsedAgain: an answer that comes for a former call of a seat is not taken for one of the next.
func TestErrandIsUsedAgain(t *testing.T) {
	l := &life{client: &Client{clock: newMachineClock()}, book: newBook(1)}
	l.carrier = newCarrier(l, false)
	e := l.errand(&call{client: l.client})
	e.call.Call = &fairlanev1.WorkCall_Claim{Claim: &fairlanev1.ClaimRequest{}}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.carrier.carry(gone, e); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	former := e.id
	if !l.carrier.submit(e) || !l.carrier.gather(&fairlanev1.WorkRequest{}) {
		t.Fatal("nothing to send")
	}
	l.carrier.answered([]*fairlanev1.WorkAnswer{{Id: former}, {Id: 99}})
	select {
	case <-e.done:
		t.Error("answered by the answer to another call")
	default:
	}
	l.carrier.answered([]*fairlanev1.WorkAnswer{{Id: e.id}})
	if end := <-e.done; end.answer.GetId() != e.id {
		t.Errorf("got %v", end)
	}
}

// TestAllocationsOfAJob: what the worker itself allocates for a job over a stream, from the answer that brings it to the one to its outcome: the claim, the
// context of its handler, the number of its outcome.
func TestAllocationsOfAJob(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	defer end(nil)
	client := &Client{clock: newMachineClock()}
	w := NewWorker(&Client{logger: slog.New(slog.DiscardHandler)})
	w.HandleRest(func(context.Context, *RawJob) ([]byte, error) { return nil, nil })
	l := &life{worker: w, client: client, book: newBook(1), claims: newClaims(client.clock), ctx: ctx, end: end, values: context.WithoutCancel(ctx)}
	l.carrier, l.sender = newCarrier(l, false), newSender(l)
	s := newSeat(newLane(l, 0, "*:1", 1), ctx)
	claim := &fairlanev1.ClaimResponse{Claim: &fairlanev1.Claim{Fence: 1, LeaseMs: 60000, Job: &fairlanev1.Job{Id: 1, Kind: "k", Queue: "q",
		Payload: &fairlanev1.Job_Data{Data: []byte("x")}}}}
	answers := []*fairlanev1.WorkAnswer{{Answer: &fairlanev1.WorkAnswer_Finish{Finish: &fairlanev1.FinishResponse{Next: claim}}}}
	var m fairlanev1.WorkRequest
	asked, answered := make(chan struct{}), make(chan struct{})
	go func() { // the other side of the stream
		for range asked {
			<-l.carrier.poke
			l.carrier.gather(&m)
			answers[0].Id = m.Calls[0].Id
			l.carrier.answered(answers)
			answered <- struct{}{}
		}
	}()
	defer close(asked)
	s.k = call{client: client, first: client.clock.now()}
	c := s.lane.accept(&s.k, claim)
	if got := testing.AllocsPerRun(1000, func() {
		asked <- struct{}{}
		c = s.runOne(c)
		<-answered
	}); got > 4 || c == nil {
		t.Errorf("%v allocations for a job, want at most 4", got)
	}
}
