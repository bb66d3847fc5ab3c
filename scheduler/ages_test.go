package scheduler

import "testing"

// TestAgesAreBounded: one old job waits on while thousands come and go, in new places and in old ones.
func TestAgesAreBounded(t *testing.T) {
	for _, late := range []bool{false, true} {
		b := NewBoard(facts{}, RoundRobin)
		b.Add(Job{ID: 1, Queue: "a", Place: 1})
		b.Add(Job{ID: 2, Queue: "a", Place: 1_000_000})
		for id := JobID(10); id < 10_000; id++ {
			place := Place(2_000_000 + id)
			if late {
				place = Place(10 + id)
			}
			b.Add(Job{ID: id, Queue: "a", Place: place})
			b.Remove(id)
			if err := checkRoll(b); err != nil {
				t.Fatalf("late %v, job %d: %v", late, id, err)
			}
		}
		if a := &b.queues["a"].ages; cap(a.line)+cap(a.late) > 8*spareAges {
			t.Errorf("late %v: room for %d and %d jobs is kept", late, cap(a.line), cap(a.late))
		}
	}
}
