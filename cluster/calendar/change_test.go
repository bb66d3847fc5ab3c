package calendar

import (
	"errors"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// putSlowly is the anchor, the next time and what passed of an edit, from their definition: walk the grids time by time. next 0: none comes.
func putSlowly(t *testing.T, s *logv1.Schedule, old *logv1.ScheduleRecord, now int64) (anchor, next int64, passed []int64) {
	a := old.GetSchedule()
	sameGrid := a.Spec == s.Spec && a.Zone == s.Zone && a.StartMs == s.StartMs && a.EndMs == s.EndMs
	if sameGrid && a.JitterMs == s.JitterMs && a.Spread == s.Spread {
		return old.AnchorMs, old.NextMs, nil
	}
	former := mustParse(t, DefinitionOf(a, old.AnchorMs))
	for at := old.NextMs; at != 0 && at <= now; at, _ = former.Next(at) {
		passed = append(passed, at)
	}
	anchor = old.AnchorMs
	d := DefinitionOf(s, now)
	g := mustParse(t, d)
	switch {
	case sameGrid:
		g = mustParse(t, DefinitionOf(s, anchor))
	case g.periodMs > 0:
		anchor = g.anchorMs
	default:
		anchor = 0
	}
	for at, ok := g.Next(-1); ok; at, ok = g.Next(at) {
		if at > now && at > old.TakenMs {
			return anchor, at, passed
		}
		if skip := min(now, old.TakenMs) - 1; at < skip { // not through half a century
			at = skip
		}
	}
	return anchor, 0, passed
}

// TestPutOverAnother compares edits with the slow reading, and with what the machine takes.
func TestPutOverAnother(t *testing.T) {
	r := seeded(t)
	const around = 1_790_000_000_000
	seen := map[string]int{}
	for range 3000 {
		d := drawDefinition(r, around)
		old := &logv1.ScheduleRecord{Revision: 3, AnchorMs: d.AnchorMs, OffsetMs: r.Int64N(2) * r.Int64N(100_000),
			TakenMs: around - r.Int64N(1000), Schedule: &logv1.Schedule{Name: "s", Spec: d.Spec, Zone: d.Zone, StartMs: d.StartMs, EndMs: d.EndMs, JitterMs: 100_000}}
		former := mustParse(t, d)
		old.NextMs, _ = former.Next(old.TakenMs)
		now := around + r.Int64N(1+r.Int64N([]int64{1, 120_000, 10_000_000, 3_000_000_000}[r.IntN(4)]))
		if former.Between(old.NextMs, now).GetCount() > 5_000 {
			continue
		}
		s := drawEdit(r, old.Schedule, now)
		if _, err := Parse(DefinitionOf(s, now)); err != nil {
			continue
		}
		drawn := false
		got, _, err := Put(s, old, now, func(n int64) int64 { drawn = true; return n - 1 })
		anchor, next, passed := putSlowly(t, s, old, now)
		if never := (*NeverFiresError)(nil); errors.As(err, &never) {
			if next != 0 || old.NextMs == 0 && proto.Equal(s, old.Schedule) {
				t.Fatalf("%v over %v at %d: never fires, want %d", s, old, now, next)
			}
			seen["never"]++
			continue
		}
		n := len(passed)
		if err != nil || got.AnchorMs != anchor || got.NextMs != next || got.Passed.GetCount() != int64(n) {
			t.Fatalf("%v over %v at %d:\n got %v %v\nwant anchor %d, next %d, passed %v", s, old, now, got, err, anchor, next, passed)
		}
		if n > 0 && (got.Passed.FirstMs != old.NextMs || got.Passed.LastMs != passed[n-1] || next <= passed[n-1]) || next != 0 && next <= old.TakenMs {
			t.Fatalf("%v over %v at %d: the machine does not take %v", s, old, now, got)
		}
		if offset := s.Spec != d.Spec || s.Zone != d.Zone || s.JitterMs != 100_000; drawn != (offset && s.JitterMs > 0) || !offset && got.OffsetMs != old.OffsetMs {
			t.Fatalf("%v over %v at %d: offset %d, drawn %v", s, old, now, got.OffsetMs, drawn)
		}
		seen[s.Description]++
		if n > 0 {
			seen["passed"]++
		}
		if anchor == old.AnchorMs && anchor != 0 {
			seen["anchor kept"]++
		}
	}
	t.Log(seen)
	if len(seen) < 9 {
		t.Errorf("cases are missing: %v", seen)
	}
}

// drawEdit changes something; the description says what.
func drawEdit(r *rand.Rand, former *logv1.Schedule, now int64) *logv1.Schedule {
	s := proto.CloneOf(former)
	switch r.IntN(6) {
	case 0:
		other := drawDefinition(r, now)
		s.Description, s.Spec = "spec", other.Spec
	case 1:
		s.Description, s.Zone = "zone", []string{"UTC", "Europe/Berlin", "Asia/Kathmandu"}[r.IntN(3)]
	case 2:
		s.Description, s.StartMs = "start", now+r.Int64N(200_000_000)-100_000_000
	case 3:
		s.Description, s.EndMs = "end", now+r.Int64N(200_000_000)-10_000_000
	case 4:
		s.Description, s.JitterMs = "jitter", r.Int64N(2)*200_000
	default:
		s.Description = "words"
	}
	return s
}

// TestChangeOffTheGrid: a next time that is not on the grid, as after a change of zone data, passes and stays like any other. The machine takes a
// command only if what passed begins with it.
func TestChangeOffTheGrid(t *testing.T) {
	const hour, next = 3_600_000, 3_600_001
	old := &logv1.ScheduleRecord{Paused: true, Revision: 2, NextMs: next, TakenMs: 5, Schedule: &logv1.Schedule{Name: "s", Spec: "0 * * * *"}}
	for _, c := range []struct {
		now, count, last, next int64
	}{{next - 1, 0, 0, next}, {next, 1, next, 2 * hour}, {2*hour - 1, 1, next, 2 * hour}, {2 * hour, 2, 2 * hour, 3 * hour}, {5*hour + 7, 5, 5 * hour, 6 * hour}} {
		r, err := Resume(old, c.now)
		if err != nil || r.NextMs != c.next || !isPassed(r.Passed, next, c.last, c.count) {
			t.Errorf("resume at %d: %v %v, want %+v", c.now, r, err, c)
		}
		s := proto.CloneOf(old.Schedule)
		s.Spec = "30 * * * *"
		p, _, err := Put(s, old, c.now, nil)
		if err != nil || p.NextMs <= c.now || !isPassed(p.Passed, next, c.last, c.count) {
			t.Errorf("put at %d: %v %v, want %+v", c.now, p, err, c)
		}
	}
}

// isPassed: so many from first to last; nil: none.
func isPassed(p *logv1.Passed, first, last, count int64) bool {
	if count == 0 {
		return p == nil
	}
	return proto.Equal(p, &logv1.Passed{FirstMs: first, LastMs: last, Count: count})
}

// TestPutMends: a spec that this version cannot read any more is mended by a put, also while a time of it is due.
func TestPutMends(t *testing.T) {
	old := &logv1.ScheduleRecord{Revision: 2, NextMs: 100, Schedule: &logv1.Schedule{Name: "s", Spec: "@hourly", Zone: "Europe/Atlantis"}}
	s := proto.CloneOf(old.Schedule)
	s.Zone = "Europe/Berlin"
	p, _, err := Put(s, old, 200, nil)
	if err != nil || p.NextMs != 3_600_000 || !isPassed(p.Passed, 100, 100, 1) {
		t.Errorf("%v %v", p, err)
	}
	s.Zone, s.Description = old.Schedule.Zone, "words"
	var wrong *FieldError
	if _, _, err := Put(s, old, 200, nil); !errors.As(err, &wrong) || wrong.Field != "zone" {
		t.Errorf("other words: %v", err)
	}
	if p, grid, err := Put(old.Schedule, old, 200, nil); err != nil || grid != nil || p.NextMs != 100 {
		t.Errorf("the same again: %v %v", p, err)
	}
}
