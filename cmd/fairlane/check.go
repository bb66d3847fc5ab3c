package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/check"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// exit codes of check, which are those of Nagios and not those of the other verbs.
const exitUnknown = 3

func newCheckCmd(a *app) *cobra.Command {
	group := &cobra.Command{
		Use: "check", Short: "Checks for monitoring: exit code 0 ok, 1 warning, 2 critical, 3 unknown",
		Long: `Checks for monitoring. The exit code is 0 ok, 1 warning, 2 critical, 3 unknown: no node answered in --timeout, or the command line is
wrong. --format text is for people, json for scripts, nagios one line with performance data, prometheus lines for the textfile collector.`,
	}
	group.AddCommand(newCheckClusterCmd(a), newCheckQueueCmd(a), newCheckWorkersCmd(a), newCheckLagCmd(a))
	return group
}

// codeOf a command line. A check that could not be made is unknown, whatever kept it from being made: 2 would be an alarm.
func codeOf(cmd *cobra.Command, err error) int {
	var own *exitError
	if cmd != nil && cmd.HasParent() && cmd.Parent().Name() == "check" && err != nil && !(errors.As(err, &own) && own.err == nil) {
		return exitUnknown
	}
	return exitCode(err)
}

// checkFlags are the limits and the format; what the limits count is the check's.
type checkFlags struct {
	warn, crit, format string
}

func (f *checkFlags) add(cmd *cobra.Command, warn, crit, unit string) {
	cmd.Flags().StringVar(&f.warn, "warn", warn, "`limit` from which it is a warning, "+unit)
	cmd.Flags().StringVar(&f.crit, "crit", crit, "`limit` from which it is critical, "+unit)
	cmd.Flags().StringVar(&f.format, "format", check.FormatText, "text, json, nagios or prometheus")
}

// run makes the check and ends with its code. Whatever keeps it from an answer is unknown, and still told in the format that was asked for.
func (f *checkFlags) run(cmd *cobra.Command, a *app, name string, parse check.Unit, do func(context.Context, check.Limits) (check.Result, error)) error {
	if !check.KnownFormat(f.format) {
		return &exitError{exitUnknown, fmt.Errorf("--format %q: want text, json, nagios or prometheus", f.format)}
	}
	limits, err := check.ParseLimits(f.warn, f.crit, parse)
	if err != nil {
		return &exitError{exitUnknown, err}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout+5*time.Second)
	defer cancel()
	result, err := do(ctx, limits)
	if err != nil {
		result = check.Result{State: check.Unknown, Text: describe(err).Message}
	}
	result.Check = name
	if err := result.Print(a.out, f.format); err != nil {
		return err
	}
	if result.State == check.OK {
		return nil
	}
	return &exitError{code: int(result.State)}
}

func newCheckClusterCmd(a *app) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use: "cluster", Short: "A leader, all nodes there and ready, and how many more may fail", Args: cobra.NoArgs,
		Long: `Critical without a leader, and when as few voters answer as --crit: with one less nothing is decided. A warning when a node does not answer or is not
ready, when something keeps a node from leading, or when a certificate ends within --cert-days. --warn and --crit are how many more
voters may fail.`,
	}
	f.add(cmd, "0", "-1", "voters that may still fail")
	days := cmd.Flags().Int("cert-days", 14, "warn when a certificate ends in fewer days; critical when it has ended")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.run(cmd, a, "cluster", check.Count, func(ctx context.Context, l check.Limits) (check.Result, error) {
			s, nodes, err := clusterStatus(cmd, a, false)
			if err != nil {
				return check.Result{}, err
			}
			return check.Cluster(s, nodes, l, *days, time.Now()), nil
		})
	}
	return cmd
}

func newCheckQueueCmd(a *app) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use: "queue QUEUE", Short: "How long the oldest job of a queue has waited, or how many wait", Args: cobra.ExactArgs(1),
		Long: `--warn and --crit are a time (5m), for the job that has waited longest, or with --by jobs a number of waiting jobs. A queue that is paused while
jobs wait is at least a warning.`,
	}
	f.add(cmd, "5m", "30m", "a time; with --by jobs a number")
	by := cmd.Flags().String("by", "wait", "wait or jobs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		unit := check.Duration
		switch *by {
		case "wait":
		case "jobs":
			unit = check.Count
			if !cmd.Flags().Changed("warn") || !cmd.Flags().Changed("crit") {
				return &exitError{exitUnknown, errors.New("--by jobs needs --warn and --crit: numbers of waiting jobs")}
			}
		default:
			return &exitError{exitUnknown, fmt.Errorf("--by %q: want wait or jobs", *by)}
		}
		return f.run(cmd, a, "queue", unit, func(ctx context.Context, l check.Limits) (check.Result, error) {
			res, err := call(ctx, a, queuesOf, fairlanev1connect.QueueServiceClient.GetQueue, &fairlanev1.GetQueueRequest{Name: args[0]})
			if err != nil {
				return check.Result{}, err
			}
			return check.Queue(res.GetQueue(), *by == "jobs", l), nil
		})
	}
	return cmd
}

func newCheckWorkersCmd(a *app) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use: "workers", Short: "How many workers take jobs, and whether every waiting queue has one", Args: cobra.NoArgs,
		Long: `--warn and --crit are the numbers of workers at or below which it is one; draining workers do not count. Jobs that wait in a queue which no worker
takes are at least a warning.`,
	}
	f.add(cmd, "0", "0", "workers that are left")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.run(cmd, a, "workers", check.Count, func(ctx context.Context, l check.Limits) (check.Result, error) {
			workers, err := allWorkers(ctx, a)
			if err != nil {
				return check.Result{}, err
			}
			queues, err := call(ctx, a, queuesOf, fairlanev1connect.QueueServiceClient.ListQueues, &fairlanev1.ListQueuesRequest{})
			if err != nil {
				return check.Result{}, err
			}
			return check.Workers(workers.GetWorkers(), queues.GetQueues(), l), nil
		})
	}
	return cmd
}

func newCheckLagCmd(a *app) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use: "lag", Short: "How many log entries the slowest node is behind", Args: cobra.NoArgs,
		Long: "--warn and --crit are log entries between what is committed and what the slowest node that answers has in its state.",
	}
	f.add(cmd, "2048", "10000", "log entries")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.run(cmd, a, "lag", check.Count, func(ctx context.Context, l check.Limits) (check.Result, error) {
			_, nodes, err := clusterStatus(cmd, a, false)
			if err != nil {
				return check.Result{}, err
			}
			return check.Lag(nodes, l), nil
		})
	}
	return cmd
}
