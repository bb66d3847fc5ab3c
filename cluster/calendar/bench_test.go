package calendar

import "testing"

// BenchmarkNext walks a grid from one time to the next.
func BenchmarkNext(b *testing.B) {
	for _, c := range []struct{ name, spec, zone string }{
		{"every_minute/UTC", "* * * * *", ""},
		{"every_minute/Berlin", "* * * * *", "Europe/Berlin"},
		{"office_hours/Berlin", "*/15 9-17 * * mon-fri", "Europe/Berlin"},
		{"daily/Berlin", "30 2 * * *", "Europe/Berlin"},
		{"monthly/New_York", "0 4 1 * *", "America/New_York"},
		{"leap_day/Berlin", "0 0 29 2 *", "Europe/Berlin"},
		{"leap_sunday/Berlin", "0 0 29 2 */6", "Europe/Berlin"},
		{"interval", "@every 90s", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			g, err := Parse(Definition{Spec: c.spec, Zone: c.zone})
			if err != nil {
				b.Fatal(err)
			}
			const from = 1_790_000_000_000
			at, ok := int64(from), true
			b.ReportAllocs()
			for b.Loop() {
				// Within the next 30 years, as schedules are; the leap days come again and again.
				if at, ok = g.Next(at); !ok || at > from+946_080_000_000 {
					at = from
				}
			}
		})
	}
}

// BenchmarkNextAtTheChange asks for the hours around the change of the clock, where each local time is looked at.
func BenchmarkNextAtTheChange(b *testing.B) {
	for _, c := range []struct {
		name string
		ms   int64
	}{{"spring", 1_774_746_000_000}, {"autumn", 1_792_890_000_000}} {
		b.Run(c.name, func(b *testing.B) {
			g, err := Parse(Definition{Spec: "* 0-23 * * *", Zone: "Europe/Berlin"})
			if err != nil {
				b.Fatal(err)
			}
			at := c.ms
			for b.Loop() {
				if at, _ = g.Next(at); at > c.ms+3*3600_000 {
					at = c.ms
				}
			}
		})
	}
}

// BenchmarkParse of a spec, and of a zone that is known.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := Parse(Definition{Spec: "*/15 9-17 * * mon-fri", Zone: "Europe/Berlin"}); err != nil {
			b.Fatal(err)
		}
	}
}
