package config

import (
	"errors"
	"testing"
)

func TestLanes(t *testing.T) {
	text := func(s string) *string { return &s }
	both := "both"
	for _, c := range []struct {
		name            string
		lanes, capacity *string
		env             map[string]string
		file            string
		want            string
	}{
		{name: "nothing", want: "manual>*:5"},
		{name: "flag", lanes: text("a:1"), want: "a:1"},
		{name: "capacity flag", capacity: text("3"), want: "manual>*:3"},
		{name: "both flags", lanes: text("a:1"), capacity: text("3"), want: both},
		{name: "variable", env: map[string]string{"FAIRLANE_LANES": "a:1"}, want: "a:1"},
		{name: "capacity variable", env: map[string]string{"FAIRLANE_CAPACITY": "3"}, want: "manual>*:3"},
		{name: "both variables", env: map[string]string{"FAIRLANE_LANES": "a:1", "FAIRLANE_CAPACITY": "3"}, want: both},
		{name: "flag beats its variable", lanes: text("a:1"), env: map[string]string{"FAIRLANE_LANES": "b:1"}, want: "a:1"},
		{name: "capacity beats its variable", capacity: text("2"), env: map[string]string{"FAIRLANE_CAPACITY": "3"}, want: "manual>*:2"},
		{name: "flag against the other variable", lanes: text("a:1"), env: map[string]string{"FAIRLANE_CAPACITY": "3"}, want: both},
		{name: "capacity against the other variable", capacity: text("2"), env: map[string]string{"FAIRLANE_LANES": "a:1"}, want: both},
		{name: "flag with both variables", lanes: text("a:1"), env: map[string]string{"FAIRLANE_LANES": "b:1", "FAIRLANE_CAPACITY": "3"}, want: both},
		{name: "empty flag is given", lanes: text(""), want: ""},
		{name: "empty variable is given", env: map[string]string{"FAIRLANE_LANES": ""}, want: ""},
		{name: "empty variable against capacity", capacity: text("2"), env: map[string]string{"FAIRLANE_LANES": ""}, want: both},
		{name: "capacity 0 goes to the grammar", capacity: text("0"), want: "manual>*:0"},
		{name: "file", file: "[worker]\nlanes='a:1'", want: "a:1"},
		{name: "file capacity", file: "[worker]\ncapacity=4", want: "manual>*:4"},
		{name: "file both", file: "[worker]\nlanes='a:1'\ncapacity=4", want: both},
		{name: "flag over file", capacity: text("2"), file: "[worker]\nlanes='a:1'", want: "manual>*:2"},
		{name: "variable over file", env: map[string]string{"FAIRLANE_LANES": "b:1"}, file: "[worker]\ncapacity=4", want: "b:1"},
	} {
		got, err := Lanes(LaneSources{c.lanes, c.capacity, env(c.env), file(t, c.file)})
		if c.want == both {
			if !errors.Is(err, ErrBothLanesAndCapacity) {
				t.Errorf("%s: got %q, %v", c.name, got, err)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// TestCapacityIsOneLane: a capacity cannot smuggle in another lane.
func TestCapacityIsOneLane(t *testing.T) {
	for _, smuggled := range []string{"1 b:2", "1\tb:2", "1@1GiB", "1:2", "1>2"} {
		if got, err := Lanes(LaneSources{CapacityFlag: &smuggled, Env: env(nil)}); err == nil {
			t.Errorf("%q became %q", smuggled, got)
		}
	}
}
