package main

import (
	"bytes"
	"math"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		rounds            []float64
		median, min, most float64
	}{
		{[]float64{7}, 7, 7, 7},
		{[]float64{9, 1}, 5, 1, 9},
		{[]float64{30, 10, 20}, 20, 10, 30},
		{[]float64{5, 1, 100, 2, 3}, 3, 1, 100},
		{[]float64{4, 1, 3, 2}, 2.5, 1, 4},
	} {
		s := summarize(c.rounds)
		if s.Median != c.median || s.Min != c.min || s.Max != c.most {
			t.Errorf("%v: %+v, want %g from %g to %g", c.rounds, s, c.median, c.min, c.most)
		}
	}
	rounds := []float64{3, 1, 2}
	if summarize(rounds); rounds[0] != 3 {
		t.Error("the rounds lost their order")
	}
}

func TestPercentile(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	for p, want := range map[float64]float64{0.001: 1, 0.5: 50, 0.99: 99, 0.991: 100, 1: 100} {
		if got := percentileMS(times, p); got != want {
			t.Errorf("p%g is %g ms, want %g", p*100, got, want)
		}
	}
	if got := percentileMS(times[:1], 0.5); got != 1 {
		t.Errorf("the median of one is %g ms, want 1", got)
	}
	if got := percentileMS(nil, 0.5); !math.IsNaN(got) {
		t.Errorf("the median of none is %g, want NaN", got)
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		value    float64
		decimals int
		want     string
	}{
		{0, 0, "0"}, {999.4, 0, "999"}, {1000, 0, "1,000"}, {1234567, 0, "1,234,567"}, {0.154, 2, "0.15"}, {12345.678, 1, "12,345.7"}, {-1234, 0, "-1,234"}, {-123, 0, "-123"},
	} {
		if got := number(c.value, c.decimals); got != c.want {
			t.Errorf("%g: %q, want %q", c.value, got, c.want)
		}
	}
}

func TestClaimSpread(t *testing.T) {
	f := make(figures)
	for _, v := range []float64{1.0, 9.0, 1.2} {
		f.add("a", claim10k, v)
	}
	f.add("a", claim200k, 1.0)
	f.derive()
	if len(f["a"][claimSpread]) != 0 {
		t.Fatal("a spread of two of the three figures")
	}
	f.add("a", claim1m, 1.5)
	f.derive()
	if got := f["a"][claimSpread]; len(got) != 1 || got[0] != 1.5 {
		t.Errorf("spread %v, want 1.5: of the medians", got)
	}
}

const wantTable = `Machine: 2 CPUs, Linux 6, go1.26; 4 KiB appended and fsynced in 0.30 ms (p50).

Medians of 3 rounds of 2s each, least and most in brackets. All systems took turns on this machine, load included.

| what | Fairlane raft-wal | Fairlane raft-boltdb | Other | aim | met |
|---|---|---|---|---|---|
| jobs/s, 1 producer + 1 worker | 1,100 (900-1,300) | 850 | 500 | >= 1,200 (raft-boltdb 850) | raft-wal no, raft-boltdb yes |
| enqueue to start at 200 jobs/s, p50, ms | 0.90 | - | 3.00 | <= 1.00 | raft-wal yes |
| claim p50 with 10,000 waiting, ms | 0.50 | - | - | - | - |
| memory of all servers, 200,000 waiting, MB | - | - | 234 | <= 400 | - |

What the machine gave in the same run:

| what | raw raft, raft-wal |
|---|---|
| raw raft, commands/s, 1 caller | 2,000 |

- Fairlane raft-wal: v1
- Fairlane raft-boltdb: v1
- Other: v2
- raw raft, raft-wal: v3
- A note.
`

func TestTable(t *testing.T) {
	f := make(figures)
	for _, v := range []float64{1300, 900, 1100} {
		f.add(fairlaneWAL, jobs1, v)
	}
	f.add(fairlaneBolt, jobs1, 850)
	f.add("Other", jobs1, 500)
	f.add(fairlaneWAL, startP50, 0.9)
	f.add("Other", startP50, 3.0)
	f.add(fairlaneWAL, claim10k, 0.5)
	f.add("Other", memory200k, 234)
	f.add(raftWALName, raft1, 2000)
	r := &report{
		Machine: machine{CPUs: 2, Kernel: "Linux 6", Go: "go1.26", FsyncMS: 0.3}, Rounds: 3, Seconds: 2, figures: f, Notes: []string{"A note."},
		Systems: []system{
			{name: fairlaneWAL, version: "v1"}, {name: fairlaneBolt, version: "v1"}, {name: "Other", version: "v2"}, {name: raftWALName, version: "v3", reference: true},
		},
	}
	var got bytes.Buffer
	if err := r.writeMarkdown(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != wantTable {
		t.Errorf("got\n%s\nwant\n%s", &got, wantTable)
	}
}
