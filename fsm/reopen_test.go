package fsm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestReopenRandom: whatever a state holds, it goes on in a higher epoch: no claim and no session is left, no job is lost or charged, jobs that ran
// wait in their old place, no fence and no session number comes again, and it runs on like one that was restored from its snapshot.
func TestReopenRandom(t *testing.T) {
	held := 0
	eachSeed(t, func(seed uint64) error {
		h, m := newHistory(seed), fsm.New()
		for range *batches {
			b := h.batch()
			h.observe(b, m.Apply(h.index, b))
		}
		held += m.Totals().Claims
		before := digest(t, m)
		n, err := fsm.Reopen(m, fsm.Reopening{Epoch: 99, ClusterID: "id-9", ClusterName: "fairlane", Nodes: []*logv1.SetNode{{Id: "n1"}}, Removed: []string{"n2"}})
		if err != nil {
			return err
		}
		if digest(t, m) != before {
			return fmt.Errorf("the former machine changed")
		}
		if err := sameButClaims(m, n); err != nil {
			return err
		}
		other, err := restored(n)
		if err != nil {
			return err
		}
		for range 20 {
			b := h.batch()
			b.Rules = fsm.Rules
			out := n.Apply(h.index, b)
			other.Apply(h.index, b)
			if err := n.CheckInvariants(); err != nil || digest(t, n) != digest(t, other) {
				return fmt.Errorf("index %d: the machine and the restored one differ: %w", h.index, err)
			}
			if err := newNumbers(out); err != nil {
				return err
			}
			h.observe(b, out)
		}
		return nil
	})
	if held == 0 {
		t.Error("no claim lived when a machine was reopened")
	}
}

func sameButClaims(m, n *fsm.Machine) error {
	was, is := m.Totals(), n.Totals()
	if is.Claims != 0 || is.Sessions != 0 || is.Jobs != was.Jobs || is.Final != was.Final || is.Keys != was.Keys || is.Queues != was.Queues ||
		is.Users != was.Users || is.Enqueued != was.Enqueued || n.AppliedIndex() != m.AppliedIndex() || n.Epoch() != 99 || n.Removed("n1") || !n.Removed("n2") {
		return fmt.Errorf("%+v became %+v", was, is)
	}
	for id := fsm.JobID(1); uint64(id) <= was.Enqueued; id++ {
		old, ok := m.Job(id)
		j, still := n.Job(id)
		if ok != still {
			return fmt.Errorf("job %d was there %v, is %v", id, ok, still)
		}
		want := old.GetState()
		if want == logv1.State_STATE_RUNNING {
			want = logv1.State_STATE_PENDING
		}
		if j.GetState() != want || j.GetCharged() != old.GetCharged() || j.GetPlace() != old.GetPlace() || j.GetAttempt() != old.GetAttempt() {
			return fmt.Errorf("%v became %v", old, j)
		}
	}
	return nil
}

// newNumbers: sessions and claims of a batch are of the new epoch.
func newNumbers(out fsm.Outcome) error {
	for _, res := range out.Results {
		if s := res.GetSession().GetSession(); s != 0 && s>>40 != 99 {
			return fmt.Errorf("session %d", s)
		}
		if f := res.GetClaim().GetFence(); f != 0 && f>>40 != 99 {
			return fmt.Errorf("fence %d", f)
		}
	}
	return nil
}

func TestNextEpoch(t *testing.T) {
	at := func(s string) int64 {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return when.UnixMilli()
	}
	for _, c := range []struct {
		old  uint32
		now  int64
		want uint32
	}{
		{1, at("2026-01-01T00:00:00Z"), 2},
		{1, at("2026-01-01T00:09:59Z"), 10},
		{10, at("2026-01-01T00:09:59Z"), 11},
		{1, at("2027-01-01T00:00:00Z"), 365*24*60 + 1},
		{1, 0, 2},
		{1, -1 << 62, 2},
		{1, at("2060-01-01T00:00:00Z"), fsm.MostEpoch - 1<<16 + 1},
		{fsm.MostEpoch - 5, at("2060-01-01T00:00:00Z"), fsm.MostEpoch - 4},
	} {
		if got := fsm.NextEpoch(c.old, c.now); got != c.want {
			t.Errorf("after %d at %d: %d, want %d", c.old, c.now, got, c.want)
		}
	}
}
