package calendar

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// seeded is a source of random numbers; a failing run can be had again with the seed that it prints.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("CALENDAR_SEED"), 10, 64); err == nil {
		seed = s
	}
	fmt.Printf("%s: CALENDAR_SEED=%d\n", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// mustParse gives the grid of a definition.
func mustParse(t testing.TB, d Definition) *Grid {
	t.Helper()
	g, err := Parse(d)
	if err != nil {
		t.Fatalf("%+v: %v", d, err)
	}
	return g
}

// drawDefinition of any kind, around a time.
func drawDefinition(r *rand.Rand, aroundMs int64) Definition {
	d := Definition{Zone: zonesWithHabits[r.IntN(len(zonesWithHabits))]}
	switch r.IntN(8) {
	case 0:
		d.Spec = "@every " + fmt.Sprint(1000+r.IntN(1+r.IntN(100_000_000))) + "ms"
		d.AnchorMs = aroundMs - r.Int64N(1000_000_000)
	case 1:
		d.Spec = "@at " + time.UnixMilli(aroundMs+r.Int64N(1000_000_000)).UTC().Format(time.RFC3339Nano)
	default:
		d.Spec = drawSpec(r).text
	}
	if d.Spec[:2] != "@a" {
		if r.IntN(4) == 0 {
			d.StartMs = aroundMs + r.Int64N(10_000_000_000) - 5_000_000_000
		}
		if r.IntN(4) == 0 {
			d.EndMs = max(d.StartMs, aroundMs) + r.Int64N(40_000_000_000)
		}
	}
	return d
}

// walkGrid lists the times by Next alone, at most limit.
func walkGrid(g *Grid, from, to int64, limit int) (times []int64, more bool) {
	for t, ok := g.Next(from - 1); ok && t <= to; t, ok = g.Next(t) {
		if len(times) == limit {
			return times, true
		}
		times = append(times, t)
	}
	return times, false
}

// TestBetween: the quick count is that of a walk from time to time.
func TestBetween(t *testing.T) {
	r := seeded(t)
	const around = 1_790_000_000_000
	counted := int64(0)
	for range 1500 {
		d := drawDefinition(r, around)
		g := mustParse(t, d)
		from := around + r.Int64N(60_000_000_000) - 30_000_000_000
		to := from + r.Int64N(1+r.Int64N(40_000_000_000))
		times, more := walkGrid(g, from, to, 100_000)
		if more {
			continue
		}
		want := &logv1.Passed{Count: int64(len(times))}
		if len(times) > 0 {
			want.FirstMs, want.LastMs = times[0], times[len(times)-1]
		}
		got := g.Between(from, to)
		counted += got.GetCount()
		if got.String() != want.String() {
			t.Fatalf("%+v from %d to %d: %v, want %v", d, from, to, got, want)
		}
		for _, n := range []int{0, 1, 3, 1000} {
			if got := g.tail(from, to, n); !slices.Equal(got, times[max(0, len(times)-n):]) {
				t.Fatalf("%+v from %d to %d: the last %d are %v of %d, want %v", d, from, to, n, len(got), len(times), times[max(0, len(times)-n):])
			}
			got, more := g.Times(from, to, n)
			if !slices.Equal(got, times[:min(n, len(times))]) || more != (n < len(times)) {
				t.Fatalf("%+v from %d to %d: first %d: %v %v", d, from, to, n, got, more)
			}
		}
	}
	t.Logf("%d times counted", counted)
}

// TestBetweenStops: at a million of cron, with the newest all the same, and soon; an interval is counted whole.
func TestBetweenStops(t *testing.T) {
	began := time.Now()
	for _, spec := range []string{"* * * * *", "* 0-23 * * *"} {
		for _, zone := range []string{"", "Europe/Berlin"} {
			g := mustParse(t, Definition{Spec: spec, Zone: zone})
			p := g.Between(60_000, 60_000*1_000_000)
			if want := int64(1_000_000); zone == "" && (p.GetCount() != want || p.GetMore()) {
				t.Errorf("%s %s: %v, want exactly a million", spec, zone, p)
			}
			if p = g.Between(0, 60_000*1_000_000); zone == "" && (p.GetCount() != 1_000_000 || !p.GetMore() || p.GetLastMs() != 60_000*1_000_000) {
				t.Errorf("%s %s: %v, want a million and more", spec, zone, p)
			}
			if p = g.Between(0, maxMs-1); p.GetCount() != 1_000_000 || !p.GetMore() || p.GetLastMs() != maxMs/60_000*60_000 {
				t.Errorf("%s %s: %v", spec, zone, p)
			}
		}
	}
	g := mustParse(t, Definition{Spec: "@every 1s", StartMs: 1})
	if p := g.Between(0, maxMs-1); p.GetCount() != (maxMs-1)/1000+1 || p.GetMore() || p.GetLastMs() != (maxMs-1)/1000*1000+1 {
		t.Errorf("interval: %v", p)
	}
	g = mustParse(t, Definition{Spec: "0 0 29 2 *", Zone: "Europe/Berlin"})
	if p := g.Between(0, 32_503_680_000_000); p.GetCount() != 250 || p.GetMore() { // to the year 3000
		t.Errorf("leap days: %v", p)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}
