// Bench measures Fairlane beside what bounds it and beside other queues, all on one machine and in one run, and prints the table.
//
//	go run . [--rounds 5] [--seconds 3s] [--json] [--quick] [--systems REGEXP] [--steps REGEXP]
//
// It starts every server as a process of its own, in a temporary directory, and stops it. README.md says what is compared, with which
// settings, and what each figure means.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// loadGC is what the load of `fairlane bench` has too: a small heap that is collected less often leaves the processor to the servers.
const loadGC = 400

// options of a run.
type options struct {
	rounds         int
	seconds        time.Duration
	quick, json    bool
	systems, steps *regexp.Regexp
	fairlane, dir  string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 { // this program is the server of some references too
		switch args[0] {
		case raftNodeCommand:
			return runRaftNode(ctx, args[1:], os.Stdin, stdout)
		case echoCommand:
			return runEchoServer(os.Stdin, stdout)
		}
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "fairlane-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := &report{Rounds: o.rounds, Seconds: o.seconds.Seconds(), figures: make(figures)}
	if r.Machine, err = lookAtMachine(dir); err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(loadGC))
	r.Systems, r.Notes = findSystems(ctx, o, dir)
	failed := measureAll(ctx, o, r, dir, stderr)
	r.figures.derive()
	write := r.writeMarkdown
	if o.json {
		write = r.writeJSON
	}
	if err := write(stdout); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d measurements failed; the table's last lines say which", failed)
	}
	return ctx.Err()
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured")
	flags.DurationVar(&o.seconds, "seconds", 3*time.Second, "how long each measurement takes, beside starting and filling")
	flags.BoolVar(&o.quick, "quick", false, "one round of a second each, without what needs many waiting jobs: does it run?")
	flags.BoolVar(&o.json, "json", false, "print one JSON object with every round instead of the table")
	systems := flags.String("systems", "", "only the systems whose names match, without regard to case")
	steps := flags.String("steps", "", "only the measurements whose names match: "+stepNames())
	flags.StringVar(&o.fairlane, "fairlane", "../bin/fairlane", "the binary to measure")
	flags.StringVar(&o.dir, "dir", "", "where the servers' data lie, on the disk to measure (default: the system's temporary directory)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.rounds, o.seconds = 1, time.Second
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.seconds <= 0 {
		return o, fmt.Errorf("want only flags, at least one round, and some time for it")
	}
	var err error
	if o.systems, err = regexp.Compile("(?i)" + *systems); err != nil {
		return o, err
	}
	o.steps, err = regexp.Compile("(?i)" + *steps)
	return o, err
}
