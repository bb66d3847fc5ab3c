package fsm_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

var (
	histories = flag.Int("histories", 300, "random histories of every random test; the full form is 10,000")
	firstSeed = flag.Uint64("seed", 1, "first seed of the random tests")
	batches   = flag.Int("batches", 80, "batches of a random history")
)

// eachSeed runs one random history after another and names the seed of the first that fails.
func eachSeed(t *testing.T, run func(seed uint64) error) {
	t.Logf("seeds %d to %d, %d batches each", *firstSeed, *firstSeed+uint64(*histories)-1, *batches)
	for i := range uint64(*histories) {
		seed := *firstSeed + i
		if err := run(seed); err != nil {
			t.Fatalf("seed %d (go test ./fsm -run %s -seed %d -histories 1): %v", seed, t.Name(), seed, err)
		}
	}
}

// TestNaive compares the machine with the naive one: every answer of every command, and after every batch the state of every job.
func TestNaive(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		h, m, n := newHistory(seed), fsm.New(), newNaive()
		trail := []string{}
		for range *batches {
			b := h.batch()
			out := m.Apply(h.index, b)
			want := n.apply(h.index, b)
			for i, res := range out.Results {
				got := answerText(b.Commands[i], res)
				trail = append(trail, fmt.Sprintf("%d.%d %v\n\t-> %s", h.index, i, b.Commands[i], got))
				if got != want[i] {
					return fmt.Errorf("index %d place %d: %v\nmachine %s\nnaive   %s\n%s", h.index, i, b.Commands[i], got, want[i], tail(trail))
				}
			}
			if err := m.CheckInvariants(); err != nil {
				return fmt.Errorf("index %d: %w\n%s", h.index, err, tail(trail))
			}
			if err := sameJobs(m, n); err != nil {
				return fmt.Errorf("index %d (wall %d, lease %d): %w\n%s", h.index, n.wall, n.lease, err, tail(trail))
			}
			if err := sameFacts(m, n, h.index, out); err != nil {
				return fmt.Errorf("index %d, rules %d: %w\n%s", h.index, b.GetRules(), err, tail(trail))
			}
			if err := sameSchedules(m, n, out); err != nil {
				return fmt.Errorf("index %d (wall %d), rules %d: %w\n%s", h.index, n.wall, b.GetRules(), err, tail(trail))
			}
			if err := sameIdentity(m, n); err != nil {
				return fmt.Errorf("index %d, rules %d: %w\n%s", h.index, b.GetRules(), err, tail(trail))
			}
			h.observe(b, out)
		}
		return nil
	})
}

func tail(trail []string) (out string) {
	for _, line := range trail[max(0, len(trail)-60):] {
		out += line + "\n"
	}
	return out
}

func sameJobs(m *fsm.Machine, n *naive) error {
	for id := uint64(1); id <= n.nextJob+1; id++ {
		got, want := "none", "none"
		if j, ok := m.Job(fsm.JobID(id)); ok {
			got = fmt.Sprintf("%s attempt=%d prio=%d", stateText(j.GetState()), j.GetAttempt(), j.GetPriority())
		}
		if j := n.jobs[id]; j != nil {
			want = fmt.Sprintf("%s attempt=%d prio=%d", stateText(j.state), j.attempt, j.prio)
		}
		if got != want {
			return fmt.Errorf("job %d: machine %s, naive %s", id, got, want)
		}
	}
	return nil
}

// TestTwins feeds the same batches to a machine, a twin, and one that is restored from a snapshot at random points: their snapshots are
// byte-equal after every batch (docs/design.md §3 law 10), and the answers too.
func TestTwins(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		h, m, twin, half := newHistory(seed), fsm.New(), fsm.New(), fsm.New()
		h.extremes = true
		restart := 2 + h.below(10)
		for i := range *batches {
			if h.one(restart) {
				var err error
				if half, err = restored(half); err != nil {
					return fmt.Errorf("index %d: restore: %w", h.index, err)
				}
			}
			b := h.batch()
			out := m.Apply(h.index, b)
			for name, other := range map[string]*fsm.Machine{"twin": twin, "restored": half} {
				if err := sameOutcome(out, other.Apply(h.index, b)); err != nil {
					return fmt.Errorf("index %d: %s: %w", h.index, name, err)
				}
			}
			h.observe(b, out)
			if i%4 != 0 && i != *batches-1 {
				continue
			}
			if err := m.CheckInvariants(); err != nil {
				return fmt.Errorf("index %d: %w", h.index, err)
			}
			if err := half.CheckInvariants(); err != nil {
				return fmt.Errorf("index %d: restored: %w", h.index, err)
			}
			if d := digest(t, m); d != digest(t, twin) || d != digest(t, half) {
				return fmt.Errorf("index %d: digests differ: machine %x twin %x restored %x", h.index, d, digest(t, twin), digest(t, half))
			}
		}
		if string(snapshotBytes(t, m)) != string(snapshotBytes(t, half)) {
			return fmt.Errorf("index %d: equal digests, other bytes", h.index)
		}
		return nil
	})
}

func sameOutcome(a, b fsm.Outcome) error {
	if len(a.Results) != len(b.Results) {
		return fmt.Errorf("%d and %d answers", len(a.Results), len(b.Results))
	}
	for i := range a.Results {
		if string(wire(a.Results[i])) != string(wire(b.Results[i])) {
			return fmt.Errorf("place %d: %v and %v", i, a.Results[i], b.Results[i])
		}
	}
	a.Results, b.Results = nil, nil
	if x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b); x != y {
		return fmt.Errorf("%s and %s", x, y)
	}
	return nil
}

// runHistory applies the history of a seed to a new machine.
func runHistory(seed uint64, batches int) *fsm.Machine { return runHistoryOf(seed, fsm.Rules, batches) }

func runHistoryOf(seed uint64, rules uint32, batches int) *fsm.Machine {
	h, m := newHistoryOf(seed, rules), fsm.New()
	h.extremes = true
	for range batches {
		b := h.batch()
		h.observe(b, m.Apply(h.index, b))
	}
	return m
}
