package calendar

import (
	"strings"
	"testing"
	"time"
)

// TestLeapDaysOfWeekdays: 29 February on a Saturday or Sunday (*/6) and the like comes after up to 40 years; every one of 800 years is found.
func TestLeapDaysOfWeekdays(t *testing.T) {
	longest := 0
	for step := 2; step <= 6; step++ {
		g := mustParse(t, Definition{Spec: "0 0 29 2 */" + string(rune('0'+step))})
		at, before := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), 2000
		for year := 2000; year < 2800; year++ {
			day := time.Date(year, 2, 29, 0, 0, 0, 0, time.UTC)
			if day.Month() != time.February || int(day.Weekday())%step != 0 {
				continue
			}
			next, ok := g.Next(at)
			if !ok || next != day.UnixMilli() {
				t.Fatalf("*/%d after %s: %s, want %s", step, g.Local(at), g.Local(next), day)
			}
			longest = max(longest, year-before)
			at, before = next, year
		}
	}
	if longest < 28 {
		t.Errorf("the longest gap was %d years; longer ones are what is tested", longest)
	}
}

// TestExactlyOnTheEdge: bounds are inclusive, and now counts where it should.
func TestExactlyOnTheEdge(t *testing.T) {
	const minute = int64(1_790_000_040_000)
	for _, c := range []struct {
		name      string
		d         Definition
		now, next int64
	}{
		{"cron, start now, on the grid", Definition{Spec: "* * * * *", StartMs: minute}, minute, minute},
		{"cron, start and end are one tick", Definition{Spec: "* * * * *", StartMs: minute, EndMs: minute}, minute - 1, minute},
		{"cron, start and end beside the grid", Definition{Spec: "* * * * *", StartMs: minute + 1, EndMs: minute + 1}, minute, 0},
		{"interval, start and end are one tick", Definition{Spec: "@every 1h", StartMs: minute, EndMs: minute}, minute - 1, minute},
		{"once, now", Definition{Spec: "@at 2026-09-21T14:14:00Z"}, minute, minute},
		{"once, start and end", Definition{Spec: "@at 2026-09-21T14:14:00Z", StartMs: minute, EndMs: minute}, minute, minute},
		{"longest period that can come", Definition{Spec: "@every 9007199254740990ms"}, 1, maxMs - 1},
		{"a millisecond more", Definition{Spec: "@every 9007199254740991ms"}, 1, 0},
		{"start at the end of time", Definition{Spec: "* * * * *", StartMs: maxMs - 1}, minute, 0},
		{"interval from the end of time", Definition{Spec: "@every 1s", StartMs: maxMs - 1}, minute, maxMs - 1},
		{"256 bytes", Definition{Spec: strings.Repeat("1,", 123) + "01 * * * *"}, minute, 1_790_002_860_000},
	} {
		if _, next, err := Anchor(c.d, c.now); err != nil || next != c.next {
			t.Errorf("%s: next %d %v, want %d", c.name, next, err, c.next)
		}
	}
	for _, c := range []struct {
		d    Definition
		want string
	}{
		{Definition{Spec: "@at 2026-09-21T14:14:00Z", StartMs: minute + 1}, "not before the start"},
		{Definition{Spec: "@at 1970-01-01T00:00:00Z"}, "after 1970"},
		{Definition{Spec: strings.Repeat("1,", 123) + "001 * * * *"}, "this has 257"},
	} {
		if _, err := Parse(c.d); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.d, err, c.want)
		}
	}
	g := mustParse(t, Definition{Spec: "@every 1s", Zone: "Europe/Berlin"})
	for ms, want := range map[int64]string{0: "1970-01-01T01:00:00+01:00", 1: "1970-01-01T01:00:00.001+01:00", minute + 500: "2026-09-21T16:14:00.500+02:00"} {
		if got := g.Local(ms); got != want {
			t.Errorf("%d is %s, want %s", ms, got, want)
		}
	}
}
