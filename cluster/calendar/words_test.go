package calendar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// said is what the words of a spec mean to somebody who reads them: they are taken apart here, without the fields they were made of.
type said struct {
	minute, hour, day, month, weekday [60]bool
	either                            bool // a day of the month or a weekday; else both
}

// readWords takes the words of cron apart.
func readWords(text string) (s said, err error) {
	text, months, _ := strings.Cut(text, " in ")
	text, dates, _ := strings.Cut(strings.TrimSuffix(text, ","), " on ")
	days, weekdays, either := strings.Cut(dates, " and also on each ")
	s.either = either
	if !either {
		var both bool
		switch days, weekdays, both = strings.Cut(dates, " if it is also "); {
		case both && strings.Contains(weekdays, " and "):
			return s, fmt.Errorf("%q: no day is all of them", weekdays)
		case !both && !strings.HasSuffix(dates, " of the month"):
			days, weekdays = "", dates
		}
	}
	minutes, hours, past := strings.Cut(strings.TrimPrefix(text, "at "), " past ")
	if clock := strings.TrimPrefix(text, "at "); !past && strings.Contains(clock, ":") {
		for _, one := range splitWords(clock) {
			var h, m int
			if _, err := fmt.Sscanf(one, "%02d:%02d", &h, &m); err != nil || h > 23 || m > 59 {
				return s, fmt.Errorf("%q is no time", one)
			}
			s.hour[h], s.minute[m] = true, true
		}
	} else if err := cmpFirst(listWords(&s.minute, minutes, "minute", 0, 59, nil), listWords(&s.hour, hours, "hour", 0, 23, nil)); err != nil {
		return s, err
	}
	var monthNames, dayNames []string
	for m := time.January; m <= time.December; m++ {
		monthNames = append(monthNames, m.String())
	}
	for d := time.Sunday; d <= time.Saturday; d++ {
		dayNames = append(dayNames, d.String())
	}
	return s, cmpFirst(listWords(&s.day, strings.TrimSuffix(days, " of the month"), "day", 1, 31, nil),
		listWords(&s.month, months, "month", 1, 12, monthNames), listWords(&s.weekday, weekdays, "weekday", 0, 6, dayNames))
}

func cmpFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func splitWords(text string) []string {
	return strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, " and ", ", "), " or ", ", "), ", ")
}

// listWords reads "minutes 5 and 10 to 12 and every 3rd minute from 20 to 40". Nothing is every value.
func listWords(in *[60]bool, text, unit string, low, high int, names []string) error {
	value := func(word string, ends bool) (int, error) {
		if i := slices.Index(names, word); i >= 0 {
			if i == 0 && ends && unit == "weekday" { // to Sunday
				return 7, nil
			}
			return low + i, nil
		}
		n, err := strconv.Atoi(word)
		if err != nil || names != nil || n < low || n > high {
			return 0, fmt.Errorf("%q is no %s", word, unit)
		}
		return n, nil
	}
	if text == "" {
		text = "every " + unit
	}
	for _, one := range splitWords(text) {
		one = strings.TrimPrefix(strings.TrimPrefix(one, unit+"s "), unit+" ")
		first, last, step := low, high, 1
		rest, every := strings.CutPrefix(one, "every ")
		if every {
			var number string
			if number, one, _ = strings.Cut(rest, " "+unit+" from "); one != "" {
				n, err := strconv.Atoi(strings.TrimRight(number, "stndrh"))
				if err != nil || n < 2 {
					return fmt.Errorf("%q: which of them", rest)
				}
				step = n
			} else if rest != unit {
				return fmt.Errorf("%q: from which one", rest)
			}
		}
		if one != "" {
			a, b, ranged := strings.Cut(one, " to ")
			var err error
			if first, err = value(a, false); err != nil {
				return err
			}
			if ranged {
				if last, err = value(b, true); err != nil {
					return err
				}
			} else if !every {
				last = first
			}
		}
		for v := first; v <= last; v += step {
			if v > high { // Sunday
				in[0] = true
			} else {
				in[v] = true
			}
		}
	}
	return nil
}

// TestWordsAreTrue: who reads the words gets the times of the spec.
func TestWordsAreTrue(t *testing.T) {
	r := seeded(t)
	for range 20_000 {
		d := drawSpec(r)
		d.weekday[7] = false // it is 0 as well
		words := mustParse(t, Definition{Spec: d.text}).Words()
		s, err := readWords(words)
		if err != nil {
			t.Fatalf("%q is %q: %v", d.text, words, err)
		}
		if s.minute != d.minute || s.hour != d.hour || s.month != d.month {
			t.Fatalf("%q is not %q: %+v", d.text, words, s)
		}
		for day := 1; day <= 31; day++ {
			for w := range 7 {
				names := d.names(wallMinute{minute: first(d.minute), hour: first(d.hour), month: first(d.month), day: uint8(day), weekday: uint8(w)})
				says := s.day[day] && s.weekday[w]
				if s.either {
					says = s.day[day] || s.weekday[w]
				}
				if names != says {
					t.Fatalf("%q is not %q: day %d, weekday %d", d.text, words, day, w)
				}
			}
		}
	}
}

func first(set [60]bool) uint8 { return uint8(slices.Index(set[:], true)) }

// TestNth: English has exceptions.
func TestNth(t *testing.T) {
	for n, want := range map[int]string{2: "2nd", 3: "3rd", 4: "4th", 10: "10th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 22: "22nd", 53: "53rd"} {
		if got := nth(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
