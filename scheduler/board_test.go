package scheduler

import (
	"math"
	"testing"
)

func mustPanic(t *testing.T, do func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("it did not panic")
		}
	}()
	do()
}

func TestSizeOf(t *testing.T) {
	for _, c := range []struct {
		need    uint64
		rounded uint64
	}{
		{0, 0}, {1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {1 << 20, 1 << 20}, {1<<20 + 1, 1 << 21},
		{1 << 62, 1 << 62}, {1<<62 + 1, 1 << 63}, {1 << 63, 1 << 63}, {math.MaxUint64, 1 << 63},
	} {
		if got := SizeOf(c.need).Bytes(); got != c.rounded {
			t.Errorf("%d is rounded to %d, want %d", c.need, got, c.rounded)
		}
	}
	for size := range MaxSize + 1 {
		if SizeOf(size.Bytes()) != size {
			t.Errorf("size %d has bytes of size %d", size, SizeOf(size.Bytes()))
		}
	}
}

func TestBrokenInvariantsPanic(t *testing.T) {
	b := NewBoard(facts{}, RoundRobin)
	b.Add(Job{ID: 1, Queue: "a"})
	mustPanic(t, func() { b.Add(Job{ID: 1, Queue: "b"}) })
	mustPanic(t, func() { b.Add(Job{ID: 2, Queue: Any}) })
	mustPanic(t, func() { b.Add(Job{ID: 3, Queue: "a", Size: MaxSize + 1}) })
	if b.Waiting() != 1 || b.Remove(2) {
		t.Error("a refused job was added")
	}
}

// TestNothingIsKept proves that a board that was flooded and drained keeps
// records of queues alone, and none of those that were dropped.
func TestNothingIsKept(t *testing.T) {
	b := NewBoard(facts{}, RoundRobin)
	for i := range 1000 {
		b.Add(Job{ID: JobID(i), Queue: "a", User: string(rune('A' + i%50)), Place: Place(i), Size: Size(i % 3)})
	}
	if b.DropQueue("a") {
		t.Error("a queue with waiting jobs was dropped")
	}
	b.CloseUser("A")
	for i := range 1000 {
		b.Remove(JobID(i))
	}
	b.OpenUser("A")
	if len(b.users) != 0 || len(b.jobs) != 0 || b.WaitingIn("a") != 0 {
		t.Errorf("%d users and %d jobs are left", len(b.users), len(b.jobs))
	}
	if !b.DropQueue("a") || !b.DropQueue("a") || len(b.queues) != 0 {
		t.Error("the queue was not dropped")
	}
	for size, parts := range b.sizes {
		if parts != 0 || len(b.star[size].items) != 0 {
			t.Errorf("size %d: %d parts are left", size, parts)
		}
	}
}
