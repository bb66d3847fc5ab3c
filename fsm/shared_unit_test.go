package fsm

import (
	"strings"
	"testing"
	"unsafe"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// applied gives a function that applies one batch of commands after the other.
func applied(m *Machine) func(...*logv1.Command) Outcome {
	return func(commands ...*logv1.Command) Outcome {
		return m.Apply(m.index+1, &logv1.Batch{Rules: Rules, NowMs: 1000, MonotonicMs: 1, Leadership: 1, Commands: commands})
	}
}

func enqueueFor(user string, repeat *logv1.Repeat) *logv1.Command {
	job := &logv1.NewJob{Kind: strings.Clone("kind"), Queue: strings.Clone("queue"), User: strings.Clone(user)}
	return &logv1.Command{Repeat: repeat, Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{job}}}}
}

// TestReopenChangesNothing: the machine that another one is made from has the same records after it, counts them as before, and goes on.
func TestReopenChangesNothing(t *testing.T) {
	m := New()
	apply := applied(m)
	apply(&logv1.Command{Op: &logv1.Command_OpenSession{OpenSession: &logv1.OpenSession{}}})
	session := m.lastSession
	for n := range uint64(4) {
		apply(enqueueFor("user", &logv1.Repeat{Session: session, Number: n}))
	}
	if m.answers.Len() != 4 {
		t.Fatalf("%d answers are stored", m.answers.Len())
	}
	texts := func() (list []*byte) {
		m.jobs.Scan(func(_ uint64, r *jobRec) bool {
			list = append(list, unsafe.StringData(r.job.Kind), unsafe.StringData(r.job.Queue), unsafe.StringData(r.job.User))
			return true
		})
		return list
	}
	before := texts()
	n, err := Reopen(m, Reopening{Epoch: m.epoch + 1})
	if err != nil {
		t.Fatal(err)
	}
	if n.answers.Len() != 0 {
		t.Errorf("%d answers are left", n.answers.Len())
	}
	for i, text := range texts() {
		if text != before[i] {
			t.Errorf("text %d of the jobs was written again: a reader of a snapshot would race with that", i)
		}
	}
	apply(enqueueFor("user", &logv1.Repeat{Session: session, Number: 4, Lowest: 4})) // it drops the answers below
	if err := m.CheckInvariants(); err != nil || m.answers.Len() != 1 {
		t.Errorf("%d answers: %v", m.answers.Len(), err)
	}
}

// TestDroppedBeforeItsClaimPart: the answer of a finish is forgotten in its own batch, between the finish and the claim of the next job. It counts
// nothing after that.
func TestDroppedBeforeItsClaimPart(t *testing.T) {
	m := New()
	apply := applied(m)
	apply(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "w", Nonce: 1, Lanes: []*logv1.Lane{{Chain: []string{"queue"}, Slots: 1}}}}})
	session := m.lastSession
	apply(enqueueFor("user", nil), enqueueFor("user", nil))
	got := apply(&logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: session}}}).Results[0].GetClaim()
	out := apply(enqueueFor("user", &logv1.Repeat{Session: session, Number: 2, Lowest: 2}),
		&logv1.Command{Repeat: &logv1.Repeat{Session: session, Number: 1, Lowest: 1}, Op: &logv1.Command_Finish{Finish: &logv1.Finish{
			Session: session, Fence: got.GetFence(), Outcome: &logv1.Finish_Success{Success: &logv1.Success{}}, Next: &logv1.NextClaim{}}}})
	if next := out.Results[1].GetFinish().GetNext(); next.GetFence() == 0 || m.Answered(SessionID(session), 1) || !m.Answered(SessionID(session), 2) {
		t.Fatalf("%v; answered: %v, %v", out.Results[1], m.Answered(SessionID(session), 1), m.Answered(SessionID(session), 2))
	}
	if err := m.CheckInvariants(); err != nil {
		t.Error(err)
	}
}
