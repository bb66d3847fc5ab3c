package calendar

import "time"

// Note says what is special about a time: that the clock was set forward and it is shifted, or set back. Empty: nothing.
func (g *Grid) Note(ms int64) string {
	if g.cron == nil || ms%1000 != 0 || ms < 0 || ms >= maxMs {
		return ""
	}
	sec := ms / 1000
	s := g.zone.at(sec)
	if g.cron.fixed {
		if note := g.shiftNote(s, sec); note != "" {
			return note
		}
	}
	return g.twiceNote(s, sec)
}

// shiftNote: a local time that the spec names was left out, and this is where it went.
func (g *Grid) shiftNote(s segment, sec int64) string {
	for s.start > dawn && sec-s.start <= span {
		before := g.zone.at(s.start - 1)
		n := sec + before.offset
		if n < s.start+s.offset && g.cron.names(n) && g.zone.first(n) == sec {
			return "shifted: " + wall(n) + " does not come, the clock is set forward from " + wall(s.start+before.offset) + " to " + wall(s.start+s.offset)
		}
		s = before
	}
	return ""
}

// twiceNote: the local time comes twice.
func (g *Grid) twiceNote(s segment, sec int64) string {
	local := sec + s.offset
	for b := s; b.start > dawn && sec-b.start <= span; {
		b = g.zone.at(b.start - 1)
		if t := local - b.offset; b.start <= t && t < b.end {
			return "second passage: the clock was set back, and " + wall(local) + " comes twice"
		}
	}
	for a := s; a.end < dusk && a.end-sec <= span; {
		a = g.zone.at(a.end)
		if t := local - a.offset; a.start <= t && t < a.end {
			if g.cron.fixed {
				return "first of two: the clock is set back, and " + wall(local) + " comes twice; it runs once"
			}
			return "first passage: the clock is set back, and " + wall(local) + " comes twice"
		}
	}
	return ""
}

// wall is a local time as the clock on the wall shows it.
func wall(local int64) string { return time.Unix(local, 0).UTC().Format("2006-01-02 15:04") }
