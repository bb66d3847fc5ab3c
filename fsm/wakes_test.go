package fsm_test

import (
	"fmt"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// parkable names a lane whose claim would find nothing.
type parkable struct {
	session uint64
	lane    uint32
}

// TestWakes checks what parked claims rest on. After every batch, for every lane of every live session: Peek says what the naive machine
// would do, and a lane that would find a job now has a reason to be woken. If it found nothing before the batch, a Ready that its offer takes, or
// Rescan; Freed is a reason only of a lane with a limit of memory, for a lane that had room took what its slots allow. If it was full, its own
// lane in Freed. Else a claim would stay parked while a job waits for it.
func TestWakes(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		h, m, n := newHistory(seed), fsm.New(), newNaive()
		parked := map[parkable]fsm.Peek{}
		for range *batches {
			b := h.batch()
			out := m.Apply(h.index, b)
			n.apply(h.index, b)
			h.observe(b, out)
			for _, r := range out.Ready {
				if !r.Any && !m.Stands(r.Queue, r.User, r.Size, false) {
					return fmt.Errorf("index %d: ready are %+v, but none stands", h.index, r)
				}
			}
			now := map[parkable]fsm.Peek{}
			for _, id := range sortedKeys(n.sessions) {
				s := n.sessions[id]
				if s.ended || !s.worker {
					continue
				}
				for lane := range s.lanes {
					p := parkable{id, uint32(lane)}
					if err := samePeek(m, n, p); err != nil {
						return fmt.Errorf("index %d: %w", h.index, err)
					}
					now[p] = m.Peek(fsm.SessionID(id), p.lane)
					before, known := parked[p]
					if known && before != fsm.PeekJob && now[p] == fsm.PeekJob && !wakes(m, out, p, before) {
						return fmt.Errorf("index %d: session %d lane %d: Peek said %v before, it would find a job now, and nothing wakes it: %+v %+v",
							h.index, id, lane, before, out.Ready, out.Freed)
					}
				}
			}
			parked = now
		}
		return nil
	})
}

func samePeek(m *fsm.Machine, n *naive, p parkable) error {
	want := fsm.PeekJob
	if empty, j, _ := n.choose(n.sessions[p.session], p.lane); j == nil {
		want = map[string]fsm.Peek{"nothing": fsm.PeekNothing, "at_capacity": fsm.PeekAtCapacity, "draining": fsm.PeekDraining}[empty]
	}
	if got := m.Peek(fsm.SessionID(p.session), p.lane); got != want {
		return fmt.Errorf("session %d lane %d: Peek says %v, the naive machine %v", p.session, p.lane, got, want)
	}
	return nil
}

func wakes(m *fsm.Machine, out fsm.Outcome, p parkable, before fsm.Peek) bool {
	offer, ok := m.Offer(fsm.SessionID(p.session), p.lane)
	for _, f := range out.Freed {
		if uint64(f.Session) == p.session && f.Lane == p.lane && (offer.Limited || before == fsm.PeekAtCapacity) {
			return true
		}
	}
	if before == fsm.PeekAtCapacity {
		return false
	}
	for _, r := range out.Ready {
		if ok && r.Count > 0 && (offer.Takes(r.Queue, r.User, r.Size) || r.Any && offer.Takes(r.Queue, offer.User, 0)) {
			return true
		}
	}
	return out.Rescan
}
