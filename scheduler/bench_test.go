package scheduler

import (
	"fmt"
	"runtime"
	"testing"
)

// flatTurns keeps turns by the number of the user, so that the benchmark
// measures the board rather than a map of turns.
type flatTurns struct {
	numbers map[string]int
	lines   map[string][]Fence
}

func (f *flatTurns) Turn(line, user string) Fence {
	if turns := f.lines[line]; turns != nil {
		return turns[f.numbers[user]]
	}
	return 0
}

// BenchmarkClaim is one claim in a board that stays as full as it is: Next,
// Remove, Served, and Add of another job of the same user.
func BenchmarkClaim(b *testing.B) {
	for _, line := range []string{"default", Any} {
		for _, jobs := range []int{1_000, 100_000, 1_000_000} {
			for _, users := range []int{1, 1_000, 100_000} {
				if users <= jobs {
					b.Run(fmt.Sprintf("line=%s/jobs=%d/users=%d", line, jobs, users), func(b *testing.B) { benchClaim(b, line, jobs, users, 0) })
				}
			}
		}
		b.Run(fmt.Sprintf("line=%s/jobs=100000/users=1000/excluded=100", line), func(b *testing.B) { benchClaim(b, line, 100_000, 1_000, 100) })
	}
}

func benchClaim(b *testing.B, line string, jobs, users, excluded int) {
	turns := &flatTurns{numbers: make(map[string]int, users), lines: map[string][]Fence{line: make([]Fence, users)}}
	names := make([]string, users)
	for i := range names {
		names[i] = fmt.Sprintf("user%06d", i)
		turns.numbers[names[i]] = i
	}
	board := NewBoard(turns, RoundRobin)
	id := JobID(0)
	add := func(user string) {
		id++
		board.Add(Job{ID: id, Queue: "default", User: user, Place: Place(id)})
	}
	for i := range jobs {
		add(names[i%users])
	}
	offer := Offer{Chain: []string{line}}
	for i := range excluded {
		offer.Excluded = append(offer.Excluded, JobID(i+1))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		pick, ok := board.Next(offer)
		if !ok {
			b.Fatal("nothing waits")
		}
		board.Remove(pick.Job.ID)
		turns.lines[line][turns.numbers[pick.Job.User]] = Fence(i + 1)
		board.Served(line, pick.Job.User)
		add(pick.Job.User)
	}
}

// BenchmarkSequence is one claim of a coordinator's job that ends at once, with so many jobs of so many coordinators waiting: Next, Close,
// Remove, Open, and Add of another job of the same coordinator.
func BenchmarkSequence(b *testing.B) {
	for _, jobs := range []int{1_000, 100_000} {
		for _, coordinators := range []int{1, 1_000} {
			b.Run(fmt.Sprintf("jobs=%d/coordinators=%d", jobs, coordinators), func(b *testing.B) { benchSequence(b, jobs, coordinators) })
		}
	}
}

func benchSequence(b *testing.B, jobs, coordinators int) {
	board := NewBoard(facts{}, RoundRobin)
	for i := range jobs {
		board.Add(Job{ID: JobID(i), Queue: "default", User: "u", Place: Place(i), Coordinator: fmt.Sprint(i % coordinators), Due: int64(i)})
	}
	offer := Offer{Chain: []string{Any}}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		pick, ok := board.Next(offer)
		if !ok {
			b.Fatal("nothing waits")
		}
		j := pick.Job
		board.CloseCoordinator(j.Coordinator)
		board.Remove(j.ID)
		board.OpenCoordinator(j.Coordinator)
		j.ID, j.Place, j.Due = JobID(jobs+i), Place(jobs+i), int64(jobs+i)
		board.Add(j)
	}
}

// BenchmarkNext is the question alone.
func BenchmarkNext(b *testing.B) {
	board := NewBoard(facts{}, RoundRobin)
	for i := range 100_000 {
		board.Add(Job{ID: JobID(i), Queue: fmt.Sprintf("q%d", i%10), User: fmt.Sprintf("user%d", i%1000), Place: Place(i), Size: Size(i % 7)})
	}
	for name, offer := range map[string]Offer{
		"chain": {Chain: []string{"nothing", "q1", Any}},
		"star":  {Chain: []string{Any}, Limited: true, FreeBytes: 1 << 30},
		"user":  {Chain: []string{Any}, OnlyUser: true, User: "user500"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				board.Next(offer)
			}
		})
	}
}

// BenchmarkGates closes and opens with 100,000 waiting jobs.
func BenchmarkGates(b *testing.B) {
	board := NewBoard(facts{}, RoundRobin)
	for i := range 100_000 {
		board.Add(Job{ID: JobID(i), Queue: "q", User: fmt.Sprintf("user%d", i%1000), Place: Place(i)})
	}
	b.Run("queue", func(b *testing.B) {
		for range b.N {
			board.CloseQueue("q")
			board.OpenQueue("q")
		}
	})
	b.Run("user", func(b *testing.B) {
		for range b.N {
			board.CloseUser("user500")
			board.OpenUser("user500")
		}
	})
}

// BenchmarkEmptyBoard is a job that comes and goes alone: every record of it is made and dropped.
func BenchmarkEmptyBoard(b *testing.B) {
	board := NewBoard(facts{}, RoundRobin)
	offer := Offer{Chain: []string{Any}}
	b.ReportAllocs()
	for i := range b.N {
		board.Add(Job{ID: JobID(i), Queue: "q", User: "u", Place: Place(i)})
		pick, _ := board.Next(offer)
		board.Remove(pick.Job.ID)
	}
}

// BenchmarkAdd fills a board with 1,000,000 jobs of 1,000 users and shows the memory of one job.
func BenchmarkAdd(b *testing.B) {
	const jobs = 1_000_000
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("user%03d", i)
	}
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		board := NewBoard(facts{}, RoundRobin)
		for i := range jobs {
			board.Add(Job{ID: JobID(i), Queue: "default", User: names[i%len(names)], Place: Place(i)})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/jobs, "B/job")
		runtime.KeepAlive(board)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jobs, "ns/job")
}

// BenchmarkWake wakes, and then also unparks and parks again, with claims of
// several queues and of limited memory parked.
func BenchmarkWake(b *testing.B) {
	for _, parked := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("parked=%d", parked), func(b *testing.B) {
			w := NewWaiters()
			offers := []Offer{
				{Chain: []string{"manual", Any}},
				{Chain: []string{"manual", "bulk", "fast"}},
				{Chain: []string{"manual"}, Limited: true, FreeBytes: 1 << 30},
			}
			for i := range parked {
				w.Park(uint64(i), offers[i%len(offers)])
			}
			b.Run("wake", func(b *testing.B) {
				for range b.N {
					w.Wake("manual", "u", 3)
				}
			})
			b.Run("wake-unpark-park", func(b *testing.B) { benchRepark(b, w, offers, parked) })
		})
	}
}

func benchRepark(b *testing.B, w *Waiters, offers []Offer, parked int) {
	b.ReportAllocs()
	for range b.N {
		age, ok := w.Wake("manual", "u", 3)
		if !ok {
			b.Fatal("nobody waits")
		}
		w.Unpark(age)
		w.Park(age+uint64(parked), offers[age%3])
	}
}
