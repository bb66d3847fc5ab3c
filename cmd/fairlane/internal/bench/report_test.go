package bench

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// TestPercentiles: of 1 to 1,000 ms, within the three digits that a histogram keeps.
func TestPercentiles(t *testing.T) {
	h := newHistogram()
	if h.percentiles() != nil {
		t.Error("percentiles of nothing")
	}
	for i := int64(1); i <= 1000; i++ {
		h.add(i * ms)
	}
	p := h.percentiles()
	for name, c := range map[string][2]float64{
		"p50": {p.P50, 500}, "p90": {p.P90, 900}, "p99": {p.P99, 990}, "p99.9": {p.P999, 999}, "max": {p.Max, 1000},
	} {
		if off := c[0]/c[1] - 1; off < -0.001 || off > 0.002 {
			t.Errorf("%s: %v, want %v", name, c[0], c[1])
		}
	}
	h.add(-5)
	h.add(int64(3 * longest))
	if got := h.percentiles().Max; got < float64(longest.Milliseconds())*0.999 {
		t.Errorf("the longest is %v ms", got)
	}
}

// TestClosed: a sample of a closed loop belongs to the window in which it ended; jobs are counted at one of their ends.
func TestClosed(t *testing.T) {
	l := newLedger(1)
	life(t, l, 80*ms, 90*ms, 95*ms, 100*ms)    // only its end is in the window
	life(t, l, 100*ms, 110*ms, 130*ms, 150*ms) // whole
	life(t, l, 190*ms, 199*ms, 200*ms, 210*ms) // only its enqueue
	l.record(1).asked.Store(125 * ms)
	s := closed(l, window{100 * ms, 200 * ms}, func(r *record) int64 { return r.finished.Load() })
	if s.jobs != 2 {
		t.Errorf("%d jobs, want 2", s.jobs)
	}
	for name, c := range map[string]struct {
		h        histogram
		n        int64
		longest  float64
		shortest float64
	}{"enqueue": {s.enqueue, 2, 10, 9}, "start": {s.start, 1, 30, 30}, "cycle": {s.cycle, 2, 50, 20}, "claim": {s.claim, 1, 5, 5}} {
		p := c.h.percentiles()
		if c.h.h.TotalCount() != c.n || int(p.Max) != int(c.longest) || int(float64(c.h.h.Min())/1000) != int(c.shortest) {
			t.Errorf("%s: %d samples up to %v ms, want %d from %v up to %v", name, c.h.h.TotalCount(), p.Max, c.n, c.shortest, c.longest)
		}
	}
}

// TestOpen: a sample of an open loop belongs to the window in which it was due, and what did not come to its end is as late as the run was
// long.
func TestOpen(t *testing.T) {
	l := newLedger(1)
	life(t, l, 99*ms, 101*ms, 102*ms, 103*ms)
	life(t, l, 100*ms, 110*ms, 300*ms, 400*ms)
	life(t, l, 199*ms, 0, 0, 0)
	s := open(l, window{100 * ms, 200 * ms}, 1199*ms)
	if s.due != 2 || s.jobs != 1 {
		t.Errorf("%d due, %d finished, want 2 and 1", s.due, s.jobs)
	}
	for name, h := range map[string]histogram{"enqueue": s.enqueue, "start": s.start, "cycle": s.cycle} {
		if p := h.percentiles(); h.h.TotalCount() != 2 || int(p.Max) != 1000 {
			t.Errorf("%s: %d samples up to %v ms, want 2 up to 1000", name, h.h.TotalCount(), p.Max)
		}
	}
}

