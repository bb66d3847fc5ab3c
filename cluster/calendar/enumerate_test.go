package calendar

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The slow reading of a spec, from its definition alone. It shares nothing with the package but the text of the spec: a spec is drawn together with the
// sets of values that it means, and a zone is walked minute by minute with what package time says the clock shows.

// drawn is a random spec and what it means.
type drawn struct {
	text                string
	minute, hour        [60]bool
	day, month, weekday [60]bool
	dayStar, weekStar   bool
	everyHour           bool
}

// drawField gives a text of one field and fills in the values; half of the fields are `*`.
func drawField(r *rand.Rand, low, high int, names []string, in *[60]bool, stars int) (string, bool) {
	name := func(v int) string {
		if len(names) > 0 && r.IntN(3) == 0 {
			n := names[v%len(names)]
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
			if r.IntN(3) == 0 {
				step = 1 + r.IntN(high-low)
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
		text[3], _ = drawField(r, 1, 12, append([]string{"dec"}, kinds[3].names[:11]...), &d.month, 12)
		text[4], d.weekStar = drawField(r, 0, 6, kinds[4].names, &d.weekday, 9)
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
