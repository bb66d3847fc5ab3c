package demo

import (
	"slices"
	"time"
)

// LaneKey names a lane of a worker process.
type LaneKey struct {
	Worker string
	Lane   int
}

// Claim is a job that came to a worker, as far as the turn between users is concerned.
type Claim struct {
	Fence       uint64
	User, Queue string
}

// Tally is what the workers reported, added up. It is not safe for use by several goroutines.
type Tally struct {
	Claims []Claim         // in the order in which the reports came
	Most   map[LaneKey]int // largest number of running handlers
	starts map[uint64]int  // job -> handlers begun
	ends   map[uint64]int  // job -> handlers ended
	times  []int64         // of the begins, Unix microseconds
	last   int64           // of the ends
}

// NewTally is empty.
func NewTally() *Tally {
	return &Tally{Most: map[LaneKey]int{}, starts: map[uint64]int{}, ends: map[uint64]int{}}
}

// Add counts one report.
func (t *Tally) Add(r Report) {
	switch r.What {
	case Began:
		t.starts[r.Job]++
		t.times = append(t.times, r.AtMicros)
		t.Claims = append(t.Claims, Claim{r.Fence, r.User, r.Queue})
		lane := LaneKey{r.Worker, r.Lane}
		t.Most[lane] = max(t.Most[lane], r.Running)
	case Finished:
		t.ends[r.Job]++
		t.last = max(t.last, r.AtMicros)
	}
}

// Done is the number of different jobs whose outcome was accepted.
func (t *Tally) Done() int { return len(t.ends) }

// FinishedTwice is the number of jobs of which more than one outcome was accepted.
func (t *Tally) FinishedTwice() int { return moreThanOnce(t.ends) }

// RunTwice is the number of jobs that a handler began more than once.
func (t *Tally) RunTwice() int { return moreThanOnce(t.starts) }

func moreThanOnce(count map[uint64]int) int {
	n := 0
	for _, c := range count {
		if c > 1 {
			n++
		}
	}
	return n
}

// HighestFence seen so far; 0: none.
func (t *Tally) HighestFence() uint64 {
	highest := uint64(0)
	for _, c := range t.Claims {
		highest = max(highest, c.Fence)
	}
	return highest
}

// Took is the time from the first begin to the last accepted outcome.
func (t *Tally) Took() time.Duration {
	if len(t.times) == 0 {
		return 0
	}
	return time.Duration(t.last-slices.Min(t.times)) * time.Microsecond
}

// ClaimAfter reports whether a handler began later than the instant (Unix microseconds).
func (t *Tally) ClaimAfter(micros int64) bool {
	// The newest reports are at the end, but those of two workers may have crossed.
	tail := t.times[max(0, len(t.times)-64):]
	return slices.ContainsFunc(tail, func(at int64) bool { return at > micros })
}

// Failover is how long after a kill (Unix microseconds) the first claim came that a new leader can have given: the end
// of the longest silence that began in the time after the kill and before `until`. Answers that the dead leader had sent
// still arrive after the kill, so the very next claim would flatter.
func (t *Tally) Failover(killed, until int64) (time.Duration, bool) {
	times := slices.Sorted(slices.Values(t.times))
	from, _ := slices.BinarySearch(times, killed)
	before, longest, end := killed, int64(0), int64(0)
	for _, at := range times[from:] {
		if before >= until {
			break
		}
		if at-before > longest {
			longest, end = at-before, at
		}
		before = at
	}
	return time.Duration(end-killed) * time.Microsecond, end != 0
}
