package calendar

import (
	"testing"
	"time"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"google.golang.org/protobuf/proto"
)

// planSlowly is Plan from its definition: list every time that is due, then choose. endless has no end.
func planSlowly(s *logv1.ScheduleRecord, g, endless *Grid, now int64) *logv1.Due {
	if s.GetPaused() || s.GetNextMs() == 0 {
		return nil
	}
	var due []int64
	if s.GetNextMs()+s.GetOffsetMs() <= now {
		due = append(due, s.GetNextMs())
	}
	next := int64(0)
	for t, ok := g.Next(s.GetNextMs()); ok && len(due) > 0; t, ok = g.Next(t) {
		if t+s.GetOffsetMs() > now {
			next = t
			break
		}
		due = append(due, t)
	}
	n := len(due)
	if n == 0 {
		return nil
	}
	d := &logv1.Due{
		Schedule: s.GetId(), Revision: s.GetRevision(), FirstMs: due[0], LastMs: due[n-1], Count: int64(n), NextMs: next,
	}
	if t, ok := endless.Next(due[n-1]); ok {
		d.PeriodMs = t - due[n-1]
	}
	late := func(i int) bool { // past its grace
		grace := max(60_000, d.PeriodMs)
		if i < n-1 {
			grace = max(60_000, due[i+1]-due[i])
		}
		if s.GetSchedule().MisfireGraceMs != nil {
			grace = s.GetSchedule().GetMisfireGraceMs()
		}
		return grace >= 0 && now-(due[i]+s.GetOffsetMs()) > grace
	}
	switch c := s.GetSchedule().GetCatchUp(); {
	case n == 1 || c == logv1.CatchUp_CATCH_UP_SKIP:
	case c == logv1.CatchUp_CATCH_UP_ALL:
		i := n
		for i > 0 && n-i < 1000 && !late(i-1) {
			i--
		}
		d.TimesMs = due[max(0, i-1):]
	default:
		d.TimesMs = due[n-2 : n-1]
	}
	return d
}

// TestPlan compares with the slow reading.
func TestPlan(t *testing.T) {
	r := seeded(t)
	const around = 1_790_000_000_000
	seen := map[string]int{}
	for range 3000 {
		d := drawDefinition(r, around)
		g := mustParse(t, d)
		next, ok := g.Next(around)
		if !ok {
			continue
		}
		s := &logv1.ScheduleRecord{
			Id: 7, Revision: 3, NextMs: next, OffsetMs: r.Int64N(2) * r.Int64N(100_000), Paused: r.IntN(20) == 0,
			Schedule: &logv1.Schedule{CatchUp: logv1.CatchUp(r.IntN(4))},
		}
		switch r.IntN(4) {
		case 0:
			s.Schedule.MisfireGraceMs = proto.Int64(-1)
		case 1:
			s.Schedule.MisfireGraceMs = proto.Int64(1 + r.Int64N(1+r.Int64N(100_000_000)))
		}
		now := next + s.OffsetMs + r.Int64N(1+r.Int64N([]int64{1, 120_000, 10_000_000, 3_000_000_000}[r.IntN(4)])) - 2*r.Int64N(2)
		if p := g.Between(next, now); p.GetCount() > 50_000 {
			continue
		}
		d.EndMs = 0
		got, want := Plan(s, g, now), planSlowly(s, g, mustParse(t, d), now)
		if !proto.Equal(got, want) {
			t.Fatalf("%+v %v at %d:\n got %v\nwant %v", d, s, now, got, want)
		}
		switch n := int64(len(want.GetTimesMs())); {
		case want == nil:
			seen["nothing"]++
		case want.GetCount() == 1:
			seen["one"]++
		case n == want.GetCount():
			seen["all of them"]++
		case n == 1001:
			seen["more than can be caught up"]++
		case n > 1:
			seen["some too late"]++
		case n == 1 && s.Schedule.GetCatchUp() == logv1.CatchUp_CATCH_UP_ALL:
			seen["all too late"]++
		default:
			seen["skip or latest"]++
		}
	}
	t.Log(seen)
	if len(seen) < 6 { // more than can be caught up comes seldom, and below
		t.Errorf("cases are missing: %v", seen)
	}
}

