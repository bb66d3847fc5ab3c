package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/simulate"
)

type simulateFlags struct {
	settings, queues, lanes, workers []string
	file                             string
	without, again                   bool
	run, until                       time.Duration
	order                            int
}

func newSimulateCmd(a *app) *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use: "simulate FILE", Short: "What a recorded time would have been like with other settings or workers", Args: cobra.ExactArgs(1),
		Long: `Replay a trace (see fairlane trace) or a snapshot as it was and say how long jobs waited and how busy the lanes were. With
changes, live through the same time again: the same jobs come at the same instants and run as long as they did, but the
settings, lanes or workers are others. Every decision is made by the same machine as in a cluster. docs/simulate.md says
what the model leaves out.`,
		Example: `  fairlane simulate friday.trace
  fairlane simulate friday.trace --lanes 'w1=fast_lane:1 manual>*:8' --set-queue manual:max_running_per_user=2
  fairlane simulate friday.trace --without-recorded --worker 'a=*:4' --worker 'b=*:4' --order 20`,
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.settings, "set", nil, "change a setting of the cluster: `key=value`, such as default_mode=fifo; may be repeated")
	flags.StringArrayVar(&f.queues, "set-queue", nil, "change a setting of a queue: `queue:key=value`, such as manual:max_running=3; may be repeated")
	flags.StringArrayVar(&f.lanes, "lanes", nil, "other lanes of a recorded worker: `name=lanes`; * names all others; may be repeated")
	flags.StringArrayVar(&f.workers, "worker", nil, "one more worker, from the beginning to the end: `name=lanes`; may be repeated")
	flags.BoolVar(&f.without, "without-recorded", false, "leave the recorded workers out")
	flags.StringVar(&f.file, "changes", "", "`file` (TOML) with changes; see docs/simulate.md")
	flags.BoolVar(&f.again, "resimulate", false, "simulate also without changes: how near the model comes to what was")
	flags.DurationVar(&f.run, "run", 0, "how long a run takes of a kind that the trace never saw end")
	flags.DurationVar(&f.until, "until", 0, "end the simulation so long after its beginning; 0: when all is done")
	flags.IntVar(&f.order, "order", 0, "list the first `N` claims")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := f.options()
		if err != nil {
			return &exitError{exitUsage, err}
		}
		report, err := simulate.Run(cmd.Context(), args[0], o)
		if err != nil {
			var missing *simulate.NoServiceTimeError
			var refused *simulate.RefusedError
			if errors.As(err, &missing) || errors.As(err, &refused) {
				return &exitError{exitUsage, err}
			}
			return err
		}
		return a.printJSON(report, func(w io.Writer) { simulateTable(w, report) })
	}
	return cmd
}

// options of the flags and the file; what a flag says comes after what the file says.
func (f simulateFlags) options() (o simulate.Options, err error) {
	if f.order < 0 || f.run < 0 || f.until < 0 {
		return o, errors.New("--order, --run and --until cannot be negative")
	}
	o = simulate.Options{Resimulate: f.again, RunMs: f.run.Milliseconds(), UntilMs: f.until.Milliseconds(), Order: f.order}
	if f.file != "" {
		if err := o.Changes.ReadFile(f.file); err != nil {
			return o, err
		}
	}
	each := func(flag, want string, list []string, take func(name, value string) error) error {
		for _, text := range list {
			name, value, ok := strings.Cut(text, "=")
			if !ok {
				return fmt.Errorf("--%s %q: want %s", flag, text, want)
			}
			if err := take(name, value); err != nil {
				return fmt.Errorf("--%s %q: %w", flag, text, err)
			}
		}
		return nil
	}
	o.Changes.WithoutRecorded = o.Changes.WithoutRecorded || f.without
	return o, errors.Join(
		each("set", "key=value", f.settings, o.Changes.Set),
		each("set-queue", "queue:key=value", f.queues, func(name, value string) error {
			queue, key, ok := strings.Cut(name, ":")
			if !ok {
				return errors.New("want queue:key=value")
			}
			return o.Changes.SetQueue(queue, key, value)
		}),
		each("lanes", "name=lanes", f.lanes, o.Changes.SetLanes),
		each("worker", "name=lanes", f.workers, o.Changes.AddWorker),
	)
}
