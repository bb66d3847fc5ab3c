package scheduler

import (
	"math/rand/v2"
	"testing"
)

// TestWaitersTakeWhatOffersTake compares Wake with asking every parked offer
// (Offer.Takes), oldest first, over random histories.
func TestWaitersTakeWhatOffersTake(t *testing.T) {
	first, count := seeds(t)
	for i := range count {
		rng := rand.New(rand.NewPCG(first+uint64(i), 2))
		h := &history{rng: rng, queues: []string{"a", "b", "c"}, users: []string{"", "u", "v"}, model: &naive{}}
		w, parked := NewWaiters(), map[uint64]Offer{}
		for range 60 {
			age := rng.Uint64N(40)
			if o, there := parked[age]; there != w.Unpark(age) {
				t.Fatalf("seed %d: Unpark(%d) of %+v is not %v", first+uint64(i), age, o, there)
			}
			delete(parked, age)
			if rng.IntN(3) > 0 {
				parked[age] = h.offer()
				w.Park(age, parked[age])
			}
			queue, user, size := h.queue(), h.user(), Size(rng.IntN(8))
			var want uint64
			found := false
			for age, o := range parked {
				if o.Takes(queue, user, size) && (!found || age < want) {
					want, found = age, true
				}
			}
			if got, ok := w.Wake(queue, user, size); got != want || ok != found {
				t.Fatalf("seed %d: Wake(%s, %s, %d) = %d %v, want %d %v of %+v", first+uint64(i), queue, user, size, got, ok, want, found, parked)
			}
			if w.Len() != len(parked) {
				t.Fatalf("Len %d of %d", w.Len(), len(parked))
			}
		}
		for age := range parked {
			w.Unpark(age)
		}
		if len(w.shelves) != 0 || len(w.parked) != 0 {
			t.Fatalf("seed %d: %d shelves are left of nothing", first+uint64(i), len(w.shelves))
		}
	}
}

func TestParkTwicePanics(t *testing.T) {
	w := NewWaiters()
	w.Park(1, Offer{Chain: []string{"a"}})
	mustPanic(t, func() { w.Park(1, Offer{Chain: []string{"a"}}) })
}
