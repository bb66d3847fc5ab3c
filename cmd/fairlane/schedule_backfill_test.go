package main

import (
	"strings"
	"testing"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestBackfillTimes without an offset are read by the clock in the zone of the schedule.
func TestBackfillTimes(t *testing.T) {
	for _, c := range []struct{ zone, from, to, first, last string }{
		{"Europe/Berlin", "2026-11-01", "2026-11-07", "2026-10-31T23:00:00Z", "2026-11-07T22:59:59.999Z"},
		{"Europe/Berlin", "2026-07-01T18:30", "2026-07-01 20:00:01", "2026-07-01T16:30:00Z", "2026-07-01T18:00:01Z"},
		{"", "2026-07-01", "2026-07-01T00:00:00+02:00x", "2026-07-01T00:00:00Z", ""},
		{"", "2026-07-01T10:00", "2026-07-01", "2026-07-01T10:00:00Z", "2026-07-01T23:59:59.999Z"},
		// The clock is set back at 03:00 to 02:00: both hours are meant.
		{"Europe/Berlin", "2026-10-25T02:30", "2026-10-25T02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"Europe/Berlin", "2026-10-25", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T22:59:59.999Z"},
		// It is set forward from 02:00 to 03:00.
		{"Europe/Berlin", "2026-03-29T02:30", "2026-03-29T03:30", "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z"},
		{"Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T03:00", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"},
		// A day that begins at 01:00, one whose first hour comes twice, and one whose last hour does.
		{"America/Santiago", "2026-09-06", "2026-09-05", "2026-09-06T04:00:00Z", ""},
		{"America/Santiago", "2026-09-05", "2026-09-05", "2026-09-05T04:00:00Z", "2026-09-06T03:59:59.999Z"},
		{"Atlantic/Azores", "2026-10-25", "2026-10-24", "2026-10-25T00:00:00Z", ""},
		{"Atlantic/Azores", "2026-10-25T00:30", "2026-10-25T00:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"America/Santiago", "2026-04-04T23:30", "2026-04-04", "2026-04-05T02:30:00Z", "2026-04-05T03:59:59.999Z"},
		{"Pacific/Kiritimati", "2026-01-02", "2026-01-02", "2026-01-01T10:00:00Z", "2026-01-02T09:59:59.999Z"},
		{"Pacific/Pago_Pago", "2026-01-02", "2026-01-02", "2026-01-02T11:00:00Z", "2026-01-03T10:59:59.999Z"},
		{"Asia/Kathmandu", "2026-01-02T05:45", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"},
	} {
		f := &fakeNode{}
		f.keep(&fairlanev1.Schedule{Name: "n", Zone: c.zone})
		code, _, errs := cli{}.run(t, "schedule", "backfill", "n", "--from", c.from, "--to", c.to, "--yes", "-e", f.start(t))
		if c.last == "" {
			if code != exitUsage {
				t.Errorf("%s to %s: exit code %d", c.from, c.to, code)
			}
			continue
		}
		fills := requestsOf[*fairlanev1.BackfillScheduleRequest](&f.fakeSchedules)
		if code != exitOK || len(fills) != 1 {
			t.Errorf("%s to %s: exit code %d %q, asked %v", c.from, c.to, code, errs, fills)
			continue
		}
		text := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }
		if first, last := text(fills[0].GetFromMs()), text(fills[0].GetToMs()); first != c.first || last != c.last {
			t.Errorf("%s to %s in %s is %s to %s, want %s to %s", c.from, c.to, c.zone, first, last, c.first, c.last)
		}
	}
}

// TestBackfillClock: by the minute over changes of the clock, a time is the instant at which the clock shows it.
func TestBackfillClock(t *testing.T) {
	for zone, around := range map[string]string{"Europe/Berlin": "2026-10-25T00:00:00Z", "America/Santiago": "2026-09-06T00:00:00Z", "Atlantic/Azores": "2026-10-25T00:00:00Z",
		"Australia/Lord_Howe": "2026-04-04T12:00:00Z", "Asia/Kathmandu": "2026-04-04T12:00:00Z", "America/New_York": "2026-03-08T06:00:00Z"} {
		c, err := newWallClock(zone)
		if err != nil {
			t.Fatal(err)
		}
		middle, _ := time.Parse(time.RFC3339, around)
		firsts, lasts := map[string]int64{}, map[string]int64{}
		var walls []string
		for at := middle.Add(-30 * time.Hour).UnixMilli(); at < middle.Add(30*time.Hour).UnixMilli(); at += 60_000 {
			wall := c.grid.Local(at)[:16]
			if _, seen := firsts[wall]; !seen {
				firsts[wall], walls = at, append(walls, wall)
			}
			lasts[wall] = at
		}
		for _, wall := range walls[120 : len(walls)-120] { // whose other instant would be seen
			local, ok := parseLocal(wall)
			if first, last := c.instant(local.wall, false), c.instant(local.wall, true); !ok || first != firsts[wall] || last != lasts[wall] {
				t.Errorf("%s in %s: %d to %d, want %d to %d", wall, zone, first, last, firsts[wall], lasts[wall])
			}
		}
	}
}

// TestBackfillAsks before it starts many runs, with their number, the first and the last.
func TestBackfillAsks(t *testing.T) {
	const span = "11 fire times%s, from 2027-03-27T02:30:00+01:00 to 2027-03-28T03:30:00+02:00"
	of, alone := strings.Replace(span, "%s", " of n", 1), strings.Replace(span, "%s", "", 1)
	for _, c := range []struct {
		what, args string
		ticks      int64
		cli        cli
		code       int
		out, errs  string
		runs       int
	}{
		{"few", "", 10, cli{}, 0, "10 fire times of n will run, one after another\n", "", 1},
		{"many, nobody to ask", "", 11, cli{in: "y\n"}, 2, "", "fairlane: fairlane schedule backfill: " + alone + ": say --yes, or --dry-run to count only", 0},
		{"many, yes", "", 11, cli{in: "y\n", terminal: true}, 0, "11 fire times of n will run, one after another\n", "run " + of + "? [y/N] ", 1},
		{"many, no", "", 11, cli{in: "\n", terminal: true}, 1, "", "fairlane: nothing was run\n", 0},
		{"many, told yes", "--yes", 11, cli{}, 0, "11 fire times of n will run, one after another\n", "", 1},
		{"dry run", "--dry-run", 11, cli{}, 0, "11 fire times of n would run, from 2027-03-27T02:30:00+01:00 to 2027-03-28T03:30:00+02:00\n", "", 0},
		{"dry run of none", "--dry-run", 0, cli{}, 0, "0 fire times of n would run\n", "", 0},
		{"dry run of one", "--dry-run", 1, cli{}, 0, "1 fire time of n would run, 2027-03-27T02:30:00+01:00\n", "", 0},
	} {
		f := &fakeNode{}
		f.ticks = c.ticks
		code, out, errs := c.cli.run(t, append(strings.Fields("schedule backfill n --from 48h --to 24h "+c.args), "-e", f.start(t))...)
		runs := 0
		for _, r := range requestsOf[*fairlanev1.BackfillScheduleRequest](&f.fakeSchedules) {
			runs += btoi(!r.GetDryRun())
		}
		if code != c.code || out != c.out || !strings.Contains(errs, c.errs) || runs != c.runs {
			t.Errorf("%s: exit code %d, %d runs, %q %q", c.what, code, runs, out, errs)
		}
	}
}
