package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

type enqueueFlags struct {
	queue, user, key string
	priority         int32
	in               time.Duration
	at               string
	memory           string
	labels           map[string]string
	front, wait      bool
	coordinator      string
	limits           func(*cobra.Command) (*fairlanev1.JobLimits, error)
}

func newEnqueueCmd(a *app) *cobra.Command {
	var f enqueueFlags
	cmd := &cobra.Command{
		Use: "enqueue KIND [JSON | @FILE | -]", Short: "Add a job", Args: cobra.RangeArgs(1, 2),
		Long: `Add a job. The payload is JSON: the second argument, a file (@FILE), or the standard input (-). Anything that is not JSON is
sent as bytes. Printed is the id of the job; it is on a majority of disks then.

With --wait the command waits for the end of the job and its exit code is that of job wait.`,
		Example: `  fairlane enqueue hello '{"name":"world"}' --user ana
  fairlane enqueue report @parameters.json --queue manual --in 10m --key report:2026-11`,
		RunE: func(cmd *cobra.Command, args []string) error { return runEnqueue(cmd, a, f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.queue, "queue", "", "queue; empty: default")
	flags.StringVar(&f.user, "user", "", "user whose turn it takes")
	flags.StringVar(&f.key, "key", "", "idempotency `key`: a second job of this user with the same key is the first one")
	flags.Int32Var(&f.priority, "priority", 0, "larger goes first")
	flags.DurationVar(&f.in, "in", 0, "wait this long before it can run")
	flags.StringVar(&f.at, "at", "", "`time` before which it does not run, for example 2026-12-24T18:00:00Z")
	flags.StringVar(&f.memory, "memory", "", "memory it needs, for example 512MiB")
	flags.StringToStringVar(&f.labels, "label", nil, "`name=value`, any number of them")
	flags.BoolVar(&f.front, "front", false, "before this user's other jobs in the queue")
	flags.StringVar(&f.coordinator, "coordinator", "", "`name` under which jobs and schedules run strictly one after the other")
	flags.BoolVar(&f.wait, "wait", false, "wait for its end")
	f.limits = limitFlags(cmd)
	return cmd
}

func runEnqueue(cmd *cobra.Command, a *app, f enqueueFlags, args []string) error {
	options, err := f.options(cmd)
	if err != nil {
		return err
	}
	payload, err := a.payload(args[1:])
	if err != nil {
		return err
	}
	client, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	job, err := client.Enqueue(ctx, args[0], payload, options...)
	if err != nil {
		return err
	}
	if f.wait {
		return a.waitForJob(cmd, uint64(job.ID), 0)
	}
	return a.print(&fairlanev1.EnqueueResponse{Id: uint64(job.ID), Deduplicated: job.Deduplicated}, func(w io.Writer) {
		note := ""
		if job.Deduplicated {
			note = " (known by its key)"
		}
		fmt.Fprintf(w, "%d%s\n", job.ID, note)
	})
}

func (f enqueueFlags) options(cmd *cobra.Command) ([]fairlane.EnqueueOption, error) {
	if f.in != 0 && f.at != "" {
		return nil, usagef("--in and --at exclude each other")
	}
	limits, err := f.limits(cmd)
	if err != nil {
		return nil, err
	}
	memory, err := parseSize("memory", f.memory)
	if err != nil {
		return nil, err
	}
	runAt := int64(0)
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return nil, usagef("--at %q: want a time such as 2026-12-24T18:00:00Z", f.at)
		}
		runAt = at.UnixMilli()
	}
	return []fairlane.EnqueueOption{func(j *fairlanev1.NewJob) {
		j.Queue, j.User, j.IdempotencyKey, j.Priority = f.queue, f.user, f.key, f.priority
		j.DelayMs, j.RunAtMs, j.MemoryBytes = f.in.Milliseconds(), runAt, memory
		j.Labels, j.InsertFront, j.Limits, j.Coordinator = f.labels, f.front, limits, f.coordinator
	}}, nil
}

// payload of an enqueue: nil, JSON as it is, or bytes.
func (a *app) payload(args []string) (any, error) {
	if len(args) == 0 {
		return nil, nil
	}
	text := []byte(args[0])
	var err error
	switch {
	case args[0] == "-":
		text, err = io.ReadAll(a.in)
	case strings.HasPrefix(args[0], "@"):
		text, err = os.ReadFile(args[0][1:])
	}
	if err != nil {
		return nil, err
	}
	if json.Valid(text) {
		return json.RawMessage(text), nil
	}
	return fairlane.Raw(text), nil
}
