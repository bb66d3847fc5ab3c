package cluster

import (
	"errors"
	"testing"
	"time"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// quiet stops the batches that go out by themselves while a session exists, so that the log can be counted.
func (w *world) quiet(n *Node) (last uint64) {
	w.t.Helper()
	l := n.leading.Load()
	l.idle.Store(int64(time.Hour))
	index, err := n.ReadBarrier(w.limit(10 * time.Second))
	if err != nil {
		w.t.Fatal(err)
	}
	return index
}

// A claim for which nothing is there costs no log entry; the enqueue that it waits for hands out the job in the same one.
func TestParkedClaimWakesInTheBatchOfTheEnqueue(t *testing.T) {
	for _, store := range everyStore {
		t.Run(store, func(t *testing.T) {
			w := newWorld(t, store, 1, nil)
			n := w.nodes[0]
			first, second := w.worker(n, "first", 1), w.worker(n, "second", 1)
			before := w.quiet(n)
			older := w.claimLater(n, first, 20*time.Second)
			w.parked(n, 1)
			younger := w.claimLater(n, second, 20*time.Second)
			w.parked(n, 2)
			if got := n.raft.LastIndex(); got != before {
				t.Fatalf("two parked claims wrote %d log entries", got-before)
			}
			for i, c := range []*parkedClaim{older, younger} {
				job := w.propose(n, enqueue(1))
				c.wait(t)
				if c.err != nil {
					t.Fatal(c.err)
				}
				if got, want := c.result.GetClaim().GetJob().GetId(), job.GetEnqueue().GetOutcomes()[0].GetJob(); got != want {
					t.Errorf("claim %d got job %d, want %d", i, got, want)
				}
				if c.result.GetIndex() != job.GetIndex() || c.result.GetPlace() <= job.GetPlace() {
					t.Errorf("claim %d was answered at %d.%d, the enqueue at %d.%d", i, c.result.GetIndex(), c.result.GetPlace(), job.GetIndex(), job.GetPlace())
				}
				if c.parked <= 0 {
					t.Errorf("claim %d says that it was parked for %v", i, c.parked)
				}
			}
			if got := n.raft.LastIndex(); got != before+2 {
				t.Errorf("two jobs for two parked claims wrote %d log entries, want 2", got-before)
			}
		})
	}
}

// Several parked claims and one enqueue of fewer jobs: exactly so many get one, the oldest first, the others stay.
func TestParkedClaimsGetOneJobEach(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	var claims []*parkedClaim
	for i := range 5 {
		claims = append(claims, w.claimLater(n, w.worker(n, string(rune('a'+i)), 1), 20*time.Second))
		w.parked(n, i+1)
	}
	w.propose(n, enqueue(3))
	for i, c := range claims[:3] {
		c.wait(t)
		if c.err != nil || c.result.GetClaim().GetJob() == nil {
			t.Errorf("claim %d: %v %v", i, c.result, c.err)
		}
	}
	w.parked(n, 2)
	w.propose(n, enqueue(2))
	for _, c := range claims[3:] {
		c.wait(t)
		if c.err != nil || c.result.GetClaim().GetJob() == nil {
			t.Errorf("a claim that stayed: %v %v", c.result, c.err)
		}
	}
}

// A lane without room does not keep a job from the claim behind it, and its parked claim wakes when the room comes back.
func TestParkedClaimOfAFullLane(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	full := w.worker(n, "full", 1)
	early, late := w.claimLater(n, full, 20*time.Second), w.claimLater(n, full, 20*time.Second)
	w.parked(n, 2)
	other := w.worker(n, "other", 1)
	w.propose(n, enqueue(1))
	w.parked(n, 1)
	waits := w.claimLater(n, other, 20*time.Second)
	w.parked(n, 2)
	w.propose(n, enqueue(1))
	waits.wait(t)
	if waits.result.GetClaim().GetJob() == nil {
		t.Fatalf("the job went to nobody: %v %v", waits.result, waits.err)
	}
	w.propose(n, enqueue(1))
	got := early
	select {
	case <-early.done:
	case <-late.done:
		got, late = late, early
	}
	w.propose(n, finish(full, got.result.GetClaim().GetFence()))
	late.wait(t)
	if late.result.GetClaim().GetJob() == nil {
		t.Errorf("the lane had room again: %v %v", late.result, late.err)
	}
}

func TestParkedClaimWaitEnds(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	c := w.claimLater(n, w.worker(n, "worker", 1), 30*time.Millisecond)
	c.wait(t)
	if c.err != nil || c.result.GetClaim().GetEmpty() != logv1.Empty_EMPTY_NOTHING || c.parked < 30*time.Millisecond/2 {
		t.Errorf("got %v after %v, %v", c.result, c.parked, c.err)
	}
	w.parked(n, 0)
}

func TestDrainAnswersParkedClaims(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	drained, stays := w.worker(n, "drained", 1), w.worker(n, "stays", 1)
	gone, left := w.claimLater(n, drained, 20*time.Second), w.claimLater(n, stays, 20*time.Second)
	w.parked(n, 2)
	w.propose(n, &logv1.Command{Op: &logv1.Command_Drain{Drain: &logv1.Drain{Session: drained}}})
	gone.wait(t)
	if gone.err != nil || gone.result.GetClaim().GetEmpty() != logv1.Empty_EMPTY_DRAINING {
		t.Errorf("got %v, %v", gone.result, gone.err)
	}
	w.parked(n, 1)
	w.propose(n, enqueue(1))
	left.wait(t)
}

// Neither a shutdown nor a lost leadership leaves a claim unanswered; both say that nothing was done.
func TestParkedClaimsAreToldOfTheEnd(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, nil)
	leader := w.leader()
	session := w.worker(leader, "worker", 1)
	lost := w.claimLater(leader, session, 20*time.Second)
	w.parked(leader, 1)
	if err := await(w.limit(10*time.Second), leader.raft.LeadershipTransfer()); err != nil {
		t.Fatal(err)
	}
	lost.wait(t)
	if !errors.Is(lost.err, ErrNotLeader) {
		t.Errorf("after the transfer: %v, %v", lost.result, lost.err)
	}
	w.until("another leader", func() bool { return !leader.IsLeader() && w.leader() != leader })
	leader = w.leader()
	closed := w.claimLater(leader, session, 20*time.Second)
	w.parked(leader, 1)
	w.close(leader)
	closed.wait(t)
	if !errors.Is(closed.err, ErrShutdown) {
		t.Errorf("after the shutdown: %v, %v", closed.result, closed.err)
	}
}