// TestPlanOffTheGrid: a next time that is not on the grid, as after a change of zone data, is due all the same.
func TestPlanOffTheGrid(t *testing.T) {
	g := mustParse(t, Definition{Spec: "0 * * * *"})
	s := &logv1.ScheduleRecord{NextMs: 3_600_001, Schedule: &logv1.Schedule{CatchUp: logv1.CatchUp_CATCH_UP_LATEST}}
	got := Plan(s, g, 7_200_000)
	want := &logv1.Due{FirstMs: 3_600_001, LastMs: 7_200_000, Count: 2, TimesMs: []int64{3_600_001}, NextMs: 10_800_000, PeriodMs: 3_600_000}
	if !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestPlanGrace: exactly at the grace is in time, 1 ms later is not; without one it is a minute, or a longer period.
func TestPlanGrace(t *testing.T) {
	for _, c := range []struct {
		spec           string
		grace          *int64
		due, later, in int64 // due at 1,000,000; now is so much later; so many are inside
	}{
		{"@every 1s", nil, 61, 60_000, 61},
		{"@every 1s", nil, 62, 61_001, 60},
		{"@every 1s", proto.Int64(30_000), 61, 60_000, 31},
		{"@every 1s", proto.Int64(29_999), 61, 60_000, 30},
		{"@every 100s", nil, 4, 399_999, 1},
		{"@every 100s", nil, 4, 400_000 - 100_000, 2},
	} {
		g := mustParse(t, Definition{Spec: c.spec, StartMs: 1_000_000})
		s := &logv1.ScheduleRecord{
			NextMs: 1_000_000, OffsetMs: 500, Schedule: &logv1.Schedule{CatchUp: logv1.CatchUp_CATCH_UP_ALL, MisfireGraceMs: c.grace},
		}
		d := Plan(s, g, 1_000_500+c.later)
		in := int64(len(d.GetTimesMs()))
		if in < d.GetCount() {
			in-- // the newest of those that are too late
		}
		if d.GetCount() != c.due || in != c.in {
			t.Errorf("%+v: %d due, %d inside: %v", c, d.GetCount(), in, d)
		}
	}
}

// TestPlanOfAHugeGap: sixty years of minutes are planned at once, with the newest thousand.
func TestPlanOfAHugeGap(t *testing.T) {
	g := mustParse(t, Definition{Spec: "* 0-23 * * *", Zone: "Europe/Berlin"})
	s := &logv1.ScheduleRecord{
		NextMs: 60_000, Schedule: &logv1.Schedule{CatchUp: logv1.CatchUp_CATCH_UP_ALL, MisfireGraceMs: proto.Int64(-1)},
	}
	began := time.Now()
	const now = 1_893_456_000_000
	d := Plan(s, g, now)
	if d.GetCount() != 1_000_001 || !d.GetMore() || d.GetLastMs() != now || len(d.GetTimesMs()) != 1001 || d.GetTimesMs()[0] != now-1000*60_000 {
		t.Errorf("got count %d more %v last %d, %d times", d.GetCount(), d.GetMore(), d.GetLastMs(), len(d.GetTimesMs()))
	}
	t.Logf("planned in %v", time.Since(began))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// BenchmarkPlan of one tick, and of a long gap.
func BenchmarkPlan(b *testing.B) {
	for _, c := range []struct {
		name    string
		catchUp logv1.CatchUp
		gap     int64
	}{
		{"one", 0, 0},
		{"latest/day", logv1.CatchUp_CATCH_UP_LATEST, 86_400_000},
		{"all/day", logv1.CatchUp_CATCH_UP_ALL, 86_400_000},
		{"all/ten_years", logv1.CatchUp_CATCH_UP_ALL, 315_360_000_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := mustParse(b, Definition{Spec: "* * * * *", Zone: "Europe/Berlin"})
			s := &logv1.ScheduleRecord{NextMs: 1_790_000_040_000, Schedule: &logv1.Schedule{CatchUp: c.catchUp, MisfireGraceMs: proto.Int64(-1)}}
			for b.Loop() {
				if Plan(s, g, s.NextMs+c.gap) == nil {
					b.Fatal("nothing is due")
				}
			}
		})
	}
}
