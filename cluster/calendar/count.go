package calendar

import logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"

// periodSample is how many distances are looked at for the least one of cron.
const periodSample = 256

// Between counts the times from <= t <= to. Beyond maxCount of cron it stops counting, and says so by more: then last is the newest all the same.
func (g *Grid) Between(fromMs, toMs int64) *logv1.Passed {
	p := &logv1.Passed{}
	first, ok := g.Next(fromMs - 1)
	if !ok || first > toMs {
		return p
	}
	p.FirstMs, p.LastMs, p.Count = first, first, 1
	if g.periodMs > 0 {
		p.Count = 1 + (min(toMs, g.highMs)-first)/g.periodMs
		p.LastMs = first + (p.Count-1)*g.periodMs
		return p
	}
	to := min(toMs, g.highMs)
	if g.cron != nil {
		p.Count, p.More = g.cron.count(g.zone, first/1000, to/1000+1)
	}
	p.LastMs, _ = g.newest(first, to)
	return p
}

// Times lists the times from <= t <= to, oldest first, at most limit; more: there are others.
func (g *Grid) Times(fromMs, toMs int64, limit int) (times []int64, more bool) {
	for t, ok := g.Next(fromMs - 1); ok && t <= toMs; t, ok = g.Next(t) {
		if len(times) >= limit {
			return times, true
		}
		times = append(times, t)
	}
	return times, false
}

// endless is the grid without its end.
func (g *Grid) endless() *Grid {
	e := *g
	e.highMs = maxMs - 1
	return &e
}

// Period is the shortest distance of two times of the spec, for bounding the offset: that of an interval, of cron the least seen over the next times
// after an instant, whatever the end is, for an offset outlives a change of the end. 0: it fires once.
func (g *Grid) Period(afterMs int64) int64 {
	if g.periodMs > 0 {
		return g.periodMs
	}
	g = g.endless()
	least := int64(0)
	before, ok := g.Next(afterMs)
	for range periodSample {
		if !ok {
			break
		}
		var t int64
		if t, ok = g.Next(before); ok {
			if least == 0 || t-before < least {
				least = t - before
			}
			before = t
		}
	}
	return least
}

// newest is the last time from <= t <= to; false: there is none.
func (g *Grid) newest(fromMs, toMs int64) (int64, bool) {
	if g.periodMs > 0 {
		p := g.Between(fromMs, toMs)
		return p.LastMs, p.Count > 0
	}
	// found is a time; width of the window grows until there is one in it, then halves towards the last.
	found := int64(-1)
	for width := int64(60_000); ; width *= 2 {
		low := max(fromMs, toMs-width)
		if t, ok := g.Next(low - 1); ok && t <= toMs {
			found = t
			break
		}
		if low == fromMs {
			return 0, false
		}
	}
	// Invariant: found is a time <= to, and none is in high < t <= to.
	for high := toMs; found < high; {
		middle := found + (high-found)/2
		if t, ok := g.Next(middle); ok && t <= high {
			found = t
		} else {
			high = middle
		}
	}
	return found, true
}

// tail lists the newest n times from <= t <= to, oldest first.
func (g *Grid) tail(fromMs, toMs int64, n int) []int64 {
	if n <= 0 {
		return nil
	}
	low := toMs
	for width := int64(60_000); low > fromMs; width *= 2 {
		low = max(fromMs, toMs-width)
		if len(g.window(low, toMs, n)) == n {
			break
		}
	}
	// There are n in the window, or it is all. The newest of it, in a ring.
	ring := make([]int64, 0, n)
	at := 0
	for t, ok := g.Next(low - 1); ok && t <= toMs; t, ok = g.Next(t) {
		if len(ring) < n {
			ring = append(ring, t)
			continue
		}
		ring[at] = t
		at = (at + 1) % n
	}
	return append(ring[at:len(ring):len(ring)], ring[:at]...)
}

func (g *Grid) window(fromMs, toMs int64, n int) []int64 {
	times, _ := g.Times(fromMs, toMs, n)
	return times
}
