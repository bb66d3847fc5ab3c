package calendar

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// at reads a local time with its offset.
func at(t testing.TB, text string) int64 {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when.UnixMilli()
}

// TestVixie: what the specs of Vixie cron mean, and how they are said in words.
func TestVixie(t *testing.T) {
	cases := []struct{ spec, words, times string }{ // after Tuesday 2026-09-01 00:00 UTC
		{"* * * * *", "every minute", "09-01T00:01 09-01T00:02"},
		{"*/15 * * * *", "at every 15th minute from 0 past every hour", "09-01T00:15 09-01T00:30"},
		{"0 */2 * * *", "at minute 0 past every 2nd hour from 0", "09-01T02:00 09-01T04:00"},
		{"30 2 * * mon-fri", "at 02:30 on Monday to Friday", "09-01T02:30 09-02T02:30 09-03T02:30 09-04T02:30 09-07T02:30"},
		{"30 2 * * MON-Fri", "at 02:30 on Monday to Friday", "09-01T02:30 09-02T02:30"},
		{"5,10-12 1,3 * * *", "at minutes 5 and 10 to 12 past hours 1 and 3", "09-01T01:05 09-01T01:10 09-01T01:11 09-01T01:12 09-01T03:05"},
		{"0 9-17/4 * * *", "at 09:00, 13:00 and 17:00", "09-01T09:00 09-01T13:00 09-01T17:00 09-02T09:00"},
		{"0 0 * * 0", "at 00:00 on Sunday", "09-06T00:00 09-13T00:00"},
		{"0 0 * * 7", "at 00:00 on Sunday", "09-06T00:00 09-13T00:00"},
		{"0 0 * nov 7", "at 00:00 on Sunday in November", "11-01T00:00 11-08T00:00"}, // the month begins on a Sunday
		{"0 0 * * 5-7", "at 00:00 on Friday to Sunday", "09-04T00:00 09-05T00:00 09-06T00:00 09-11T00:00"},
		{"0 0 * * 0,7", "at 00:00 on Sunday", "09-06T00:00 09-13T00:00"},
		// Both days restricted: either. One of them begins with *: both.
		{"\t0 0\t \t* * 0", "at 00:00 on Sunday", "09-06T00:00 09-13T00:00"},
		{"0 0 13 * fri", "at 00:00 on day 13 of the month and also on each Friday", "09-04T00:00 09-11T00:00 09-13T00:00 09-18T00:00"},
		{"0 0 13 9 fri", "at 00:00 on day 13 of the month and also on each Friday, in September", "09-04T00:00 09-11T00:00 09-13T00:00"},
		{"0 0 */2 * mon", "at 00:00 on every 2nd day from 1 of the month if it is also Monday", "09-07T00:00 09-21T00:00 10-05T00:00"},
		{"0 0 */2 * sun,mon", "at 00:00 on every 2nd day from 1 of the month if it is also Sunday or Monday", "09-07T00:00 09-13T00:00 09-21T00:00"},
		{"0 0 1-10/3,20 * *", "at 00:00 on day 20 and every 3rd day from 1 to 10 of the month", "09-04T00:00 09-07T00:00 09-10T00:00 09-20T00:00 10-01T00:00"},
		{"0 0 1-1,15 * *", "at 00:00 on days 1 and 15 of the month", "09-15T00:00 10-01T00:00"},
		{"0 0 *,13 * fri", "at 00:00 on day 13 and every day of the month if it is also Friday", "09-04T00:00 09-11T00:00 09-18T00:00"},
		{"0 0 13,* * fri", "at 00:00 on day 13 and every day of the month and also on each Friday", "09-02T00:00 09-03T00:00"},
		{"0 0 8-14 * */6", "at 00:00 on days 8 to 14 of the month if it is also every 6th weekday from Sunday", "09-12T00:00 09-13T00:00 10-10T00:00"},
		{"0 0 1 jan,JUL *", "at 00:00 on day 1 of the month in January and July", "27-01-01T00:00 27-07-01T00:00"},
		{"0 0 31 * *", "at 00:00 on day 31 of the month", "10-31T00:00 12-31T00:00 27-01-31T00:00 27-03-31T00:00"},
		{"0 0 29 2 *", "at 00:00 on day 29 of the month in February", "28-02-29T00:00 32-02-29T00:00"},
		{"0 0 29 2 mon", "at 00:00 on day 29 of the month and also on each Monday, in February", "27-02-01T00:00 27-02-08T00:00 27-02-15T00:00 27-02-22T00:00 28-02-07T00:00"},
		{"0 0 30 2 mon", "at 00:00 on day 30 of the month and also on each Monday, in February", "27-02-01T00:00"},
		{"@yearly", "at 00:00 on day 1 of the month in January", "27-01-01T00:00 28-01-01T00:00"},
		{"@annually", "at 00:00 on day 1 of the month in January", "27-01-01T00:00"},
		{"@monthly", "at 00:00 on day 1 of the month", "10-01T00:00 11-01T00:00"},
		{"@weekly", "at 00:00 on Sunday", "09-06T00:00"},
		{"@daily", "at 00:00", "09-02T00:00"},
		{"@Midnight", "at 00:00", "09-02T00:00"},
		{" @hourly\t", "at minute 0 past every hour", "09-01T01:00 09-01T02:00"},
		{"@every 90s", "every 90 seconds", "09-01T00:01 09-01T00:03 09-01T00:04 09-01T00:06"},
		{"@every 1h30m", "every 90 minutes", "09-01T01:30 09-01T03:00"},
		{"@every 1w0.5d", "every 180 hours", "09-08T12:00"},
		{"@at 2026-12-24T18:00:00+01:00", "once at 2026-12-24T17:00:00+00:00", "12-24T17:00 none"},
	}
	for _, c := range cases {
		from := at(t, "2026-09-01T00:00:00Z")
		g := mustParse(t, Definition{Spec: c.spec, AnchorMs: from})
		if g.Words() != c.words {
			t.Errorf("%q in words: %q, want %q", c.spec, g.Words(), c.words)
		}
		ms := from
		for _, want := range strings.Fields(c.times) {
			next, ok := g.Next(ms)
			got := "none"
			if ok {
				got = strings.TrimPrefix(time.UnixMilli(next).UTC().Format("06-01-02T15:04"), "26-")
			}
			if got != want {
				t.Errorf("%q after %s: %s, want %s", c.spec, g.Local(ms), got, want)
				break
			}
			ms = next
		}
	}
}

