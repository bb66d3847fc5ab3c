package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// caseLimit ends a measurement that hangs; the longest fills a cluster with a million jobs first.
const caseLimit = 5 * time.Minute

// step is one thing that is measured of every system that can do it. It gives one or more rows.
type step struct {
	name                 string
	producers, workers   int
	batch                int
	sdk                  bool // the load of programs that use the SDK
	rate                 int  // jobs/s of an open loop; 0: closed
	waiting              int  // jobs that wait before and during the measurement
	callers              int  // of a reference
	throughput, cpu      string
	p50, p99, memory     string // rows that get these figures; empty: none
	slow, referencesOnly bool
}

// steps in the order in which they are measured.
var steps = []step{
	{name: "cycle 1+1", producers: 1, workers: 1, batch: 1, throughput: jobs1, cpu: cpu1},
	{name: "cycle 16+16", producers: 16, workers: 16, batch: 1, throughput: jobs16},
	{name: "cycle 128+128", producers: 128, workers: 128, batch: 1, throughput: jobs128, cpu: cpu128},
	{name: "cycle batch", producers: 16, workers: 16, batch: 50, throughput: jobsBatch},
	{name: "cycle stream", producers: 128, workers: 128, batch: 1, sdk: true, throughput: jobsStream},
	{name: "latency", producers: 64, workers: 16, batch: 1, rate: 200, p50: startP50, p99: startP99},
	{name: "enqueue 1", producers: 1, batch: 1, p50: enqueue1},
	{name: "enqueue 16", producers: 16, batch: 1, p50: enqueue16},
	{name: "enqueue 128", producers: 128, batch: 1, p50: enqueue128},
	{name: "claim 10k", waiting: 10_000, slow: true, p50: claim10k},
	{name: "claim 200k", waiting: 200_000, slow: true, p50: claim200k, memory: memory200k},
	{name: "claim 1M", waiting: 1_000_000, slow: true, p50: claim1m},
	{name: "raft 1", callers: 1, referencesOnly: true, throughput: raft1},
	{name: "raft 128", callers: 128, referencesOnly: true, throughput: raft128},
	{name: "raft 1024", callers: 1024, referencesOnly: true, throughput: raft1024},
	{name: "echo 128", callers: 128, referencesOnly: true, throughput: echo128},
}

func stepNames() string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	return strings.Join(names, ", ")
}

// payloadBytes of every job, everywhere.
const payloadBytes = 256

// outcome of one measurement; NaN and 0 mean that it does not apply.
type outcome struct {
	perSecond    float64
	cpuPer1000   float64 // seconds of all servers
	p50MS, p99MS float64
	memoryMB     float64 // of all servers
}

// system is something that is measured. measure starts it afresh in dir, measures for so long, and leaves nothing running. It fails with
// errNotOffered where the system has no such thing.
type system struct {
	name, version string
	reference     bool
	measure       func(ctx context.Context, s step, dir string, length time.Duration) (outcome, error)
}

// errNotOffered says that a system is not measured in this way.
var errNotOffered = errors.New("not offered")

// findSystems gives those that are asked for and installed here, and a sentence for each that is not.
func findSystems(ctx context.Context, o options, dir string) (found []system, notes []string) {
	for _, candidate := range []struct {
		name string
		find func(context.Context, options, string) (system, error)
	}{
		{fairlaneWAL, fairlaneWith(storeWAL)},
		{fairlaneBolt, fairlaneWith(storeBolt)},
		{natsName, findNATS},
		{beanstalkName, findBeanstalk},
		{riverName, findRiver},
		{raftWALName, raftWith(storeWAL)},
		{raftBoltName, raftWith(storeBolt)},
		{echoName, findEcho},
	} {
		if !o.systems.MatchString(candidate.name) {
			continue
		}
		s, err := candidate.find(ctx, o, dir)
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s was left out: %v.", candidate.name, err))
			continue
		}
		s.name = candidate.name
		found = append(found, s)
	}
	return found, notes
}

// measureAll rounds. In each every system takes its turn at every step; who is first changes from round to round, so that no system has
// always the same neighbour before it. It returns how many measurements failed.
func measureAll(ctx context.Context, o options, r *report, dir string, progress io.Writer) (failed int) {
	for round := range o.rounds {
		for _, s := range steps {
			if !o.steps.MatchString(s.name) || o.quick && s.slow {
				continue
			}
			for turn := range r.Systems {
				of := r.Systems[(turn+round)%len(r.Systems)]
				if of.reference != s.referencesOnly || ctx.Err() != nil {
					continue
				}
				err := measureOne(ctx, o, r, of, s, dir, round, progress)
				if err == nil || errors.Is(err, errNotOffered) {
					continue
				}
				failed++
				r.Notes = append(r.Notes, fmt.Sprintf("%s, %s, round %d failed: %v", of.name, s.name, round+1, err))
			}
		}
	}
	return failed
}

// measureOne step of one system, and keep its figures.
func measureOne(ctx context.Context, o options, r *report, of system, s step, dir string, round int, progress io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, caseLimit)
	defer cancel()
	dir, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	begin := time.Now()
	out, err := of.measure(ctx, s, dir, o.seconds)
	if err == nil {
		err = ctx.Err() // cut off: its figures are of less than the whole time
	}
	if errors.Is(err, errNotOffered) {
		return err
	}
	fmt.Fprintf(progress, "round %d, %s, %s: %s (%.0f s)\n", round+1, s.name, of.name, out.text(err), time.Since(begin).Seconds())
	if err != nil {
		return err
	}
	for name, value := range map[string]float64{
		s.throughput: out.perSecond, s.cpu: out.cpuPer1000, s.p50: out.p50MS, s.p99: out.p99MS, s.memory: out.memoryMB,
	} {
		if name != "" && value > 0 {
			r.figures.add(of.name, name, value)
		}
	}
	return nil
}

func (o outcome) text(err error) string {
	if err != nil {
		return "failed: " + err.Error()
	}
	var parts []string
	for _, p := range []struct {
		format string
		value  float64
	}{
		{"%.0f/s", o.perSecond}, {"%.3f CPU s per 1,000", o.cpuPer1000}, {"p50 %.2f ms", o.p50MS}, {"p99 %.2f ms", o.p99MS}, {"%.0f MB", o.memoryMB},
	} {
		if p.value > 0 {
			parts = append(parts, fmt.Sprintf(p.format, p.value))
		}
	}
	return strings.Join(parts, ", ")
}

// nodeDirs makes a directory for each of count nodes.
func nodeDirs(dir string, count int) ([]string, error) {
	dirs := make([]string, count)
	for i := range dirs {
		dirs[i] = filepath.Join(dir, fmt.Sprintf("node-%d", i+1))
		if err := os.MkdirAll(dirs[i], 0o700); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}
