package bench

import (
	"errors"
	"testing"

	"golang.org/x/sync/semaphore"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func testStream(slots int) *streamWorker {
	r := &run{o: Options{Users: 1, Payload: LeastPayload}, ledger: newLedger(1), target: &target{}, backlog: semaphore.NewWeighted(1 << 20)}
	w := &streamWorker{run: r, slots: slots, next: 1, lowest: 1, open: map[uint64]*fairlanev1.WorkCall{}, jobs: map[uint64]uint64{}}
	for range slots {
		w.waiting = append(w.waiting, prepared{call: newClaim()})
	}
	return w
}

// job begins a job and gives the claim of it.
func (w *streamWorker) job(t *testing.T) *fairlanev1.Claim {
	t.Helper()
	seq := life(t, w.run.ledger, 1, 2, 0, 0)
	if !w.run.backlog.TryAcquire(1) {
		t.Fatal("no room")
	}
	return &fairlanev1.Claim{Fence: seq + 100, Job: &fairlanev1.Job{Id: seq + 1, Payload: &fairlanev1.Job_Data{Data: w.run.ledger.payload(seq, LeastPayload)}}}
}

func finishAnswer(id uint64, next *fairlanev1.Claim) *fairlanev1.WorkAnswer {
	return &fairlanev1.WorkAnswer{Id: id, Answer: &fairlanev1.WorkAnswer_Finish{Finish: &fairlanev1.FinishResponse{Next: &fairlanev1.ClaimResponse{Claim: next}}}}
}

// TestStreamKeepsNumbers: one slot works while the other one's claim waits. The numbers never run further ahead of the waiting claim than
// the cluster allows, because it is settled in time, once.
func TestStreamKeepsNumbers(t *testing.T) {
	w := testStream(2)
	m := w.message(&fairlanev1.WorkRequest{})
	if len(m.Calls) != 2 || m.Calls[0].Id != 1 || m.Calls[1].GetClaim().GetNumber() != 2 || m.Lowest != 1 {
		t.Fatalf("first message %v", m)
	}
	answer := &fairlanev1.WorkAnswer{Id: 2, Answer: &fairlanev1.WorkAnswer_Claim{Claim: &fairlanev1.ClaimResponse{Claim: w.job(t)}}}
	settled := 0
	for range 2 * numbersAhead {
		if err := w.answered(answer, 5); err != nil {
			t.Fatal(err)
		}
		m = w.message(&fairlanev1.WorkRequest{})
		settled += len(m.Settle)
		for _, id := range m.Settle { // the cluster answers with nothing, and another claim follows
			if err := w.answered(&fairlanev1.WorkAnswer{Id: id, Answer: &fairlanev1.WorkAnswer_Claim{Claim: &fairlanev1.ClaimResponse{}}}, 5); err != nil {
				t.Fatal(err)
			}
		}
		if w.next-w.lowest > numbersAhead {
			t.Fatalf("number %d while %d is open", w.next, w.lowest)
		}
		if len(m.Calls) == 0 {
			t.Fatal("the working slot has nothing to do")
		}
		last := m.Calls[0]
		if last.GetFinish() == nil {
			last = m.Calls[1]
		}
		answer = finishAnswer(last.GetId(), w.job(t))
	}
	if want := 2 * numbersAhead / settleBehind; settled < want-1 || settled > want+1 {
		t.Errorf("%d claims settled, want about %d", settled, want)
	}
	if a := w.run.ledger.account(false); a.Finished != 2*numbersAhead-1 || a.Twice != 0 {
		t.Errorf("%+v", a)
	}
}

// TestStreamRefusals end the run: a finish that is refused, an answer to nothing, a job of somebody else.
func TestStreamRefusals(t *testing.T) {
	for name, answer := range map[string]*fairlanev1.WorkAnswer{
		"refused": {Id: 1, Answer: &fairlanev1.WorkAnswer_Error{Error: &fairlanev1.ErrorBody{Reason: "SESSION_ENDED"}}},
		"unknown": finishAnswer(9, nil),
		"strange": {Id: 1, Answer: &fairlanev1.WorkAnswer_Claim{Claim: &fairlanev1.ClaimResponse{Claim: &fairlanev1.Claim{Job: &fairlanev1.Job{Id: 5}}}}},
	} {
		w := testStream(1)
		w.message(&fairlanev1.WorkRequest{})
		err := w.answered(answer, 5)
		if final := (*finalError)(nil); !errors.As(err, &final) || again(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
