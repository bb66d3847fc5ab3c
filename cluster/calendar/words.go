package calendar

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Words says the spec in words.
func (g *Grid) Words() string {
	switch {
	case g.cron != nil:
		return g.cron.words()
	case g.periodMs > 0:
		return "every " + periodWords(g.periodMs)
	}
	return "once at " + g.Local(g.onceMs)
}

// periodWords says a duration in the largest unit that gives a whole number.
func periodWords(ms int64) string {
	for _, u := range []struct {
		ms   int64
		name string
	}{{7 * 24 * 3600_000, "week"}, {24 * 3600_000, "day"}, {3600_000, "hour"}, {60_000, "minute"}, {1000, "second"}, {1, "millisecond"}} {
		if ms%u.ms != 0 {
			continue
		}
		if n := ms / u.ms; n > 1 {
			return fmt.Sprintf("%d %ss", n, u.name)
		}
		return u.name
	}
	return ""
}

var (
	monthNames   = names(12, func(i int) string { return time.Month(i + 1).String() })
	weekdayNames = names(8, func(i int) string { return time.Weekday(i % 7).String() })
)

func names(n int, name func(int) string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = name(i)
	}
	return all
}

// words: the time of the day, then the dates.
func (c *cron) words() string {
	text := c.timeWords()
	dom := c.day.words("day", "of the month", strconv.Itoa)
	dow := c.weekday.words("weekday", "", func(v int) string { return weekdayNames[v] })
	either := ""
	switch {
	case dom != "" && dow != "" && !c.day.star && !c.weekday.star:
		text += " on " + dom + " and also on each " + dow
		either = ","
	case dom != "" && dow != "":
		text += " on " + dom + " if it is also " + strings.ReplaceAll(dow, " and ", " or ")
	case dom != "":
		text += " on " + dom
	case dow != "":
		text += " on " + dow
	}
	if month := c.month.words("month", "", func(v int) string { return monthNames[v-1] }); month != "" {
		text += either + " in " + month
	}
	return text
}

// timeWords: clock times if they are few, else minutes and hours.
func (c *cron) timeWords() string {
	minutes, hours := c.minute.words("minute", "", strconv.Itoa), c.hour.words("hour", "", strconv.Itoa)
	if !c.hour.star && !c.minute.star && bits.OnesCount64(c.hour.bits)*bits.OnesCount64(c.minute.bits) <= 4 {
		var times []string
		for h := range 24 {
			for m := range 60 {
				if c.hour.bits>>h&1 == 1 && c.minute.bits>>m&1 == 1 {
					times = append(times, fmt.Sprintf("%02d:%02d", h, m))
				}
			}
		}
		return "at " + and(times)
	}
	switch {
	case minutes == "" && hours == "":
		return "every minute"
	case minutes == "":
		return "every minute past " + hours
	case hours == "":
		return "at " + minutes + " past every hour"
	}
	return "at " + minutes + " past " + hours
}

// words of a field: its unit and its values; empty: each value. of stands behind a unit that has numbers.
func (f field) words(unit, of string, name func(int) string) string {
	if len(f.items) == 1 && f.items[0].star && f.items[0].step == 1 {
		return ""
	}
	var single, stepped []string
	several := false // single names more than one value
	for _, it := range f.items {
		span := name(it.first)
		ranged := it.ranged && it.last > it.first
		if ranged {
			span += " to " + name(it.last)
		}
		switch {
		case it.step > 1: // from the first value, also of `*`: each second day of the month could be the even ones
			stepped = append(stepped, "every "+nth(it.step)+" "+unit+" from "+span)
		case it.star:
			stepped = append(stepped, "every "+unit)
		case !slices.Contains(single, span): // Sunday is 0 and 7
			single = append(single, span)
			several = several || ranged || len(single) > 1
		}
	}
	numbered := unit == "minute" || unit == "hour" || unit == "day"
	text := and(single)
	if numbered && text != "" {
		if several {
			unit += "s"
		}
		text = unit + " " + text
	}
	if text != "" {
		stepped = append([]string{text}, stepped...)
	}
	text = and(stepped)
	if of != "" {
		text += " " + of
	}
	return text
}

// and joins a list as a sentence does.
func and(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// nth is 2nd, 3rd, 11th, 21st.
func nth(n int) string {
	end := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return strconv.Itoa(n) + end
}
