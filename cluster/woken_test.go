package cluster

import (
	"testing"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// lane registers a worker with one lane on the stage.
func (s *stage) lane(slots uint32) uint64 {
	s.submit(&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "w", Nonce: 1, Lanes: []*logv1.Lane{{Chain: []string{"*"}, Slots: slots}}}}})
	s.settled()
	w, _ := s.worker()
	return uint64(w.Session)
}

// settled lets the proposer go on until it has nothing to do; then no job may wait for a parked claim.
func (s *stage) settled() {
	s.t.Helper()
	if err := s.rest(); err != nil {
		s.t.Fatal(err)
	}
}

// batch is the next one, which must be there.
func (s *stage) batch(between func()) {
	s.t.Helper()
	if more, err := s.round(between); err != nil || !more {
		s.t.Fatal(more, err)
	}
}

func (s *stage) parks(commands ...*logv1.Command) []*Ticket {
	var tickets []*Ticket
	for _, c := range commands {
		tickets = append(tickets, &Ticket{Command: c, Waits: true})
	}
	s.line.Submit(s.l.ctx, tickets)
	return tickets
}

func (s *stage) paused(paused bool) {
	s.submit(&logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: "default", Paused: &paused}}})
}

func onStage(t *testing.T) *stage {
	s := newStage(t, 1)
	t.Cleanup(s.close)
	return s
}

// A claim that is woken for its lane and refused, because its number is too old, leaves what it was woken for to the others of the lane.
func TestARefusedFirstIsFollowed(t *testing.T) {
	s := onStage(t)
	session := s.lane(5)
	s.submit(enqueue(1))
	s.submit(claim(session))
	s.settled()
	s.paused(true)
	s.submit(enqueue(1))
	s.settled()
	s.parks(numbered(claim(session), session, 1), claim(session))
	s.settled()
	late := numbered(claim(session), session, 2)
	late.Repeat.Lowest = 2
	s.submit(late)
	s.settled()
	s.paused(false)
	s.settled()
	if left := len(s.l.byAge); left != 0 {
		t.Errorf("%d claims are parked", left)
	}
}

// Raft refuses the batch of a woken claim, and the leadership goes on: another claim gets the job.
func TestWokenClaimsOfARefusedBatchAreFollowed(t *testing.T) {
	s := onStage(t)
	session := s.lane(5)
	s.submit(enqueue(1))
	s.submit(claim(session))
	s.settled()
	s.parks(claim(session))
	call := newPending(claim(session))
	call.waits = true
	if err := s.l.submit(s.l.ctx, call); err != nil {
		t.Fatal(err)
	}
	s.settled()
	s.paused(true)
	s.submit(enqueue(1))
	s.settled()
	s.paused(false)
	s.batch(func() {})
	b := s.l.pack()
	if len(b.pending) != 1 || b.pending[0].claim == nil {
		t.Fatalf("the batch after the resume: %v", b.entry.GetCommands())
	}
	s.l.refuse(b, ErrNotLeader)
	s.settled()
	if call.where != isAnswered || call.outcome.result.GetClaim().GetJob() == nil {
		t.Errorf("the claim behind it: %d %v", call.where, call.outcome)
	}
}

// A claim that is woken for one job gets another of the same kind, which became ready in the same batch and goes first: the one that it was woken
// for does not wait for the next that happens.
func TestAJobThatIsOvertakenIsClaimed(t *testing.T) {
	s := onStage(t)
	session := s.lane(5)
	s.parks(claims(session, 2)...)
	s.settled()
	for _, delay := range []int64{500, 600} {
		c := enqueue(1)
		c.GetEnqueue().Jobs[0].DelayMs, c.GetEnqueue().Jobs[0].Priority = delay, int32(delay)
		s.submit(c)
	}
	s.settled()
	pass := func() { s.clock.wall += 500 }
	pass()
	s.tick()
	s.batch(func() {}) // the first is ready and wakes a claim
	pass()
	s.settled() // in the batch of that claim the second is ready too
	if left := len(s.l.byAge); left != 0 {
		t.Errorf("%d claims are parked", left)
	}
}
