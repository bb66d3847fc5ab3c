package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// filterNames are the flags of filterFlags.
var filterNames = []string{"queue", "user", "kind", "state", "label", "since", "until", "id-prefix", "schedule"}

// filterFlags adds the flags that select jobs. The function given back makes the filter of them.
func filterFlags(cmd *cobra.Command) func() (*fairlanev1.JobFilter, error) {
	f := cmd.Flags()
	filter := &fairlanev1.JobFilter{}
	f.StringVar(&filter.Queue, "queue", "", "only jobs of this queue")
	f.StringVar(&filter.User, "user", "", "only jobs of this user")
	f.StringVar(&filter.Kind, "kind", "", "only jobs of this kind")
	f.StringVar(&filter.IdPrefix, "id-prefix", "", "only jobs whose id begins with these digits")
	f.StringVar(&filter.Schedule, "schedule", "", "only jobs that the schedule of this `name` made")
	states := f.StringSlice("state", nil, "only jobs in these `states`")
	f.StringToStringVar(&filter.Labels, "label", nil, "only jobs with this label, `name=value`; all of them when given several times")
	since := f.String("since", "", "only jobs enqueued since this `time`: so long ago (2h), or 2026-11-24T18:00:00Z")
	until := f.String("until", "", "only jobs enqueued before this `time`, given in the same way")
	return func() (_ *fairlanev1.JobFilter, err error) {
		if filter.States, err = parseStates(*states); err != nil {
			return nil, err
		}
		now := time.Now()
		if filter.EnqueuedFromMs, err = parseTime("since", *since, now); err != nil {
			return nil, err
		}
		if filter.EnqueuedBeforeMs, err = parseTime("until", *until, now); err != nil {
			return nil, err
		}
		for _, c := range filter.IdPrefix {
			if c < '0' || c > '9' {
				return nil, usagef("--id-prefix %q: want the first digits of an id", filter.IdPrefix)
			}
		}
		return filter, nil
	}
}

func parseStates(names []string) (states []fairlanev1.JobState, err error) {
	for _, name := range names {
		state, err := parseState(name)
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}

// parseTime reads an instant, or how long ago it was, as Unix milliseconds; empty: 0.
func parseTime(flag, text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil && at.UnixMilli() > 0 {
		return at.UnixMilli(), nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 && now.Add(-ago).UnixMilli() > 0 {
		return now.Add(-ago).UnixMilli(), nil
	}
	return 0, usagef("--%s %q: want how long ago, for example 90m or 48h, or a time such as 2026-11-24T18:00:00Z", flag, text)
}

// anyFilter reports whether the command line selects jobs.
func anyFilter(cmd *cobra.Command) bool {
	for _, name := range filterNames {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func parseID(s string) (uint64, error) {
	id, err := strconv.ParseUint(s, 10, 64)
	if err != nil || id == 0 {
		return 0, usagef("%q is not the id of a job: want a number from 1", s)
	}
	return id, nil
}

func parseIDs(args []string) (ids []uint64, err error) {
	for _, arg := range args {
		id, err := parseID(arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