// TestRefused: each says which part is wrong and what would be right.
func TestRefused(t *testing.T) {
	for spec, want := range map[string]string{
		"":                              "five fields such as",
		strings.Repeat("1,", 200) + "1": "at most 256 bytes",
		"0 24 * * *":                    "hour: a number from 0 to 23, not 24",
		"60 * * * *":                    "minute: a number from 0 to 59, not 60",
		"* * 0 * *":                     "day of month: a number from 1 to 31, not 0",
		"* * * 13 *":                    "month: a number from 1 to 12, not 13",
		"* * * * 8":                     "weekday: a number from 0 to 7, not 8",
		"* * * *":                       "this has 4",
		"0 0 0 * * *":                   "this has 6: seconds and years are not supported",
		"0 0 0 1 1 * 2030":              "this has 7: seconds and years are not supported",
		"? * * * *":                     "? is not supported: write *",
		"* * ? * mon":                   "? is not supported: write *",
		"* * L * *":                     "L (last) is not supported",
		"* * * * 5L":                    "L (last) is not supported",
		"* * LW * *":                    "L (last) is not supported",
		"* * 15W * *":                   "W (nearest working day) is not supported",
		"* * * * 5#3":                   "# (nth weekday) is not supported",
		"H * * * *":                     "use spread or jitter",
		"0~30 * * * *":                  "use spread or jitter",
		"*/60 * * * *":                  "a step of at most 59",
		"1-10/10 * * * *":               "a step of at most 9",
		"* * * * */7":                   "a step of at most 6",
		"* * * */12 *":                  "a step of at most 11",
		"5/15 * * * *":                  "write 5-59/15 or */15",
		"50/15 * * * *":                 "write */15, or 50",
		"5/60 * * * *":                  "write 5",
		"* * * * fri/1":                 "write fri-6/1 or */1",
		"5/ * * * *":                    "at least 1 as the step",
		"5-5/1 * * * *":                 "5-5 is one value; write 5",
		"*/0 * * * *":                   "at least 1 as the step",
		"*/x * * * *":                   "at least 1 as the step",
		"*/ * * * *":                    "at least 1 as the step",
		"0 22-2 * * *":                  "write 22-23,0-2",
		"* * * * fri-mon":               "write fri-6,0-mon",
		"* * * * sat-sun":               "write sat-7",
		"* * * nov-jan *":               "write nov-12,jan",
		"0 9-5/2 * * *":                 "a range that rises",
		"1,,2 * * * *":                  "between the commas",
		"1, * * * *":                    "between the commas",
		"1- * * * *":                    "where nothing stands",
		"-1 * * * *":                    "where nothing stands",
		"1-2-3 * * * *":                 `not "2-3"`,
		"+5 * * * *":                    `not "+5"`,
		"1.5 * * * *":                   `not "1.5"`,
		"*5 * * * *":                    `not "*5"`,
		"*-5 * * * *":                   "* stands alone",
		"99999999999999999999 * * * *":  "minute: a number from 0 to 59",
		"jan * * * *":                   "jan is a month",
		"* * * monday *":                "a name (jan-dec)",
		"* * * * monday":                "did you mean mon?",
		"* * * * jan":                   "jan is a month",
		"0 0 30 2 *":                    "day of month 30 never comes in feb, which has at most 29",
		"0 0 31 4,jun *":                "day of month 31 never comes in apr, jun, which has at most 30",
		"0 0 30-31 2 */2":               "day of month 30 never comes in feb",
		"@reboot":                       "a cluster does not start the way a machine does",
		"@dayly":                        "did you mean @daily?",
		"@hour":                         "one of @hourly",
		"daily":                         "this has 1; did you mean @daily?",
		"@":                             "one of @hourly",
		"@daily 5":                      "nothing behind it",
		"TZ=Europe/Berlin 0 0 * * *":    `put "Europe/Berlin" into zone`,
		"CRON_TZ=Europe/Berlin @daily":  "into zone",
		"tz=Asia/Tokyo 0 0 * * *":       `put "Asia/Tokyo" into zone`,
		"é * * * *":                     "letters, digits, blanks",
		"0 0 * * *\n":                   "letters, digits, blanks",
		"@every":                        "a duration such as 90s",
		"@every 5":                      "the number 5 has no unit",
		"@every 1y":                     `not "y"`,
		"@every 5s\u00a0":               `not "s\u00a0"`,
		"@every s":                      "a duration such as 90s",
		"@every 1..5s":                  "a duration such as 90s",
		"@every -5s":                    "a duration such as 90s",
		"@every 5 s":                    "a duration such as 90s",
		"@every 999ms":                  "at least 1s",
		"@every 1s0.5ms":                "whole milliseconds",
		"@every 9999999999999w":         "less than 2^53",
		"@every 9007199254740992ms":     "less than 2^53",
		"@at":                           "@at with date, time and offset",
		"@at 2026-12-24T18:00:00":       "@at with date, time and offset",
		"@at 2026-02-30T18:00:00Z":      "that come: day out of range",
		"@at 2026-02-03T24:00:00Z":      "that come: hour out of range",
		"@at 1960-01-01T00:00:00Z":      "after 1970",
		"@at 2026-12-24T18:00:00.0001Z": "whole milliseconds",
	} {
		_, err := Parse(Definition{Spec: spec})
		fe, ok := err.(*FieldError)
		if !ok || fe.Field != "spec" || !strings.Contains(fe.Want, want) || fe.Value == "" && spec != "" {
			t.Errorf("%q: %v, want a word of %q", spec, err, want)
		}
	}
	for _, c := range []struct {
		d           Definition
		field, want string
	}{
		{Definition{Spec: "@daily", StartMs: -1}, "start", "at least 0"},
		{Definition{Spec: "@daily", EndMs: maxMs}, "end", "less than 2^53"},
		{Definition{Spec: "@daily", StartMs: 2000, EndMs: 1000}, "end", "not before the start"},
		{Definition{Spec: "@at 2026-12-24T18:00:00Z", EndMs: 1000}, "spec", "not after the end"},
	} {
		_, err := Parse(c.d)
		if fe, ok := err.(*FieldError); !ok || fe.Field != c.field || !strings.Contains(fe.Want, c.want) {
			t.Errorf("%+v: %v, want %s: %s", c.d, err, c.field, c.want)
		}
	}
}

