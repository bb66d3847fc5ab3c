package calendar

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The slow reading of a spec, from its definition alone. It shares nothing with the package but the text of the spec and the zone data: a spec is drawn
// together with the sets of values that it means, and a zone is walked minute by minute with what package time says the clock shows.

// drawn is a random spec and what it means.
type drawn struct {
	text                string
	minute, hour        [60]bool
	day, month, weekday [60]bool
	dayStar, weekStar   bool
	everyHour           bool
}

// Names of months and weekdays, by number. Sunday as 7 is written as a number: a range that ends with sun would not rise.
var (
	monthsOfSpecs   = []string{1: "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	weekdaysOfSpecs = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// drawField gives a text of one field and fills in the values; half of the fields are `*`.
func drawField(r *rand.Rand, low, high int, names []string, in *[60]bool, stars int) (string, bool) {
	name := func(v int) string {
		if v < len(names) && r.IntN(3) == 0 {
			n := names[v]
			if r.IntN(2) == 0 {
				n = strings.ToUpper(n)
			}
			return n
		}
		return strconv.Itoa(v)
	}
	var parts []string
	for n := 1 + r.IntN(3)*r.IntN(2); n > 0; n-- {
		first := low + r.IntN(high-low+1)
		last := first + r.IntN(high-first+1)
		step := 1
		text := ""
		switch r.IntN(4 + stars) {
		case 0, 1:
			last = first
			text = name(first)
		case 2:
			text = name(first) + "-" + name(last)
		case 3:
			text = name(first) + "-" + name(last)
			if last > first {
				step = 1 + r.IntN(last-first)
				text += "/" + strconv.Itoa(step)
			}
		default:
			first, last, text = low, high, "*"
			if high == 7 { // Sunday is once among all weekdays
				last = 6
			}
			if r.IntN(3) == 0 {
				step = 1 + r.IntN(last-low)
				text = "*/" + strconv.Itoa(step)
			}
		}
		for v := first; v <= last; v += step {
			in[v] = true
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ",")
	return text, text[0] == '*'
}

func drawSpec(r *rand.Rand) drawn {
	for {
		var d drawn
		var text [5]string
		text[0], _ = drawField(r, 0, 59, nil, &d.minute, 2)
		text[1], d.everyHour = drawField(r, 0, 23, nil, &d.hour, 3)
		text[2], d.dayStar = drawField(r, 1, 31, nil, &d.day, 9)
		text[3], _ = drawField(r, 1, 12, monthsOfSpecs, &d.month, 12)
		text[4], d.weekStar = drawField(r, 0, 7, weekdaysOfSpecs, &d.weekday, 9)
		d.weekday[0] = d.weekday[0] || d.weekday[7]
		d.text = strings.Join(text[:], " ")
		// A date must come: of each month in the leap year 2000.
		for m := 1; m <= 12; m++ {
			for day := 1; d.month[m] && day <= time.Date(2000, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day(); day++ {
				if d.day[day] || !d.dayStar && !d.weekStar {
					return d
				}
			}
		}
	}
}

// wallMinute is a minute of a clock on the wall.
type wallMinute struct {
	minute, hour, day, month, weekday uint8
}

func (d *drawn) names(w wallMinute) bool {
	if !d.minute[w.minute] || !d.hour[w.hour] || !d.month[w.month] {
		return false
	}
	if d.dayStar || d.weekStar {
		return d.day[w.day] && d.weekday[w.weekday]
	}
	return d.day[w.day] || d.weekday[w.weekday]
}

// walked is a stretch of a zone, minute by minute of real time: what the clock shows, as a date and as a number (minutes since 1970 on that clock).
type walked struct {
	from   int64 // minutes since 1970, real
	wall   []wallMinute
	number []int64
}

func dateOf(t time.Time) (wallMinute, int64) {
	y, m, d := t.Date()
	w := wallMinute{uint8(t.Minute()), uint8(t.Hour()), uint8(d), uint8(m), uint8(t.Weekday())}
	return w, time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, time.UTC).Unix() / 60
}

func walk(loc *time.Location, from, to time.Time) *walked {
	w := &walked{from: from.Unix() / 60}
	for t := from.In(loc); t.Before(to); t = t.Add(time.Minute) {
		date, number := dateOf(t)
		w.wall = append(w.wall, date)
		w.number = append(w.number, number)
	}
	return w
}

// times of a spec: the definition, read slowly. mark is as long as the walk.
func (w *walked) times(d *drawn, mark []bool) {
	clear(mark)
	if d.everyHour {
		for i := range w.wall {
			mark[i] = d.names(w.wall[i])
		}
		return
	}
	highest := w.number[0] - 1 // the latest that the clock has shown
	for i := range w.wall {
		if w.number[i] > highest && d.names(w.wall[i]) {
			mark[i] = true // the first time that it shows this
		}
		for left := highest + 1; i > 0 && left < w.number[i]; left++ {
			// The clock is set forward over it: at local time + gap. The gap is by how much it jumps.
			gap := w.number[i] - w.number[i-1] - 1
			if date, _ := dateOf(time.Unix(left*60, 0).UTC()); d.names(date) {
				j := i
				for w.number[j] != left+gap {
					j++
				}
				mark[j] = true
			}
		}
		highest = max(highest, w.number[i])
	}
}

var zonesWithHabits = []string{
	"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "America/Sao_Paulo", "Pacific/Apia",
	"Antarctica/Troll", "Asia/Tehran", "America/Havana", "UTC", "Europe/Dublin", "Pacific/Chatham", "Africa/Cairo", "America/Caracas", "Asia/Gaza", "America/Metlakatla",
}

// TestAgainstTheWalk compares random specs over ten years with the slow reading, in each zone. CALENDAR_SPECS sets how many for
// each zone; CALENDAR_SEED, which.
func TestAgainstTheWalk(t *testing.T) {
	r := seeded(t)
	zones, specs := slices.Clone(zonesWithHabits), 2
	r.Shuffle(len(zones), func(i, j int) { zones[i], zones[j] = zones[j], zones[i] })
	if s, err := strconv.Atoi(os.Getenv("CALENDAR_SPECS")); err == nil {
		specs = s
	} else if testing.Short() || raceEnabled {
		zones, specs = zones[:2], 1
	}
	compared, times := 0, 0
	for _, name := range zones {
		z, err := loadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		year := 1973 + r.IntN(60)
		if name == "Pacific/Apia" || name == "America/Metlakatla" {
			year = 2009 + r.IntN(2) // with the day that was left out, and the end of the written transitions
		}
		from := time.Date(year, time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
		w := walk(z.loc, from, from.AddDate(10, 0, 0))
		mark := make([]bool, len(w.wall))
		for range specs {
			d := drawSpec(r)
			w.times(&d, mark)
			c, n := compare(t, name, &d, w, mark)
			compared, times = compared+c, times+n
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d minutes of real time compared, %d specs, %d fire times, %d zones", compared, specs*len(zones), times, len(zones))
}

// compare walks the grid beside the marks. Three days at each edge are left out: what is shifted or repeated there depends on what lies outside.
func compare(t *testing.T, zone string, d *drawn, w *walked, mark []bool) (compared, times int) {
	g, err := Parse(Definition{Spec: d.text, Zone: zone})
	if err != nil {
		t.Errorf("%s: %v", zone, err)
		return 0, 0
	}
	const edge = 3 * 24 * 60
	at := (w.from+edge)*60_000 - 1
	next, ok := g.Next(at)
	for i := edge; i < len(mark)-edge; i++ {
		ms := (w.from + int64(i)) * 60_000
		compared++
		if got := ok && next == ms; got != mark[i] {
			t.Errorf("%q in %s: %s: grid %v, walk %v (next of the grid %s)", d.text, zone, g.Local(ms), got, mark[i], g.Local(next))
			return compared, times
		}
		if mark[i] {
			times++
			if next, ok = g.Next(ms); !ok || next <= ms {
				t.Errorf("%q in %s: after %s: %d %v", d.text, zone, g.Local(ms), next, ok)
				return compared, times
			}
		}
	}
	return compared, times
}

// aroundChanges walks around n changes of the clock, drawn from those of all zones of the data since 1970. Two different ones are a week apart at least.
func aroundChanges(t *testing.T, r *rand.Rand, n int, look func(z *zone, w *walked)) {
	t.Helper()
	type change struct{ at, before, after int64 }
	zoneOf := map[change]string{}
	for name := range zoneFiles() {
		z, err := loadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(z.table); i++ {
			c := change{z.table[i].start, z.table[i-1].offset, z.table[i].offset}
			// The walk goes by whole minutes.
			if first := zoneOf[c]; c.at > 0 && c.at%60 == 0 && c.before%60 == 0 && c.after%60 == 0 && (first == "" || name < first) {
				zoneOf[c] = name
			}
		}
	}
	changes := slices.SortedFunc(maps.Keys(zoneOf), func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.before, b.before), cmp.Compare(a.after, b.after))
	})
	const around = 4 * 24 * time.Hour
	for i := 0; i < n && !t.Failed(); i++ {
		c := changes[r.IntN(len(changes))]
		z, _ := loadZone(zoneOf[c])
		look(z, walk(z.loc, time.Unix(c.at, 0).Add(-around), time.Unix(c.at, 0).Add(around)))
	}
	t.Logf("%d of %d changes", n, len(changes))
}

// TestChangesOfAllZones compares around changes of the clock with the slow reading, and what is said of the times.
func TestChangesOfAllZones(t *testing.T) {
	r, notes, n := seeded(t), map[string]int{}, 300
	if testing.Short() || raceEnabled {
		n = 30
	}
	aroundChanges(t, r, n, func(z *zone, w *walked) {
		mark := make([]bool, len(w.wall))
		for range 4 {
			d := drawSpec(r)
			w.times(&d, mark)
			compare(t, z.name, &d, w, mark)
			g := mustParse(t, Definition{Spec: d.text, Zone: z.name})
			for i := len(mark) / 4; i < len(mark)*3/4; i++ {
				if !mark[i] {
					continue
				}
				ms := (w.from + int64(i)) * 60_000
				want := w.note(&d, i)
				notes[strings.Split(want, ":")[0]]++
				if got := g.Note(ms); !strings.HasPrefix(got, want) || want == "" && got != "" {
					t.Fatalf("%q in %s at %s: note %q, want %q", d.text, z.name, g.Local(ms), got, want)
				}
			}
		}
	})
	t.Log(notes)
	if n == 300 && len(notes) != 5 {
		t.Errorf("some notes are missing: %v", notes)
	}
}

// note is how what is special about the time at a minute of the walk begins.
func (w *walked) note(d *drawn, i int) string {
	for j := 1; j < len(w.number) && !d.everyHour; j++ {
		// Set forward before the minute j: the minutes between are shown gap minutes later, that is at the instants from j on.
		gap := w.number[j] - w.number[j-1] - 1
		if left := w.number[i] - gap; gap > 0 && i >= j && w.number[j-1] < left && left < w.number[j] {
			if date, _ := dateOf(time.Unix(left*60, 0).UTC()); d.names(date) {
				return "shifted: " + time.Unix(left*60, 0).UTC().Format("2006-01-02 15:04") + " does not come"
			}
		}
	}
	switch {
	case slices.Contains(w.number[:i], w.number[i]):
		return "second passage:"
	case !slices.Contains(w.number[i+1:], w.number[i]):
		return ""
	case d.everyHour:
		return "first passage:"
	}
	return "first of two:"
}
