package cluster

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

var (
	stageSeed  = flag.Uint64("stage.seed", 0, "first seed of the histories of parked claims; 0: drawn")
	stageCount = flag.Int("stage.count", 200, "how many of them")
)

// checkParking compares what is kept of parked claims with what there is. The caller holds mu.
func (l *leadership) checkParking() error {
	var bad []error
	wrong := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	shelf, bound, claims := 0, 0, 0
	numbered := map[callID]int{}
	for session, lanes := range l.sessions {
		if len(lanes) == 0 {
			wrong("session %d is kept without lanes", session)
		}
		for number, lane := range lanes {
			claims += lane.claims.Len()
			first, _, any := lane.claims.Min()
			if lane.ref != (fsm.LaneRef{Session: session, Lane: number}) || !any || lane.rests != (lane.under == 0) || !lane.rests && lane.under != first {
				wrong("lane %+v is kept with %d claims from %d, lies under %d and rests: %v", lane.ref, lane.claims.Len(), first, lane.under, lane.rests)
			}
			if !lane.rests {
				shelf++
				if lane.offer.OnlyUser {
					bound++
				}
			}
			lane.claims.Scan(func(age uint64, p *pending) bool {
				if l.byAge[age] != p || p.where != isParked || p.age != age || p.lane() != lane.ref || p.first || p.wish.count > 0 {
					wrong("claim %d of %+v is not parked as it should be: %+v", age, lane.ref, p.claimSpot)
				}
				if id, ok := p.id(); ok {
					numbered[id]++
				}
				return true
			})
		}
	}
	for id, list := range l.numbered {
		if len(list) == 0 || len(list) != numbered[id] {
			wrong("of call %v %d are parked, counted %d", id, numbered[id], len(list))
		}
	}
	if claims != len(l.byAge) || shelf != l.waiters.Len() || bound != l.bound || len(numbered) != len(l.numbered) {
		wrong("%d parked, %d of lanes; %d lanes of %d in the index; %d bound, counted %d; %d calls, %d counted",
			len(l.byAge), claims, l.waiters.Len(), shelf, bound, l.bound, len(numbered), len(l.numbered))
	}
	return errors.Join(bad...)
}

// checkNoneLeft: while nothing is on its way, no parked claim would be answered by the machine, and each lane lies in the index where jobs for it
// are looked for. The caller holds mu.
func (l *leadership) checkNoneLeft(m *fsm.Machine) error {
	var bad []error
	for age, p := range l.byAge {
		lane := l.lane(p.lane())
		look := m.Peek(lane.ref.Session, lane.ref.Lane)
		if look != fsm.PeekNothing && look != fsm.PeekAtCapacity || hasAnswer(m, p) {
			bad = append(bad, fmt.Errorf("claim %d of %+v is parked, and Peek says %v", age, lane.ref, look))
		}
		if lane.rests && look != fsm.PeekAtCapacity {
			bad = append(bad, fmt.Errorf("claim %d of %+v rests, and its lane has room", age, lane.ref))
		}
		if offer, ok := m.Offer(lane.ref.Session, lane.ref.Lane); ok && lane.offer.FreeBytes < offer.FreeBytes {
			bad = append(bad, fmt.Errorf("claim %d of %+v lies under %d bytes and has %d", age, lane.ref, lane.offer.FreeBytes, offer.FreeBytes))
		}
	}
	return errors.Join(bad...)
}

// TestNoJobWaitsForAParkedClaim: in random histories, whenever the proposer has nothing to do, no parked claim would get a job or an answer, and what
// is counted of parked claims is what there is; and not many of them go through the log for a job.
func TestNoJobWaitsForAParkedClaim(t *testing.T) {
	first := *stageSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seeds %d to %d", first, first+uint64(*stageCount)-1)
	var woken, begun, most float64
	for seed := first; seed < first+uint64(*stageCount); seed++ {
		s := newStage(t, seed)
		err := s.play(150)
		if s.begun > 20 && !s.memory {
			woken, begun = woken+float64(s.woken), begun+float64(s.begun)
			most = max(most, float64(s.woken)/float64(s.begun))
		}
		s.close()
		if err != nil {
			last := s.trace[max(0, len(s.trace)-60):]
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(last, "\n"))
		}
	}
	t.Logf("%.2f claims went through the log for a job, at most %.2f in one history; %.0f jobs", woken/begun, most, begun)
	if begun > 1000 && woken > 1.5*begun {
		t.Error("too many claims went through the log in vain")
	}
}
