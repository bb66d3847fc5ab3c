package config

import (
	"errors"
	"fmt"
	"strings"
)

// DefaultLanes of a worker that was told nothing.
const DefaultLanes = "manual>*:5"

// ErrBothLanesAndCapacity is the refusal of a worker that was told its lanes twice.
var ErrBothLanesAndCapacity = errors.New("lanes and capacity exclude each other")

// LaneSources are the places where a worker's lanes or its capacity may be given. Nil: not given there. An empty text is
// given: empty lanes are no lanes, not the default ones.
type LaneSources struct {
	LanesFlag, CapacityFlag *string
	Env                     Lookup
	File                    *File
}

// Lanes decides what a worker's lanes are, in the grammar of docs/lanes.md; whether they are well formed is the parser's to
// say. Lanes and capacity are two spellings of one setting: both given, by flag or by variable, is an error, also across
// the two; the file counts only when neither flag nor variable says anything.
func Lanes(s LaneSources) (string, error) {
	lanes := first(flag("--lanes", s.LanesFlag), variable(s.Env, "FAIRLANE_LANES"))
	capacity := first(flag("--capacity", s.CapacityFlag), variable(s.Env, "FAIRLANE_CAPACITY"))
	if lanes == nil && capacity == nil {
		lanes, capacity = key(s.File, "worker.lanes"), key(s.File, "worker.capacity")
	}
	switch {
	case lanes != nil && capacity != nil:
		return "", fmt.Errorf("%w: %s says %q and %s says %q; give one of them", ErrBothLanesAndCapacity,
			lanes.origin, lanes.value, capacity.origin, capacity.value)
	case lanes != nil:
		return lanes.value, nil
	case capacity != nil:
		// The count goes through the grammar of lanes, which knows what is wrong with it; a blank would begin another lane.
		if strings.ContainsAny(capacity.value, " \t\n\v\f\r@:>") {
			return "", fmt.Errorf("%s = %q: want a whole number of at least 1", capacity.origin, capacity.value)
		}
		return "manual>*:" + capacity.value, nil
	}
	return DefaultLanes, nil
}

type given struct{ origin, value string }

func flag(name string, value *string) *given {
	if value == nil {
		return nil
	}
	return &given{name, *value}
}

func variable(env Lookup, name string) *given {
	if v, ok := env(name); ok {
		return &given{name, v}
	}
	return nil
}

func key(f *File, name string) *given {
	if v, ok := f.Value(name); ok {
		return &given{f.Path + ": " + name, v}
	}
	return nil
}

func first(options ...*given) *given {
	for _, g := range options {
		if g != nil {
			return g
		}
	}
	return nil
}
