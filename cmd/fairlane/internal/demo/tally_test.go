package demo

import (
	"testing"
	"time"
)

func began(worker string, lane int, job, fence uint64, running int, at int64) Report {
	return Report{What: Began, Worker: worker, Lane: lane, Job: job, Fence: fence, Running: running, AtMicros: at}
}

func TestTally(t *testing.T) {
	y := NewTally()
	y.Add(began("w1", 1, 1, 11, 1, 1000))
	y.Add(Report{What: Ended, Worker: "w1", Lane: 1, Job: 1, AtMicros: 1001})
	y.Add(began("w1", 1, 2, 12, 2, 2000))
	y.Add(began("w2", 1, 3, 13, 1, 1500))
	y.Add(Report{What: Finished, Worker: "w1", Lane: 1, Job: 1, Fence: 11, AtMicros: 3000})
	y.Add(began("w2", 0, 1, 14, 1, 3500)) // job 1 again
	y.Add(Report{What: Finished, Worker: "w2", Lane: 0, Job: 1, Fence: 14, AtMicros: 4000})
	if y.Done() != 1 || y.RunTwice() != 1 || y.FinishedTwice() != 1 || y.HighestFence() != 14 {
		t.Errorf("done %d, twice %d, highest %d", y.Done(), y.RunTwice(), y.HighestFence())
	}
	if m := y.Most[LaneKey{"w1", 1}]; m != 2 {
		t.Errorf("most in w1 lane 1: %d", m)
	}
	if d := y.Took(); d != 3*time.Millisecond {
		t.Errorf("took %v", d)
	}
	if !y.ClaimAfter(3499) || y.ClaimAfter(3500) {
		t.Error("ClaimAfter is strictly after")
	}
}

// TestFailover: claims every millisecond; a kill at 100 ms whose last words come until 103 ms; a new leader at 900 ms.
func TestFailover(t *testing.T) {
	y := NewTally()
	for ms := int64(0); ms <= 103; ms++ {
		y.Add(began("w", 0, uint64(ms), uint64(ms), 1, ms*1000))
	}
	for ms := int64(2000); ms >= 900; ms-- { // reports of two workers may cross
		y.Add(began("w", 0, uint64(ms), uint64(ms), 1, ms*1000))
	}
	if d, ok := y.Failover(100_000, 950_000); !ok || d != 800*time.Millisecond {
		t.Errorf("got %v, %v, want 800 ms", d, ok)
	}
	if _, ok := y.Failover(2_000_000, 2_100_000); ok {
		t.Error("a failover without a claim after it")
	}
}
