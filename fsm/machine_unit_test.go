package fsm

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestBackoff: first x factor^n, at most the most, and no overflow at the hard bounds.
func TestBackoff(t *testing.T) {
	m := New()
	for _, c := range []struct {
		first, most int64
		factor      int32
		charged     int32
		want        int64
	}{
		{1000, 600_000, 200, 1, 1000}, {1000, 600_000, 200, 2, 2000}, {1000, 600_000, 200, 4, 8000}, {1000, 600_000, 200, 100, 600_000},
		{0, 600_000, 200, 9, 0}, {5000, 100, 200, 1, 100}, {mostMillis, mostMillis, 1_000_000, 1 << 30, mostMillis},
		{mostMillis - 1, mostMillis, 1_000_000, 2, mostMillis}, {10, mostMillis, 100, 1 << 30, 10}, {3, 10, 150, 3, 6},
	} {
		j := &logv1.Job{Charged: c.charged, Limits: &logv1.Limits{BackoffFirstMs: &c.first, BackoffMostMs: &c.most, BackoffFactorPercent: &c.factor}}
		if got := m.backoff(j); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

// TestCopyJob: the shallow copy by hand has every field of the message.
func TestCopyJob(t *testing.T) {
	j := &logv1.Job{Id: 1, Kind: "k", Queue: "q", User: "u", Priority: 2, State: running, Payload: []byte("p"), PayloadIsJson: true, MemoryBytes: 3,
		Attempt: 4, Charged: 5, MaxAttempts: 6, EnqueuedMs: 7, DueMs: 8, StartedMs: 9, FinishedMs: 10, Fence: 11, Worker: "w", Lane: 12,
		Result: []byte("r"), Error: "e", Labels: []*logv1.Label{{Key: "a"}}, RetryOf: 13, RetriedAs: 14, Place: 15, Limits: &logv1.Limits{}, PlacedMs: 16,
		Progress: &logv1.Progress{Ppm: 1}, Coordinator: "c", FirstDueMs: 17, Schedule: "s", ScheduleId: 18, FireMs: 19,
		FireCause: logv1.FireCause_FIRE_CAUSE_TICK}
	fields := j.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !j.ProtoReflect().Has(fields.Get(i)) {
			t.Fatalf("the test does not set %s", fields.Get(i).Name())
		}
	}
	c := &logv1.Job{}
	if copyJob(c, j); !proto.Equal(c, j) {
		t.Fatalf("got %v, want %v", c, j)
	}
}

// TestIllegalMove: a move outside the table is a panic.
func TestIllegalMove(t *testing.T) {
	for from := none; from <= cancelled; from++ {
		for to := scheduled; to <= cancelled; to++ {
			legal := from == to
			for _, s := range moves[from] {
				legal = legal || s == to
			}
			panicked := func() (p bool) {
				defer func() { p = recover() != nil }()
				checkMove(&logv1.Job{}, from, to)
				return false
			}()
			if panicked == legal || isFinal(from) && from != to && legal {
				t.Errorf("%v to %v: legal %v, panicked %v", from, to, legal, panicked)
			}
		}
	}
}

// TestForgetUser: a user who was idle for 30 days is forgotten with its turns, not a millisecond earlier, also by a restored machine.
func TestForgetUser(t *testing.T) {
	m, index := New(), uint64(0)
	apply := func(wall int64, c ...*logv1.Command) Outcome {
		index++
		return m.Apply(index, &logv1.Batch{Rules: Rules, NowMs: wall, Commands: c})
	}
	fence := apply(1000,
		&logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: "w", Lanes: []*logv1.Lane{{Chain: []string{"*"}, Slots: 1}}}}},
		&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{{Kind: "k", User: "A"}}}}},
		&logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: 1}}}).Results[2].GetClaim().GetFence()
	apply(2000, &logv1.Command{Op: &logv1.Command_Finish{Finish: &logv1.Finish{Session: 1, Fence: fence,
		Outcome: &logv1.Finish_Success{Success: &logv1.Success{}}}}})
	for _, c := range []struct {
		wall  int64
		users int
	}{{2000 + idleLife - 1, 1}, {2000 + idleLife, 0}} {
		var buf bytes.Buffer
		if _, err := m.Snapshot().WriteTo(&buf); err != nil {
			t.Fatal(err)
		}
		var err error
		if m, err = Restore(&buf); err != nil {
			t.Fatal(err)
		}
		apply(c.wall)
		if m.users.Len() != c.users || m.turns.Len() != c.users {
			t.Fatalf("at %d: %d users, %d turns", c.wall, m.users.Len(), m.turns.Len())
		}
	}
}
