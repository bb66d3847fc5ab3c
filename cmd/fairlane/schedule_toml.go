package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// outputTOML is for verbs that show schedules: the file that schedule put takes.
const outputTOML = "toml"

// hasTOML lets a verb have -o toml.
func hasTOML(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{outputTOML: "yes"}
	return cmd
}

// printTOML writes schedules as a file that schedule put takes.
func (a *app) printTOML(list []*fairlanev1.ScheduleStatus) error {
	var schedules []*fairlanev1.Schedule
	var groups []string
	for _, s := range list {
		schedules = append(schedules, s.GetSchedule())
		groups = append(groups, s.GetSchedule().GetGroup())
	}
	slices.Sort(groups)
	if groups = slices.Compact(groups); len(groups) > 1 {
		if groups[0] == "" {
			groups[0] = "none"
		}
		return usagef(`a file has one group, and these schedules are of %s: say which with --group, or --group "" for those without one`, strings.Join(groups, ", "))
	}
	text, err := schedulefile.Write(strings.Join(groups, ""), schedules)
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}

// listAsTOML gets the payloads that a list leaves out. --group "" means those without a group here: a file has one.
func (a *app) listAsTOML(ctx context.Context, all *fairlanev1.ListSchedulesResponse, ungrouped bool) error {
	if ungrouped {
		all.Schedules = slices.DeleteFunc(all.Schedules, func(s *fairlanev1.ScheduleStatus) bool { return s.GetSchedule().GetGroup() != "" })
	}
	for i, s := range all.GetSchedules() {
		if s.GetSchedule().GetJob().GetPayload() != nil {
			continue
		}
		res, err := call(ctx, a, schedulesOf, fairlanev1connect.ScheduleServiceClient.GetSchedule, &fairlanev1.GetScheduleRequest{Name: s.GetSchedule().GetName()})
		if err != nil {
			return fmt.Errorf("schedule %s: %w", s.GetSchedule().GetName(), err)
		}
		all.Schedules[i] = res.GetStatus()
	}
	if next := all.GetNextAfterName(); next != "" {
		fmt.Fprintf(a.err, "these are not all: more with --after %s\n", next)
	}
	return a.printTOML(all.GetSchedules())
}
