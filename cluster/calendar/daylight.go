package calendar

const (
	// maxOffset bounds the offset of a zone from UTC, in seconds (RFC 8536).
	maxOffset = 26 * 3600
	// span bounds the difference of two offsets. Farther than that from where a segment begins, no local time comes twice or is shifted.
	span = 2 * maxOffset
	// maxSec is the last whole second of an instant.
	maxSec = (maxMs - 1) / 1000
)

// next is the first time >= low, in Unix seconds.
func (c *cron) next(z *zone, low int64) (int64, bool) {
	for low <= maxSec {
		s := z.at(low)
		n, ok := c.from(low + s.offset)
		if !ok {
			return 0, false
		}
		best := s.end
		if t := c.inside(z, s, n); t < best {
			best = t
		}
		if c.fixed && low-s.start <= span {
			best = c.shifted(z, s, low, best)
		}
		if best < s.end {
			return best, best <= maxSec
		}
		// Nothing in this segment. Local times before low's can come again for at most span; later than that, it is n or after it.
		far := n - s.offset - span
		if s.end >= low+span && far > s.end {
			low = far
		} else {
			low = s.end
		}
	}
	return 0, false
}

// maxCount bounds how many times of cron are counted.
const maxCount = 1_000_000

// count counts the times from <= t < to, in Unix seconds, up to maxCount; more: there are others. Far from a change of the clock it counts days, not times.
func (c *cron) count(z *zone, from, to int64) (n int64, more bool) {
	for from < to {
		s := z.at(from)
		end := min(s.end, to)
		if near := s.start + span + 1; c.fixed && from < near {
			end = min(end, near)
			t, ok := c.next(z, from)
			if !ok {
				break
			}
			if t < end {
				n++
				end = t + 1
			}
		} else {
			end = min(end, from+366*daySeconds) // so that it stops soon after the bound
			n += c.localCount(from+s.offset, end+s.offset)
		}
		if n > maxCount {
			return maxCount, true
		}
		from = end
	}
	return n, false
}

// inside is the first instant of a segment whose own local time runs, n being the first local time in question that the fields name. The segment's
// end or more: none.
func (c *cron) inside(z *zone, s segment, n int64) int64 {
	for {
		t := n - s.offset
		if t >= s.end || !c.fixed || t-s.start > span || z.first(n) == t {
			return t
		}
		var ok bool
		if n, ok = c.from(n + 60); !ok {
			return s.end
		}
	}
}

// shifted is the first instant >= low, before best, to which a local time is shifted over which the clock was set forward; else best. It looks at the
// beginning of the segment and at those shortly before.
func (c *cron) shifted(z *zone, s segment, low, best int64) int64 {
	for s.start > dawn && low-s.start <= span {
		before := z.at(s.start - 1)
		n, ok := c.from(max(low, s.start) + before.offset)
		for ok && n < s.start+s.offset && n-before.offset < best {
			if z.first(n) == n-before.offset {
				best = n - before.offset
			}
			n, ok = c.from(n + 60)
		}
		s = before
	}
	return best
}

// first is the instant of a local time: the first at which the clock shows it. If it never does, the one at which it would, had the clock not been set
// forward: that is the local time plus the size of the gap.
func (z *zone) first(n int64) int64 {
	s := z.at(n - maxOffset)
	shifted, gap := int64(0), false
	for {
		if t := n - s.offset; s.start <= t && t < s.end {
			return t
		}
		if s.end > n+maxOffset {
			break
		}
		after := z.at(s.end)
		if !gap && s.end+s.offset <= n && n < s.end+after.offset {
			shifted, gap = n-s.offset, true
		}
		s = after
	}
	if !gap {
		panic("calendar: a local time of the zone " + z.name + " is neither shown nor left out")
	}
	return shifted
}
