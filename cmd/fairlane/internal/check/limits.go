package check

import (
	"fmt"
	"strconv"
	"time"
)

// Unit reads a limit.
type Unit func(text string) (float64, error)

// Count is a whole number.
func Count(text string) (float64, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("want a whole number")
	}
	return float64(n), nil
}

// Duration, as 90s or 1h30m, in seconds.
func Duration(text string) (float64, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("want a time such as 90s or 5m")
	}
	return d.Seconds(), nil
}

// Limits from which a value is a warning, and critical.
type Limits struct{ Warn, Crit float64 }

// ParseLimits of a command line.
func ParseLimits(warn, crit string, unit Unit) (Limits, error) {
	var l Limits
	var err error
	if l.Warn, err = unit(warn); err != nil {
		return l, fmt.Errorf("--warn %q: %w", warn, err)
	}
	if l.Crit, err = unit(crit); err != nil {
		return l, fmt.Errorf("--crit %q: %w", crit, err)
	}
	return l, nil
}

// above judges a value that is worse when it is higher.
func (l Limits) above(v float64) State {
	switch {
	case v >= l.Crit:
		return Critical
	case v >= l.Warn:
		return Warning
	}
	return OK
}

// below judges a value that is worse when it is lower.
func (l Limits) below(v float64) State {
	switch {
	case v <= l.Crit:
		return Critical
	case v <= l.Warn:
		return Warning
	}
	return OK
}

func (l Limits) value(name string, v float64, unit string) Value {
	return Value{Name: name, Value: v, Unit: unit, Warn: &l.Warn, Crit: &l.Crit}
}
