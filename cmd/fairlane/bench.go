package main

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/bench"
)

func newBenchCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure a cluster: enqueues, claims, whole cycles, latencies at a fixed rate",
		Long: `Measure a running cluster (--endpoints), or with --self one that is started for it: real processes of this binary that write to
disk, removed at the end. Each acknowledged job is checked to be started and finished exactly once; a run that loses one fails.

Figures are on the standard output, as a table or with --json as one object; what goes on meanwhile on the error output.`,
	}
	for _, m := range []struct {
		mode               bench.Mode
		short, example     string
		producers, workers int
	}{
		{bench.Enqueue, "Durable enqueues by a number of callers", "  fairlane bench enqueue --self --producers 128", 16, 1},
		{bench.Claim, "How long a claim takes with a backlog", "  fairlane bench claim --self --waiting 200000", 1, 1},
		{bench.Cycle, "Producers and workers as fast as they can: jobs/s", "  fairlane bench cycle --self --producers 16 --workers 16\n  fairlane bench cycle -e n1:7171 --producers 128 --workers 128", 16, 16},
		{bench.Latency, "Enqueue to start at a fixed rate, without coordinated omission", "  fairlane bench latency --self --rate 200\n  fairlane bench latency --self --rate 2000 --duration 60s --kill-leader-at 30s", 256, 64},
	} {
		o := bench.Options{Mode: m.mode, Producers: m.producers, Workers: m.workers, Progress: a.err, OnAbort: a.onAbort}
		sub := &cobra.Command{Use: string(m.mode), Short: m.short, Example: m.example, Args: cobra.NoArgs}
		self, asJSON := benchFlags(sub, &o)
		sub.RunE = func(cmd *cobra.Command, _ []string) error {
			if *asJSON {
				a.output = outputJSON
			}
			return runBench(cmd, a, o, self)
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// benchSelf is what --self and the flags that need it say.
type benchSelf struct {
	on bool
	bench.Self
}

// selfFlags need --self.
var selfFlags = []string{"nodes", "log-store", "dir", "kill-leader-at"}

func benchFlags(cmd *cobra.Command, o *bench.Options) (self *benchSelf, asJSON *bool) {
	self = &benchSelf{}
	flags := cmd.Flags()
	if o.Mode != bench.Claim {
		flags.IntVar(&o.Producers, "producers", o.Producers, "concurrent callers that enqueue; bench latency: the most calls under way")
	}
	if o.Mode != bench.Enqueue {
		flags.IntVar(&o.Workers, "workers", o.Workers, "workers with one slot each; with --stream and --sdk the slots of all streams together")
	}
	if o.Mode == bench.Cycle || o.Mode == bench.Latency {
		flags.BoolVar(&o.Stream, "stream", false, "workers over streams instead of one call after the other")
		flags.IntVar(&o.Streams, "streams", 4, "with --stream and --sdk: number of streams, each of a worker of its own")
		flags.IntVar(&o.Slots, "slots", 0, "with --stream and --sdk: slots of each stream; default: --workers shared between them")
	}
	if o.Mode != bench.Claim {
		flags.BoolVar(&o.SDK, "sdk", false, "make the load with the Go SDK, as programs of users do, instead of bare calls")
	}
	o.Batch = 1
	if o.Mode == bench.Enqueue || o.Mode == bench.Cycle {
		flags.IntVar(&o.Batch, "batch", 1, "jobs in one call of a producer; bench cycle: then each worker is a stream with as many slots")
	}
	if o.Mode == bench.Claim {
		flags.IntVar(&o.Waiting, "waiting", 10_000, "jobs that wait while one claim after the other is made")
	}
	if o.Mode == bench.Latency {
		flags.Float64Var(&o.Rate, "rate", 200, "`jobs` that are due in a second")
		flags.StringVar(&o.Arrivals, "arrivals", bench.Poisson, "poisson: independent of each other; uniform: at even distances")
		flags.DurationVar(&self.KillLeaderAt, "kill-leader-at", 0, "with --self: kill the leader so long after the warm-up, and start it again")
	}
	flags.IntVar(&o.Payload, "payload", 256, "`bytes` of each job's payload")
	flags.IntVar(&o.Users, "users", 10, "users between whom the jobs are shared")
	flags.DurationVar(&o.Warmup, "warmup", 2*time.Second, "load before the measurement")
	flags.DurationVar(&o.Duration, "duration", 10*time.Second, "how long to measure")
	flags.DurationVar(&o.Patience, "patience", 30*time.Second, "how long the cluster may be without an answer, and jobs be left at the end")
	flags.StringVar(&o.Queue, "queue", "", "`queue` to use, which must be empty; default: one that is made and removed")
	flags.BoolVar(&o.Keep, "keep", false, "leave the jobs and the queue behind")
	flags.BoolVar(&self.on, "self", false, "start a cluster on this machine, measure it and remove it")
	flags.IntVar(&self.Nodes, "nodes", 3, "with --self: number of nodes")
	flags.StringVar(&self.LogStore, "log-store", defaultLogStore, "with --self: raft-wal or raft-boltdb")
	flags.StringVar(&self.Dir, "dir", "", "with --self: `directory` for the nodes' temporary one; default: the system's")
	return self, flags.Bool("json", false, "print one JSON object (as -o json)")
}

func runBench(cmd *cobra.Command, a *app, o bench.Options, self *benchSelf) error {
	if err := self.apply(cmd, a, &o); err != nil {
		return err
	}
	o.SDK = o.SDK || self.KillLeaderAt != 0 // only the SDK repeats what a death left unanswered exactly as programs of users do
	benchShape(cmd, &o)
	if err := o.Check(); err != nil {
		return usageError(err)
	}
	// A load generator has a small heap that fills quickly: collecting it less often leaves the processor to the cluster.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	report, err := bench.Run(cmd.Context(), o)
	if report != nil {
		if err := a.printJSON(report, func(w io.Writer) { benchTable(w, report) }); err != nil {
			return err
		}
	}
	var nobody *bench.UnreachableError
	if errors.As(err, &nobody) && !errors.Is(err, context.Canceled) {
		return &exitError{exitUnreachable, err}
	}
	return err
}

// benchShape fills in how many streams and slots there are.
func benchShape(cmd *cobra.Command, o *bench.Options) {
	if o.Mode == bench.Enqueue || o.Mode == bench.Claim {
		o.Streams, o.Slots = 0, 0
		return
	}
	given := cmd.Flags().Changed
	if o.Mode == bench.Cycle && o.Batch > 1 && !o.SDK && !given("streams") {
		o.Stream, o.Streams = true, o.Workers
		if !given("slots") {
			o.Slots = o.Batch
		}
	}
	if !o.Stream && !o.SDK {
		o.Streams, o.Slots = 0, 0
		return
	}
	if !given("streams") {
		o.Streams = min(o.Streams, o.Workers)
	}
	if o.Slots == 0 && !given("slots") {
		o.Slots = max(1, o.Workers/max(1, o.Streams))
	}
	if !given("workers") {
		o.Workers = o.Streams * o.Slots
	}
}

// apply makes the options of the run's own cluster, or of the endpoints.
func (s *benchSelf) apply(cmd *cobra.Command, a *app, o *bench.Options) (err error) {
	if !s.on {
		for _, name := range selfFlags {
			if cmd.Flags().Changed(name) {
				return usagef("--%s needs --self", name)
			}
		}
		for _, endpoint := range a.endpoints {
			o.Endpoints = append(o.Endpoints, a.baseURL(endpoint))
		}
		if a.tls.CA != "" {
			if o.TLS, err = certs.Client(a.tls); err != nil {
				return usageError(err)
			}
		}
		return nil
	}
	if cmd.Flags().Changed("endpoints") {
		return usagef("--self and --endpoints exclude each other: measure a cluster of the command's own or a running one")
	}
	if err := checkLogStore(s.LogStore); err != nil {
		return err
	}
	if s.Binary, err = os.Executable(); err != nil {
		return err
	}
	o.Self = &s.Self
	return nil
}
