package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

func newScheduleDeleteCmd(a *app) *cobra.Command {
	del := &cobra.Command{Use: "delete SCHEDULE", Short: "Delete a schedule with its history and its waiting ticks; its jobs stay, and run", Args: cobra.ExactArgs(1)}
	yes := del.Flags().Bool("yes", false, "do not ask")
	del.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes && !a.terminal {
			return usagef("%s: say --yes (nobody can be asked: the input is no terminal)", cmd.CommandPath())
		}
		if !*yes && !a.ask(fmt.Sprintf("delete schedule %s with its history?", args[0])) {
			return &exitError{exitFailed, fmt.Errorf("nothing was deleted")}
		}
		return a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
			if err := c.DeleteSchedule(ctx, args[0]); err != nil {
				return err
			}
			return a.print(&fairlanev1.DeleteScheduleResponse{}, func(w io.Writer) { row(w, "deleted "+args[0]) })
		})
	}
	return del
}

// ask a question on a terminal.
func (a *app) ask(question string) bool {
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(a.in).ReadString('\n')
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

// nextText is how a line goes on that tells of a schedule.
func nextText(s *fairlanev1.ScheduleStatus) string {
	switch {
	case s == nil || s.GetPaused():
		return ""
	case s.GetNextMs() == 0:
		return ": it is over"
	}
	// An answer that a repeated call gets again is without the text.
	return ": next " + cmp.Or(s.GetNext(), instant(s.GetNextMs()))
}

func newScheduleTriggerCmd(a *app) *cobra.Command {
	trigger := &cobra.Command{Use: "trigger SCHEDULE", Short: "Run it now, paused or not; prints the id of the job", Args: cobra.ExactArgs(1)}
	wait := trigger.Flags().Bool("wait", false, "wait for the end of the job; the exit code is that of job wait")
	trigger.RunE = func(cmd *cobra.Command, args []string) error {
		var id uint64
		err := a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
			job, err := c.TriggerSchedule(ctx, args[0])
			if err == nil {
				id = uint64(job.ID)
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case *wait:
			return a.waitForJob(cmd, id, 0)
		}
		return a.print(&fairlanev1.TriggerScheduleResponse{Job: id}, func(w io.Writer) { row(w, id) })
	}
	return trigger
}
