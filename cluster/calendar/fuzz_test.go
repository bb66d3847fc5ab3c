package calendar

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

// normal is the one text of a spec: parsed again it is the same grid.
func (g *Grid) normal() string {
	switch {
	case g.cron != nil:
		c := g.cron
		return strings.Join([]string{c.minute.normal(), c.hour.normal(), c.day.normal(), c.month.normal(), c.weekday.normal()}, " ")
	case g.periodMs > 0:
		return "@every " + strconv.FormatInt(g.periodMs, 10) + "ms"
	}
	return "@at " + time.UnixMilli(g.onceMs).UTC().Format("2006-01-02T15:04:05.000Z")
}

func (f field) normal() string {
	var parts []string
	for _, it := range f.items {
		text := strconv.Itoa(it.first)
		if it.star {
			text = "*"
		} else if it.ranged {
			text += "-" + strconv.Itoa(it.last)
		}
		if it.step > 1 {
			text += "/" + strconv.Itoa(it.step)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ",")
}

// FuzzParse: no text breaks it; an error names the field and what would be right; the normal text means the same; the next time ends the search.
func FuzzParse(f *testing.F) {
	for _, spec := range []string{"* * * * *", "*/5 9-17/2 1,15 jan-mar fri", "@daily", "@every 1w2d3h4m5.5s", "@at 2026-12-24T18:00:00+01:00", "0 0 29 2 */6",
		"0 0 L * *", "5/15 * * * *", "TZ=UTC @daily", "@reboot", "0 0 31 4 *", "60 24 32 13 8", "*,1 1,* * * sun-7"} {
		f.Add(spec, "Europe/Berlin", int64(1_790_000_000_000))
	}
	f.Add("@every 9999999999999999999999w", "", int64(-1))
	f.Add("* * * * *", "Local", int64(1<<62))
	f.Fuzz(func(t *testing.T, spec, zone string, ms int64) {
		g, err := Parse(Definition{Spec: spec, Zone: zone})
		if err != nil {
			fe, ok := err.(*FieldError)
			if !ok || fe.Want == "" || fe.Field != "spec" && fe.Field != "zone" {
				t.Fatalf("%q in %q: %v", spec, zone, err)
			}
			return
		}
		again, err := Parse(Definition{Spec: g.normal(), Zone: zone})
		if err != nil || again.normal() != g.normal() || again.Words() != g.Words() || g.Words() == "" {
			t.Fatalf("%q: normal %q: %v", spec, g.normal(), err)
		}
		for range 5 {
			next, ok := g.Next(ms)
			next2, ok2 := again.Next(ms)
			if next != next2 || ok != ok2 || ok && (next <= ms || next >= maxMs) {
				t.Fatalf("%q after %d: %d %v; normal %d %v", spec, ms, next, ok, next2, ok2)
			}
			if g.Note(next); !ok {
				break
			}
			ms = next
		}
	})
}

// FuzzNext: the fuzzer chooses a spec, a zone and an instant; what lies around the next change of the clock, or around the instant, is what the walk says.
func FuzzNext(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint8(0), int64(1_790_000_000), true)
	f.Add(uint64(3), uint64(4), uint8(6), int64(1_325_000_000), true)
	f.Add(uint64(5), uint64(6), uint8(7), int64(4_200_000_000), false)
	f.Fuzz(func(t *testing.T, a, b uint64, zone uint8, sec int64, change bool) {
		name := zonesWithHabits[int(zone)%len(zonesWithHabits)]
		z, err := loadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		if sec = 60_000_000 + floorMod(sec, 1<<33); change {
			if s := z.at(sec); s.end < 1<<33 {
				sec = s.end
			}
		}
		d := drawSpec(rand.New(rand.NewPCG(a, b)))
		middle := time.Unix(sec/60*60, 0)
		w := walk(z.loc, middle.Add(-6*24*time.Hour), middle.Add(6*24*time.Hour))
		mark := make([]bool, len(w.wall))
		w.times(&d, mark)
		compare(t, name, &d, w, mark)
	})
}
