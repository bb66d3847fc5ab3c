package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/shell"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

type workFlags struct {
	lanes, capacity string
	name, user      string
	snooze          time.Duration
	grace, killWait time.Duration
	formerGone      bool
	stream          bool
}

func newWorkCmd(a *app) *cobra.Command {
	var f workFlags
	cmd := &cobra.Command{
		Use: "work [flags] -- COMMAND [ARGUMENT]...", Short: "Run a command for each job", Args: cobra.MinimumNArgs(1),
		Long: `Run a command for each job. The job's payload is its standard input, its standard output (at most 1 MiB) is the result, and
its environment has FAIRLANE_JOB_ID, FAIRLANE_FENCE, FAIRLANE_KIND, FAIRLANE_QUEUE, FAIRLANE_USER, FAIRLANE_ATTEMPT,
FAIRLANE_LANE, FAIRLANE_COORDINATOR, and if a schedule made it FAIRLANE_SCHEDULE, FAIRLANE_FIRE_TIME and FAIRLANE_FIRE_CAUSE. Its exit code decides: 0 succeeded; 100 failed for good; 75 not now, back after --snooze, no attempt charged;
any other failed, tried again while attempts are left. The end of its error output becomes the job's error. With --stream its
standard output can also be read while it runs.

When the claim is lost or the job is cancelled, the command and all it started get SIGTERM, and SIGKILL after --kill-after.
SIGTERM to the worker drains it: no new jobs, --grace for those that run, the rest is given back.`,
		Example: `  fairlane work -- sh -c 'cat; sleep 1'
  fairlane work --lanes "fast_lane:1 manual>*:4" -- ./convert.sh`,
		RunE: func(cmd *cobra.Command, args []string) error { return runWork(cmd, a, f, args) },
	}
	laneFlags(cmd, &f.lanes, &f.capacity)
	flags := cmd.Flags()
	flags.StringVar(&f.name, "worker-name", "", "`name` of this worker, unique among live ones; default: host and process")
	flags.StringVar(&f.user, "only-user", "", "serve this `user` only")
	flags.DurationVar(&f.snooze, "snooze", time.Minute, "how long a job stays away after exit code 75")
	flags.DurationVar(&f.grace, "grace", 30*time.Second, "how long running jobs may go on after SIGTERM")
	flags.DurationVar(&f.killWait, "kill-after", 5*time.Second, "time between SIGTERM and SIGKILL for a command")
	flags.BoolVar(&f.formerGone, "former-gone", false, "the process that had this name before is dead: do not wait for its leases")
	flags.BoolVar(&f.stream, "stream", false, "send the standard output as the job's output while the command runs; it is the result all the same")
	return cmd
}

// laneFlags adds the two spellings of a worker's lanes. --workloops is the same as --lanes.
func laneFlags(cmd *cobra.Command, lanes, capacity *string) {
	cmd.Flags().StringVar(lanes, "lanes", config.DefaultLanes, "`lanes`, for example \"fast_lane:1 manual>*:4\" (also --workloops); variable FAIRLANE_LANES")
	cmd.Flags().StringVar(capacity, "capacity", "", "`number` of slots, the same as --lanes \"manual>*:N\"; variable FAIRLANE_CAPACITY")
}

// lanesOf decides and checks the lanes of a worker before it asks anybody.
func (a *app) lanesOf(cmd *cobra.Command, lanes, capacity string) (string, error) {
	file, err := a.file()
	if err != nil {
		return "", err
	}
	sources := config.LaneSources{Env: a.env, File: file}
	if cmd.Flags().Changed("lanes") {
		sources.LanesFlag = &lanes
	}
	if cmd.Flags().Changed("capacity") {
		sources.CapacityFlag = &capacity
	}
	text, err := config.Lanes(sources)
	if err != nil {
		return "", &exitError{exitUsage, err}
	}
	_, warnings, err := scheduler.ParseLanes(text)
	var bad *scheduler.LaneError
	if errors.As(err, &bad) {
		return "", usagef("lanes: %s: %s\n  %s\n  %s^", bad.Code, bad.Message, oneLine(text), strings.Repeat(" ", bad.Offset))
	}
	if err != nil {
		return "", usagef("lanes %q: %w", text, err)
	}
	for _, w := range warnings {
		fmt.Fprintf(a.err, "fairlane: lanes %q: %v\n", text, w)
	}
	return text, nil
}

// oneLine keeps every byte in its column under which a caret may stand.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
}

func runWork(cmd *cobra.Command, a *app, f workFlags, argv []string) error {
	lanes, err := a.lanesOf(cmd, f.lanes, f.capacity)
	if err != nil {
		return err
	}
	client, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	log := slog.New(slog.NewTextHandler(a.err, nil))
	options := []fairlane.WorkerOption{fairlane.Lanes(lanes), fairlane.Grace(f.grace), fairlane.WorkerLogger(log)}
	if f.name != "" {
		options = append(options, fairlane.WorkerName(f.name))
	}
	if f.user != "" {
		options = append(options, fairlane.OnlyUser(f.user))
	}
	if f.formerGone {
		options = append(options, fairlane.FormerGone())
	}
	worker := fairlane.NewWorker(client, options...)
	command := shell.Command{Argv: argv, Grace: f.killWait, Stderr: a.err, OnAbort: a.onAbort}
	worker.HandleRest(func(ctx context.Context, job *fairlane.RawJob) ([]byte, error) {
		command := command
		if f.stream {
			command.Stdout = job.Output()
		}
		result, err := command.Run(ctx, jobEnv(os.Environ(), job), job.Payload)
		return result, f.outcome(err)
	})
	fmt.Fprintf(a.err, "working in lanes %q\n", lanes)
	return worker.Run(cmd.Context())
}

// outcome turns the end of a command into what the SDK reports.
func (f workFlags) outcome(err error) error {
	var exit *shell.ExitError
	switch {
	case errors.As(err, &exit) && exit.Code == shell.ExitDiscard, errors.Is(err, shell.ErrResultTooLarge):
		return fairlane.Discard(err)
	case errors.As(err, &exit) && exit.Code == shell.ExitSnooze:
		return fairlane.Snooze(f.snooze)
	}
	return err
}

// jobEnv is the worker's environment with the job's variables; those of a job around this worker do not shine through.
func jobEnv(env []string, job *fairlane.RawJob) []string {
	fire := ""
	if !job.FireTime.IsZero() {
		fire = job.FireTime.UTC().Format(time.RFC3339Nano)
	}
	own := []string{
		"FAIRLANE_JOB_ID=" + strconv.FormatUint(uint64(job.ID), 10),
		"FAIRLANE_FENCE=" + strconv.FormatUint(uint64(job.Fence), 10),
		"FAIRLANE_KIND=" + job.Kind,
		"FAIRLANE_QUEUE=" + job.Queue,
		"FAIRLANE_USER=" + job.User,
		"FAIRLANE_ATTEMPT=" + strconv.Itoa(job.Attempt),
		"FAIRLANE_LANE=" + strconv.Itoa(job.Lane),
		"FAIRLANE_COORDINATOR=" + job.Coordinator,
		"FAIRLANE_SCHEDULE=" + job.Schedule,
		"FAIRLANE_FIRE_TIME=" + fire,
		"FAIRLANE_FIRE_CAUSE=" + string(job.FireCause),
	}
	return append(slices.Clone(env), own...)
}
