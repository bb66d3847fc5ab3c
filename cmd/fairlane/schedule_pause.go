package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/client"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// scheduleSwitch is pause or resume, of one schedule, of several, or of a group.
type scheduleSwitch struct {
	do   func(*fairlane.Client, context.Context, string) (*fairlane.ScheduleInfo, error)
	done func(*fairlanev1.ScheduleStatus) string
	// answer with -o json when one schedule is named.
	answer func(*fairlanev1.ScheduleStatus) proto.Message
}

func newSchedulePauseCmd(a *app) *cobra.Command {
	pause := &cobra.Command{Use: "pause (SCHEDULE... | --group GROUP)", Short: "Stop its fires; its jobs, waiting ticks and triggers go on",
		Example: `  fairlane schedule pause nightly
  fairlane schedule pause --group billing     # all of it, for example before maintenance`}
	return scheduleSwitch{
		do:     (*fairlane.Client).PauseSchedule,
		done:   func(s *fairlanev1.ScheduleStatus) string { return "paused " + s.GetSchedule().GetName() },
		answer: func(s *fairlanev1.ScheduleStatus) proto.Message { return &fairlanev1.PauseScheduleResponse{Status: s} },
	}.on(pause, a)
}

func newScheduleResumeCmd(a *app) *cobra.Command {
	resume := &cobra.Command{Use: "resume (SCHEDULE... | --group GROUP)", Short: "Go on at its next fire time; those in between are recorded as skipped",
		Example: `  fairlane schedule resume nightly
  fairlane schedule resume --group billing    # all of it, also what was paused alone`}
	return scheduleSwitch{
		do:     (*fairlane.Client).ResumeSchedule,
		done:   func(s *fairlanev1.ScheduleStatus) string { return "resumed " + s.GetSchedule().GetName() + nextText(s) },
		answer: func(s *fairlanev1.ScheduleStatus) proto.Message { return &fairlanev1.ResumeScheduleResponse{Status: s} },
	}.on(resume, a)
}

func (s scheduleSwitch) on(cmd *cobra.Command, a *app) *cobra.Command {
	group := cmd.Flags().String("group", "", "all schedules of this `group`")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if (len(names) == 0) == (*group == "") {
			return usagef("%s: name schedules, or a --group", cmd.CommandPath())
		}
		client, err := a.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer client.Close()
		if *group != "" {
			if names, err = a.namesOfGroup(cmd.Context(), client, *group); err != nil {
				return err
			}
		}
		return s.run(cmd.Context(), a, client, names, *group == "" && len(names) == 1)
	}
	return cmd
}

// run tells of each as soon as it is done, and stops at the first that is refused.
func (s scheduleSwitch) run(ctx context.Context, a *app, client *fairlane.Client, names []string, alone bool) error {
	all := &fairlanev1.ListSchedulesResponse{}
	for i, name := range names {
		status, err := s.one(ctx, a, client, name)
		if err != nil {
			return after(fmt.Sprintf("after %d of %d schedules, at %s: ", i, len(names), name), err, alone)
		}
		status.Schedule = &fairlanev1.Schedule{Name: name}
		all.Schedules = append(all.Schedules, status)
		if a.output != outputJSON {
			fmt.Fprintln(a.out, s.done(status))
		}
	}
	switch {
	case a.output != outputJSON:
		return nil
	case alone:
		return a.print(s.answer(all.Schedules[0]), func(io.Writer) {})
	}
	return a.print(all, func(io.Writer) {})
}

func (s scheduleSwitch) one(ctx context.Context, a *app, client *fairlane.Client, name string) (*fairlanev1.ScheduleStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	status, err := s.do(client, ctx, name)
	if status == nil {
		status = &fairlanev1.ScheduleStatus{}
	}
	return status, err
}

func (a *app) namesOfGroup(ctx context.Context, client *fairlane.Client, group string) (names []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	for s, err := range client.Schedules(ctx, fairlane.ScheduleFilter{Group: group}) {
		if err != nil {
			return nil, err
		}
		names = append(names, s.GetSchedule().GetName())
	}
	if len(names) == 0 {
		return nil, &exitError{exitFailed, fmt.Errorf("no schedule is of group %s. See fairlane schedule list", group)}
	}
	return names, nil
}