// TestReport: the figures of a run that is made up, with its processor time and its log entries.
func TestReport(t *testing.T) {
	r := &run{o: Options{Mode: Cycle, Producers: 3, Workers: 2, Batch: 1, Payload: 256, Users: 1}, target: &target{}, ledger: newLedger(1)}
	for i := range int64(100) {
		life(t, r.ledger, i*10*ms+1, i*10*ms+2*ms, i*10*ms+3*ms, i*10*ms+4*ms)
	}
	sees := [2]view{
		{at: 250 * ms, index: 1000, cpu: 1.5, counted: true},
		{at: 750 * ms, index: 1080, cpu: 1.6, counted: true, rss: []int64{30, 31, 32}, store: "raft-wal", nodes: 3},
	}
	rep := r.report(sees, 2000*ms, r.ledger.account(true))
	if rep.Jobs != 50 || rep.JobsPerS != 100 || rep.Seconds != 0.5 || *rep.EntriesPerJob != 1.6 || *rep.ClusterCPU != 2 || len(rep.RSS) != 3 {
		t.Errorf("%+v, %v entries, %v s", rep, *rep.EntriesPerJob, *rep.ClusterCPU)
	}
	if rep.EnqueueMs == nil || rep.StartMs == nil || rep.CycleMs == nil || rep.ClaimMs != nil || rep.Rate != 0 || rep.rateError() != nil {
		t.Errorf("%+v", rep)
	}
	sees[1].counted = false
	if rep := r.report(sees, 2000*ms, Account{}); rep.ClusterCPU != nil {
		t.Error("a processor time that is not known")
	}
	r.o.Mode, r.o.Rate = Latency, 100
	if err := r.report(sees, 2000*ms, Account{}).rateError(); err != nil {
		t.Error(err)
	}
	for i := range int64(100) { // as many again, finished after the window
		life(t, r.ledger, i*10*ms+1, i*10*ms+2*ms, 2900*ms, 3000*ms)
	}
	var slow *RateError
	if err := r.report(sees, 3000*ms, Account{}).rateError(); !errors.As(err, &slow) || slow.Reached != 100 || !strings.Contains(err.Error(), "100 reached") {
		t.Errorf("%v", err)
	}
}

// TestPhasesWithoutLateJobs: where everything was slow before, the death lasts until the cluster acknowledges again.
func TestPhasesWithoutLateJobs(t *testing.T) {
	l := newLedger(1)
	for at := int64(0); at < 10_000*ms; at += 10 * ms {
		took := 900 * ms
		if at >= 4000*ms && at < 4500*ms {
			took = 5400*ms - at
		}
		life(t, l, at, at+took, at+took, at+took+ms)
	}
	got := phases(l, window{0, 10_000 * ms}, 4000*ms, 12_000*ms)
	if d := got[1]; d.From != 4 || d.Seconds != 1.4 || d.Jobs != 140 {
		t.Errorf("during: %+v", d)
	}
	if got[2].Seconds != 4.6 {
		t.Errorf("after: %+v", got[2])
	}
}

// TestPhases: the death lasts until the last late job before two calm seconds.
func TestPhases(t *testing.T) {
	l := newLedger(1)
	second := int64(time.Second)
	for at := int64(0); at < 12*second; at += 10 * ms {
		took := 2 * ms
		switch {
		case at >= 4*second && at < 5*second:
			took = 5*second + 3*ms - at // all wait for the new leader
		case at == 6500*ms, at == 9500*ms:
			took = 100 * ms // the second one comes after more than two calm seconds
		}
		life(t, l, at, at+took, at+took, at+took+ms)
	}
	got := phases(l, window{second, 12 * second}, 4*second, 13*second)
	if len(got) != 3 || got[0].From != 0 || got[0].Seconds != 3 || got[0].Jobs != 300 || got[0].StartMs.Max > 3 {
		t.Errorf("before: %+v", got[0])
	}
	if d := got[1]; d.From != 3 || d.Seconds != 2.5 || d.Jobs != 251 || d.StartMs.Max < 1000 {
		t.Errorf("during: %+v", d)
	}
	if a := got[2]; a.From != 5.5 || a.Seconds != 5.5 || a.Jobs != 549 || a.StartMs.Max < 99 || a.StartMs.Max > 101 {
		t.Errorf("after: %+v", a)
	}
}

// The unit of memory is the one that rss_mb says, and the peers are compared in.
func TestMegabytes(t *testing.T) {
	for bytes, want := range map[int64]int64{0: 0, 499_999: 0, 500_000: 1, 100 << 20: 105, 400_000_000: 400} {
		if got := megabytes(bytes); got != want {
			t.Errorf("%d bytes are %d MB, want %d", bytes, got, want)
		}
	}
}
