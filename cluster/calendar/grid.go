package calendar

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// maxMs bounds every instant: 0 <= t < maxMs.
const maxMs = int64(1) << 53

// Longest texts in bytes.
const (
	maxSpec = 256
	maxZone = 64
)

// Definition is what a grid depends on.
type Definition struct {
	Spec, Zone string
	// StartMs and EndMs, both inclusive; 0: no bound.
	StartMs, EndMs int64
	// AnchorMs of an interval: its times are AnchorMs + k x period, for k >= 0 if StartMs is not 0 and k >= 1 if it is.
	AnchorMs int64
}

// FieldError says which field is wrong: what stands there, and what would be right.
type FieldError struct{ Field, Value, Want string }

func (e *FieldError) Error() string { return e.Field + ": " + strconv.Quote(e.Value) + ": " + e.Want }

// Grid is a definition that was read. It may be used by several goroutines at a time.
type Grid struct {
	zone *zone
	// lowMs and highMs, both inclusive, bound the times.
	lowMs, highMs int64
	// Exactly one kind: cron, an interval (periodMs > 0), or once.
	cron               *cron
	periodMs, anchorMs int64
	onceMs             int64
}

// Parse reads a definition. Errors are *FieldError. A spec whose fields name no date at all (30 February) is refused; one that is over is not.
func Parse(d Definition) (*Grid, error) {
	zone, err := loadZone(d.Zone)
	if err != nil {
		return nil, err
	}
	g := &Grid{zone: zone, lowMs: 0, highMs: maxMs - 1}
	if err := g.bound(d); err != nil {
		return nil, err
	}
	if err := g.read(d); err != nil {
		return nil, err
	}
	return g, nil
}

// bound takes over start and end.
func (g *Grid) bound(d Definition) error {
	for _, f := range []struct {
		name string
		ms   int64
	}{{"start", d.StartMs}, {"end", d.EndMs}, {"anchor", d.AnchorMs}} {
		if f.ms < 0 || f.ms >= maxMs {
			return &FieldError{f.name, strconv.FormatInt(f.ms, 10), "Unix milliseconds, at least 0 and less than 2^53"}
		}
	}
	if d.EndMs != 0 {
		if d.EndMs < d.StartMs {
			return &FieldError{"end", g.Local(d.EndMs), "not before the start, " + g.Local(d.StartMs)}
		}
		g.highMs = d.EndMs
	}
	g.lowMs = d.StartMs
	return nil
}

// read takes over the spec.
func (g *Grid) read(d Definition) (err error) {
	if len(d.Spec) > maxSpec {
		return &FieldError{"spec", d.Spec[:32] + "...", "at most 256 bytes; this has " + strconv.Itoa(len(d.Spec))}
	}
	spec := strings.Trim(d.Spec, " \t")
	if spec == "" {
		return &FieldError{"spec", d.Spec, "five fields such as \"30 2 * * mon-fri\", a macro such as @daily, @every 90s, or @at 2026-12-24T18:00:00+01:00"}
	}
	word, rest := spec, ""
	if i := strings.IndexAny(spec, " \t"); i >= 0 {
		word, rest = spec[:i], strings.Trim(spec[i:], " \t")
	}
	switch strings.ToLower(word) {
	case "@every":
		g.periodMs, err = parsePeriod(spec, rest)
		if err != nil {
			return err
		}
		g.anchorMs = d.AnchorMs
		if d.StartMs != 0 {
			g.anchorMs = d.StartMs
		} else {
			g.lowMs = d.AnchorMs + g.periodMs
		}
	case "@at":
		if g.onceMs, err = parseInstant(spec, rest); err != nil {
			return err
		}
		if g.onceMs < g.lowMs || g.onceMs > g.highMs {
			return &FieldError{"spec", spec, "an instant that is not before the start and not after the end"}
		}
	default:
		g.cron, err = parseCron(spec)
	}
	return err
}

// parseInstant reads what stands behind @at.
func parseInstant(spec, text string) (int64, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if wrong := (*time.ParseError)(nil); errors.As(err, &wrong) && wrong.Message != "" {
		return 0, &FieldError{"spec", spec, "a date and a time that come" + wrong.Message} // ": day out of range"
	}
	if err != nil {
		return 0, &FieldError{"spec", spec, "@at with date, time and offset, such as @at 2026-12-24T18:00:00+01:00 or @at 2026-12-24T17:00:00Z"}
	}
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		return 0, &FieldError{"spec", spec, "whole milliseconds"}
	}
	if ms := t.UnixMilli(); ms > 0 && ms < maxMs {
		return ms, nil
	}
	return 0, &FieldError{"spec", spec, "an instant after 1970"}
}

// Next is the first time of the grid after an instant; false: there is none.
func (g *Grid) Next(afterMs int64) (ms int64, ok bool) {
	low := g.lowMs
	if afterMs >= low {
		if afterMs >= g.highMs {
			return 0, false
		}
		low = afterMs + 1
	}
	switch {
	case g.cron != nil:
		var sec int64
		if sec, ok = g.cron.next(g.zone, ceilDiv(low, 1000)); !ok || sec > g.highMs/1000 {
			return 0, false
		}
		ms = sec * 1000
	case g.periodMs > 0:
		k := int64(0)
		if low > g.anchorMs {
			k = ceilDiv(low-g.anchorMs, g.periodMs)
		}
		if k > (maxMs-g.anchorMs)/g.periodMs {
			return 0, false
		}
		ms = g.anchorMs + k*g.periodMs
	default:
		ms = g.onceMs
	}
	if ms < low || ms > g.highMs {
		return 0, false
	}
	return ms, true
}

// Anchor gives anchor_ms and next_ms of a definition that is put now. An interval without a start counts from now; one with a start from there. next_ms
// is 0 if no time is left. One instant that is over is refused.
func Anchor(d Definition, nowMs int64) (anchorMs, nextMs int64, err error) {
	d.AnchorMs = nowMs
	g, err := Parse(d)
	if err != nil {
		return 0, 0, err
	}
	after := nowMs
	switch {
	case g.onceMs != 0:
		if g.onceMs < nowMs {
			return 0, 0, &FieldError{"spec", d.Spec, "an instant to come; this one is over"}
		}
		after = nowMs - 1
	case g.periodMs > 0:
		anchorMs = g.anchorMs
		after = nowMs - 1
	case d.StartMs >= nowMs:
		after = d.StartMs - 1
	}
	if nextMs, ok := g.Next(after); ok {
		return anchorMs, nextMs, nil
	}
	return anchorMs, 0, nil
}

// Local is an instant in the zone, with its offset: 2026-10-25T02:30:00+02:00.
func (g *Grid) Local(ms int64) string {
	layout := "2006-01-02T15:04:05-07:00"
	if ms%1000 != 0 {
		layout = "2006-01-02T15:04:05.000-07:00"
	}
	return time.UnixMilli(ms).In(g.zone.loc).Format(layout)
}

// ceilDiv is a / b, rounded up; b > 0.
func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }

// floorDiv is a / b, rounded down; b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