// TestDaylight: changes of the clock in four zones and some strange ones, with the notes.
func TestDaylight(t *testing.T) {
	cases := []struct{ zone, spec, from, times, note string }{
		// Forward at 02:00 to 03:00: shifted, and one with what is there already.
		{"Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00+01:00", "2026-03-29T03:30:00+02:00 2026-03-30T02:30:00+02:00",
			"shifted: 2026-03-29 02:30 does not come, the clock is set forward from 2026-03-29 02:00 to 2026-03-29 03:00"},
		{"Europe/Berlin", "0,30 2,3 * * *", "2026-03-29T01:59:00+01:00", "2026-03-29T03:00:00+02:00 2026-03-29T03:30:00+02:00 2026-03-30T02:00:00+02:00", "shifted"},
		{"Europe/Berlin", "30 1-3 * * *", "2026-03-29T01:00:00+01:00", "2026-03-29T01:30:00+01:00 2026-03-29T03:30:00+02:00 2026-03-30T01:30:00+02:00", ""},
		{"Europe/Berlin", "30 * * * *", "2026-03-29T01:00:00+01:00", "2026-03-29T01:30:00+01:00 2026-03-29T03:30:00+02:00", ""},
		{"Europe/Berlin", "0 */2 * * *", "2026-03-29T00:00:00+01:00", "2026-03-29T04:00:00+02:00", ""},
		// Back at 03:00 to 02:00: the first of two; every hour: both.
		{"Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00",
			"first of two: the clock is set back, and 2026-10-25 02:30 comes twice; it runs once"},
		{"Europe/Berlin", "30 */2 * * *", "2026-10-25T01:00:00+02:00", "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-10-25T04:30:00+01:00",
			"first passage: the clock is set back, and 2026-10-25 02:30 comes twice"},
		{"Europe/Berlin", "30 * * * *", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00 2026-10-25T03:30:00+01:00", "second passage"},
		{"Europe/Berlin", "* 2 * * *", "2026-10-25T02:58:00+02:00", "2026-10-25T02:59:00+02:00 2026-10-26T02:00:00+01:00", "first of two"},
		{"America/New_York", "30 2 * * *", "2026-03-08T00:00:00-05:00", "2026-03-08T03:30:00-04:00 2026-03-09T02:30:00-04:00", "shifted"},
		{"America/New_York", "30 1 * * *", "2026-11-01T00:00:00-04:00", "2026-11-01T01:30:00-04:00 2026-11-02T01:30:00-05:00", "first of two"},
		// Half an hour.
		{"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00:00+10:30", "2026-10-04T02:45:00+11:00 2026-10-05T02:15:00+11:00", "shifted: 2026-10-04 02:15"},
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00:00+11:00", "2026-04-05T01:45:00+11:00 2026-04-06T01:45:00+10:30", "first of two"},
		{"Australia/Lord_Howe", "45 * * * *", "2026-04-05T01:00:00+11:00", "2026-04-05T01:45:00+11:00 2026-04-05T01:45:00+10:30 2026-04-05T02:45:00+10:30", "first passage"},
		// No change, and an odd offset.
		{"Asia/Kathmandu", "0 6 * * *", "2026-03-28T12:00:00+05:45", "2026-03-29T06:00:00+05:45 2026-03-30T06:00:00+05:45", ""},
		// Two hours; midnight; a whole day.
		{"Antarctica/Troll", "30 1 * * *", "2026-03-28T12:00:00+00:00", "2026-03-29T03:30:00+02:00 2026-03-30T01:30:00+02:00", "shifted"},
		{"America/Havana", "30 0 * * *", "2026-03-07T12:00:00-05:00", "2026-03-08T01:30:00-04:00 2026-03-09T00:30:00-04:00", "shifted"},
		{"Pacific/Apia", "0 9 30 12 *", "2011-12-28T12:00:00-10:00", "2011-12-31T09:00:00+14:00 2012-12-30T09:00:00+14:00", "shifted: 2011-12-30 09:00"},
		{"Pacific/Apia", "0 9 * * *", "2011-12-29T08:00:00-10:00", "2011-12-29T09:00:00-10:00 2011-12-31T09:00:00+14:00 2012-01-01T09:00:00+14:00", ""},
		{"Pacific/Apia", "0 */9 30 12 *", "2011-12-28T12:00:00-10:00", "2012-12-30T00:00:00+14:00", ""},
		// An offset of seconds.
		{"Africa/Monrovia", "0 12 * * *", "1971-06-01T00:00:00Z", "1971-06-01T12:00:00-00:44", ""},
		// A rule that holds beyond the table.
		{"Europe/Berlin", "30 2 * * *", "2400-03-25T12:00:00+01:00", "2400-03-26T03:30:00+02:00", "shifted"},
	}
	for _, c := range cases {
		g := mustParse(t, Definition{Spec: c.spec, Zone: c.zone})
		ms := at(t, c.from)
		for i, want := range strings.Fields(c.times) {
			next, ok := g.Next(ms)
			if got := g.Local(next); !ok || got != want {
				t.Errorf("%q in %s after %s: %s, want %s", c.spec, c.zone, g.Local(ms), got, want)
				break
			}
			if note := g.Note(next); i == 0 && (!strings.HasPrefix(note, c.note) || c.note == "" && note != "") {
				t.Errorf("%q in %s: note %q, want %q", c.spec, c.zone, note, c.note)
			}
			ms = next
		}
	}
}

// TestQuickChanges: a zone that goes back and forward within an hour, as none does. A local time that was shown before the clock went over it is not shifted.
func TestQuickChanges(t *testing.T) {
	z := &zone{name: "test", table: []segment{{dawn, 36_000, 3600}, {36_000, 37_800, 0}, {37_800, dusk, 3600}}}
	// It shows ... 10:59, 10:00 ... 10:29, 11:30 ...: so 11:00 to 11:29 do not come.
	for spec, want := range map[string][]int64{
		"0 10 * * *":   {32_400},
		"20 10 * * *":  {33_600},
		"50 10 * * *":  {35_400},
		"10 11 * * *":  {40_200}, // as if the clock still went as before the change
		"40 11 * * *":  {38_400},
		"20 */5 * * *": {33_600, 37_200},
	} {
		c, err := parseCron(spec)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for sec, ok := c.next(z, 30_000); ok && sec < 50_000; sec, ok = c.next(z, sec+1) {
			got = append(got, sec)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", spec, got, want)
		}
	}
}

// TestAnchor: where an interval begins, and what is next of a definition that is put now.
func TestAnchor(t *testing.T) {
	const now = 1_790_000_000_123
	for _, c := range []struct {
		name         string
		d            Definition
		anchor, next int64
		wrong        string
	}{
		{"interval: one period from now", Definition{Spec: "@every 10s"}, now, now + 10_000, ""},
		{"interval, start to come", Definition{Spec: "@every 10s", StartMs: now + 3}, now + 3, now + 3, ""},
		{"interval, start now", Definition{Spec: "@every 10s", StartMs: now}, now, now, ""},
		{"interval, start in the past: up to the grid", Definition{Spec: "@every 10s", StartMs: now - 25_000}, now - 25_000, now + 5_000, ""},
		{"interval, start in the past, exactly on it: at once", Definition{Spec: "@every 10s", StartMs: now - 20_000}, now - 20_000, now, ""},
		{"interval, over", Definition{Spec: "@every 10s", EndMs: now + 9_999}, now, 0, ""},
		{"interval, end inclusive", Definition{Spec: "@every 10s", EndMs: now + 10_000}, now, now + 10_000, ""},
		{"cron", Definition{Spec: "* * * * *"}, 0, 1_790_000_040_000, ""},
		{"cron, start on the grid", Definition{Spec: "* * * * *", StartMs: 1_790_000_100_000}, 0, 1_790_000_100_000, ""},
		{"cron, start beside the grid", Definition{Spec: "* * * * *", StartMs: 1_790_000_100_001}, 0, 1_790_000_160_000, ""},
		{"cron, start over", Definition{Spec: "* * * * *", StartMs: 5}, 0, 1_790_000_040_000, ""},
		{"cron, end over", Definition{Spec: "* * * * *", EndMs: 5}, 0, 0, ""},
		{"cron, end inclusive", Definition{Spec: "* * * * *", EndMs: 1_790_000_040_000}, 0, 1_790_000_040_000, ""},
		{"cron, end before", Definition{Spec: "* * * * *", EndMs: 1_790_000_039_999}, 0, 0, ""},
		{"once", Definition{Spec: "@at 2026-12-24T18:00:00Z"}, 0, 1_798_135_200_000, ""},
		{"once, over", Definition{Spec: "@at 2025-12-24T18:00:00Z"}, 0, 0, "over"},
		{"wrong", Definition{Spec: "* * * *"}, 0, 0, "this has 4"},
	} {
		anchor, next, err := Anchor(c.d, now)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v, want %s", c.name, err, c.wrong)
			}
			continue
		}
		if err != nil || anchor != c.anchor || next != c.next {
			t.Errorf("%s: anchor %d next %d %v, want %d and %d", c.name, anchor, next, err, c.anchor, c.next)
		}
		if first, ok := mustParse(t, c.d).Next(-1); ok && first < c.d.StartMs {
			t.Errorf("%s: %d is before the start", c.name, first)
		}
		// What was anchored gives the same grid later.
		c.d.AnchorMs = anchor
		if g := mustParse(t, c.d); next != 0 {
			if got, ok := g.Next(next - 1); !ok || got != next {
				t.Errorf("%s: read again, next is %d", c.name, got)
			}
		}
	}
}

