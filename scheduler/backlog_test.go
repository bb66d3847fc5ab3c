package scheduler

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestBacklog lets jobs come and go in many ways: mostly in order, some late, some from the middle, many from the middle; the best, the best but some,
// and the number are always those of a plain list.
func TestBacklog(t *testing.T) {
	moved := 0 // jobs that left the line for the heap
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var b backlog
		var model []*entry
		middle := rng.IntN(3) == 0 // else most leave in order
		for place := range Place(600) {
			if rng.IntN(5) > 0 || place < 100 {
				e := &entry{id: JobID(place), place: place}
				if rng.IntN(8) == 0 {
					e.priority, e.place = int32(rng.IntN(3)), Place(rng.IntN(int(place)+1))
				}
				b.push(e, rng.IntN(10) == 0)
				model = append(model, e)
			} else if len(model) > 0 {
				at := 0
				if middle || rng.IntN(10) == 0 {
					at = rng.IntN(len(model))
				}
				e, heap := model[at], len(b.late.items)
				model = slices.Delete(model, at, at+1)
				if b.remove(e); len(b.late.items) > heap {
					moved += len(b.late.items) - heap
				}
				if e.at != gone {
					t.Fatalf("a job that is gone is at %d", e.at)
				}
			}
			slices.SortFunc(model, func(x, y *entry) int {
				if x.ahead(y) {
					return -1
				}
				return 1
			})
			if err := checkBacklog("backlog", &b); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			skipped := map[*entry]bool{}
			for range rng.IntN(4) {
				if len(model) > 0 {
					skipped[model[rng.IntN(min(5, len(model)))]] = true
				}
			}
			skip := func(e *entry) bool { return skipped[e] }
			want := slices.DeleteFunc(slices.Clone(model), skip)
			got, found := b.bestExcept(skip)
			if b.len() != len(model) || found != (len(want) > 0) || found && got != want[0] || len(model) > 0 && b.best != model[0] {
				t.Fatalf("seed %d, place %d: %d jobs, want %d; best %v, but some %v %v", seed, place, b.len(), len(model), b.best, got, found)
			}
		}
	}
	if moved == 0 {
		t.Error("no line was given up")
	}
}
