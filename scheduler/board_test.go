package scheduler

import (
	"fmt"
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
	if len(b.users) != 0 || b.jobs.jobs != 0 || len(b.jobs.pages) != 0 || b.WaitingIn("a") != 0 {
		t.Errorf("%d users and %d jobs are left", len(b.users), b.jobs.jobs)
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

// TestCoordinatorsAreForgotten: a coordinator is kept while jobs of it wait or it is closed.
func TestCoordinatorsAreForgotten(t *testing.T) {
	b := NewBoard(facts{}, RoundRobin)
	for i := range 100 {
		b.Add(Job{ID: JobID(i + 1), Queue: "a", Coordinator: string(rune('i' + i%2)), Due: int64(i % 7)})
	}
	mustPanic(t, func() { b.Add(Job{ID: 1, Queue: "a"}) })
	if b.DropQueue("a") {
		t.Error("a queue with jobs that are held back was dropped")
	}
	b.CloseCoordinator("i")
	b.CloseCoordinator("later")
	for i := range 100 {
		b.Remove(JobID(i + 1))
	}
	if len(b.coordinators) != 2 || len(b.sequenced) != 0 || b.roll.sequence.Len() != 0 || b.Waiting() != 0 {
		t.Errorf("%d coordinators and %d jobs are left", len(b.coordinators), b.Waiting())
	}
	b.OpenCoordinator("i")
	b.OpenCoordinator("later")
	b.OpenCoordinator("never")
	if len(b.coordinators) != 0 || b.roll.busy.Len() != 0 || !b.DropQueue("a") {
		t.Errorf("%d coordinators are left", len(b.coordinators))
	}
}

// TestHeapsShrink floods one heap of each kind and drains it in both directions;
// the order holds while the heaps give their memory back.
func TestHeapsShrink(t *testing.T) {
	const jobs = 4000
	b := NewBoard(facts{}, FIFO)
	for i := range jobs {
		b.Add(Job{ID: JobID(i), Queue: "one", User: "u", Place: Place(jobs - i)})
		b.Add(Job{ID: JobID(jobs + i), Queue: "many", User: fmt.Sprint(i), Place: Place(i)})
	}
	flood := cap(b.users["u"].parts[0].jobs.late.items)
	for i := range jobs - 10 {
		for _, queue := range []string{"one", "many"} {
			pick, ok := b.Next(Offer{Chain: []string{queue}})
			want := JobID(jobs - 1 - i)
			if queue == "many" {
				want = JobID(jobs + i)
			}
			if !ok || pick.Job.ID != want {
				t.Fatalf("%s: got %d %v, want %d", queue, pick.Job.ID, ok, want)
			}
			b.Remove(pick.Job.ID)
		}
		if i%100 == 0 {
			if err := checkBoard(b); err != nil {
				t.Fatalf("after %d: %v", i, err)
			}
		}
	}
	if left := cap(b.users["u"].parts[0].jobs.late.items); left > flood/8 {
		t.Errorf("a heap of 10 jobs keeps room for %d of %d", left, flood)
	}
}
