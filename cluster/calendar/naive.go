package calendar

import "math/bits"

const daySeconds = 24 * 3600

// cron is what five fields name. Bits of a field are its values; days of the week are 0 (Sunday) to 6.
type cron struct {
	minute, hour, day, month, weekday field
	// fixed: the hours are fixed times of the clock; else each real hour counts.
	fixed bool
}

// cycleMonths is how many months the calendar takes to repeat, with its days of the week.
const cycleMonths = 400 * 12

// from is the first local time >= n that the fields name, in seconds. false: none in the 400 years after.
func (c *cron) from(n int64) (int64, bool) {
	n = ceilDiv(n, 60) * 60
	date := floorDiv(n, daySeconds)
	clock := n - date*daySeconds
	year, month, day := civil(date)
	for range cycleMonths + 2 {
		if c.month.bits>>month&1 == 1 {
			first := days(year, month)
			for left := c.daysOf(first, monthLength(year, month)) >> day << day; left != 0; left &= left - 1 {
				d := bits.TrailingZeros64(left)
				if d != day {
					clock = 0
				}
				if at, ok := c.clock(clock); ok {
					return (first+int64(d)-1)*daySeconds + at, true
				}
			}
		}
		day, clock = 1, 0
		if month++; month > 12 {
			month, year = 1, year+1
		}
	}
	return 0, false
}

// names reports whether the fields name the local time n, a whole minute.
func (c *cron) names(n int64) bool {
	at, ok := c.from(n)
	return ok && at == n
}

// clock is the first time of a day >= a time of the day, in seconds.
func (c *cron) clock(from int64) (int64, bool) {
	hour, minute := from/3600, from%3600/60
	if c.hour.bits>>hour&1 == 1 {
		if left := c.minute.bits >> minute << minute; left != 0 {
			return hour*3600 + int64(bits.TrailingZeros64(left))*60, true
		}
	}
	left := c.hour.bits >> (hour + 1) << (hour + 1)
	if left == 0 {
		return 0, false
	}
	return int64(bits.TrailingZeros64(left))*3600 + int64(bits.TrailingZeros64(c.minute.bits))*60, true
}

// localCount counts the local times from <= n < to that the fields name.
func (c *cron) localCount(from, to int64) int64 {
	first, last := floorDiv(from, daySeconds), floorDiv(to, daySeconds)
	n := c.countDays(first, last) * c.clockCount(daySeconds)
	if c.countDays(first, first+1) == 1 {
		n -= c.clockCount(from - first*daySeconds)
	}
	if c.countDays(last, last+1) == 1 {
		n += c.clockCount(to - last*daySeconds)
	}
	return n
}

// countDays counts the days from <= day < to, counted from 1970-01-01, that the fields name.
func (c *cron) countDays(from, to int64) int64 {
	n := 0
	for from < to {
		year, month, day := civil(from)
		length := monthLength(year, month)
		if c.month.bits>>month&1 == 1 {
			named := c.daysOf(from-int64(day)+1, length) >> day
			if left := to - from; left < 32 {
				named &= 1<<left - 1
			}
			n += bits.OnesCount64(named)
		}
		from += int64(length - day + 1)
	}
	return int64(n)
}

// clockCount counts the times of a day before one, in seconds.
func (c *cron) clockCount(before int64) int64 {
	hour, minute := before/3600, ceilDiv(before%3600, 60)
	n := bits.OnesCount64(c.hour.bits&(1<<hour-1)) * bits.OnesCount64(c.minute.bits)
	if c.hour.bits>>hour&1 == 1 {
		n += bits.OnesCount64(c.minute.bits & (1<<minute - 1))
	}
	return int64(n)
}

// daysOf are the days of a month that the fields name: bit 1 is the first.
func (c *cron) daysOf(first int64, length int) uint64 {
	all := uint64(1)<<(length+1) - 2
	// Day 1 is a weekday w, so day d is w + d - 1: the seven bits, turned by w, and repeated five times.
	w := floorMod(first+4, 7)
	week := (c.weekday.bits>>w | c.weekday.bits<<(7-w)) & 0x7f
	weekdays := (week | week<<7 | week<<14 | week<<21 | week<<28) << 1
	if !c.day.star && !c.weekday.star {
		return (c.day.bits | weekdays) & all
	}
	return c.day.bits & weekdays & all
}

// civil is the date of a day counted from 1970-01-01. The year is counted from March, so that the leap day is its last.
func civil(date int64) (year int64, month, day int) {
	date += 719468 // from 0000-03-01
	era := floorDiv(date, 146097)
	of := date - era*146097
	y := (of - of/1460 + of/36524 - of/146096) / 365
	of -= 365*y + y/4 - y/100
	m := (5*of + 2) / 153
	day = int(of-(153*m+2)/5) + 1
	year = y + era*400
	if month = int(m) + 3; month > 12 {
		month, year = month-12, year+1
	}
	return year, month, day
}

// days counts from 1970-01-01 to the first of a month.
func days(year int64, month int) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	era := floorDiv(year, 400)
	y := year - era*400
	return era*146097 + y*365 + y/4 - y/100 + (153*int64(month-3)+2)/5 - 719468
}

func monthLength(year int64, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// floorMod is the remainder of floorDiv; b > 0.
func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
