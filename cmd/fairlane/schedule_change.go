package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

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

func newSchedulePauseCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "pause SCHEDULE", Short: "Stop its fires; its jobs, waiting ticks and triggers go on", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
				s, err := c.PauseSchedule(ctx, args[0])
				if err != nil {
					return err
				}
				return a.print(&fairlanev1.PauseScheduleResponse{Status: s}, func(w io.Writer) { row(w, "paused "+args[0]) })
			})
		},
	}
}

func newScheduleResumeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "resume SCHEDULE", Short: "Go on at its next fire time; those in between are recorded as skipped", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
				s, err := c.ResumeSchedule(ctx, args[0])
				if err != nil {
					return err
				}
				return a.print(&fairlanev1.ResumeScheduleResponse{Status: s}, func(w io.Writer) { row(w, "resumed "+args[0]+nextText(s)) })
			})
		},
	}
}

// nextText is how a line goes on that tells of a schedule.
func nextText(s *fairlanev1.ScheduleStatus) string {
	switch {
	case s == nil || s.GetPaused():
		return ""
	case s.GetNext() == "":
		return ": it is over"
	}
	return ": next " + s.GetNext()
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

func newScheduleBackfillCmd(a *app) *cobra.Command {
	backfill := &cobra.Command{Use: "backfill SCHEDULE --from TIME --to TIME", Short: "Run the fire times of a range, one after another, at most 1,000", Args: cobra.ExactArgs(1),
		Long: `Run the fire times of a schedule from one time to another, both included, one after another and beside its own fires. Each job gets the
fire time for which it stands. They may have run before: nothing is left out. --dry-run counts them first.`,
		Example: `  fairlane schedule backfill nightly --from 2026-11-01T00:00:00Z --to 2026-11-07T23:59:59Z --dry-run
  fairlane schedule backfill nightly --from 48h --to 24h`}
	from := backfill.Flags().String("from", "", "first `time`: 2026-11-24T18:00:00Z, or so long ago (48h); required")
	to := backfill.Flags().String("to", "", "last `time`, given in the same way; required")
	dryRun := backfill.Flags().Bool("dry-run", false, "count them and run none")
	backfill.RunE = func(cmd *cobra.Command, args []string) error {
		if *from == "" || *to == "" {
			return usagef("%s: say both --from and --to", cmd.CommandPath())
		}
		now := time.Now()
		first, err := parseTime("from", *from, now)
		if err != nil {
			return err
		}
		last, err := parseTime("to", *to, now)
		if err != nil {
			return err
		}
		if last < first {
			return usagef("--to %s is before --from %s", *to, *from)
		}
		var options []fairlane.ScheduleOption
		done := "will run, one after another"
		if *dryRun {
			options, done = append(options, fairlane.DryRun()), "would run"
		}
		return a.change(cmd, func(ctx context.Context, c *fairlane.Client) error {
			n, err := c.BackfillSchedule(ctx, args[0], time.UnixMilli(first), time.UnixMilli(last), options...)
			if err != nil {
				return err
			}
			return a.print(&fairlanev1.BackfillScheduleResponse{Ticks: n}, func(w io.Writer) { row(w, fireTimesText(n)+" of "+args[0]+" "+done) })
		})
	}
	return backfill
}

func fireTimesText(n int64) string {
	if n == 1 {
		return "1 fire time"
	}
	return fmt.Sprintf("%d fire times", n)
}