// TestEdges: instants far away neither overflow nor hang.
func TestEdges(t *testing.T) {
	for _, spec := range []string{"* * * * *", "0 0 29 2 *", "0 0 29 2 */6", "59 23 31 12 *", "@every 1s", "@every 104249991d", "@at 2026-12-24T18:00:00Z"} {
		for _, zone := range []string{"", "Europe/Berlin", "Pacific/Apia"} {
			g := mustParse(t, Definition{Spec: spec, Zone: zone, AnchorMs: 12345})
			for _, after := range []int64{-1 << 63, -1, 0, 1, 4_102_444_800_000, maxMs - 86_400_000, maxMs - 1, maxMs, 1<<63 - 1} {
				if next, ok := g.Next(after); ok && (next <= after || next < 0 || next >= maxMs) {
					t.Errorf("%q in %q after %d: %d", spec, zone, after, next)
				}
				g.Note(after)
				g.Between(after, after)
				_ = fmt.Sprint(g.Local(after), g.Period(after))
			}
		}
	}
	if g := mustParse(t, Definition{Spec: "* * * * *"}); true {
		if next, ok := g.Next(-5); !ok || next != 0 {
			t.Errorf("the first time of all is %d %v, want 0", next, ok)
		}
	}
}

// TestOffset: within its bound, and the same for ever when spread.
func TestOffset(t *testing.T) {
	drawn := func(n int64) int64 { return n - 1 }
	for _, c := range []struct {
		name           string
		jitter, period int64
		spread         bool
		want           int64
	}{
		{"a", 0, 60_000, false, 0},
		{"a", 1, 60_000, false, 0},
		{"a", 30_000, 60_000, false, 29_999},
		{"a", 90_000, 60_000, false, 59_999},
		{"a", 90_000, 0, false, 89_999},
		{"a", 0, 0, true, 0},
		// The first 8 bytes of SHA-256, most significant first, modulo the bound. These never change: schedules that exist were spread by them.
		{"a", 0, 60_000, true, 42_250},
		{"report/daily", 0, 86_400_000, true, 1_960_215},
		{"report/daily", 7_200_000, 86_400_000, true, 1_960_215},
		{"report/daily", 7_200_000, 60_000, true, 40_215},
		{"report/daily", 30_000, 86_400_000, true, 10_215},
		{"cleanup", 0, 10_000, true, 9_223},
	} {
		if got := Offset(c.name, c.jitter, c.period, c.spread, drawn); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestPeriod: of an interval, and the least of cron.
func TestPeriod(t *testing.T) {
	now := at(t, "2026-09-01T00:00:00Z")
	for spec, want := range map[string]int64{
		"@every 90s": 90_000, "* * * * *": 60_000, "0,1 0 1 1 *": 60_000, "0 */7 * * *": 3 * 3600_000, "@daily": 23 * 3600_000,
		"@at 2026-12-24T18:00:00Z": 0, "@at 2025-12-24T18:00:00Z": 0,
	} {
		// An end leaves it as it is: the offset that it bounds is kept when the end is moved.
		for _, end := range []int64{0, now + 86_400_000, 1_800_000_000_000} {
			d := Definition{Spec: spec, Zone: "Europe/Berlin", AnchorMs: now, EndMs: end}
			if spec[:2] == "@a" {
				d.EndMs = 0
			}
			if got := mustParse(t, d).Period(now); got != want {
				t.Errorf("%s until %d: %d, want %d", spec, end, got, want)
			}
		}
	}
}
