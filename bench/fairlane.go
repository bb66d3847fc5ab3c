package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	fairlaneWAL  = "Fairlane raft-wal"
	fairlaneBolt = "Fairlane raft-boltdb"
)

// fairlaneWith a log store: the binary under test, by its own load generator, `fairlane bench --self`.
func fairlaneWith(store string) func(context.Context, options, string) (system, error) {
	return func(ctx context.Context, o options, _ string) (system, error) {
		binary, err := filepath.Abs(o.fairlane)
		if err != nil {
			return system{}, err
		}
		version, err := exec.CommandContext(ctx, binary, "version").Output()
		if err != nil {
			return system{}, fmt.Errorf("%s does not run (make build): %w", o.fairlane, err)
		}
		return system{
			version: oneLine(string(version)) + "; three nodes, fsync on a majority before every answer",
			measure: func(ctx context.Context, s step, dir string, length time.Duration) (outcome, error) {
				if s.referencesOnly {
					return outcome{}, errNotOffered
				}
				return measureFairlane(ctx, binary, store, s, dir, length)
			},
		}, nil
	}
}

// fairlaneResult is what `fairlane bench --json` prints, as far as it is used.
type fairlaneResult struct {
	JobsPerSecond float64         `json:"jobs_per_s"`
	Errors        int             `json:"errors"`
	Enqueue       fairlaneLatency `json:"enqueue_ms"`
	Start         fairlaneLatency `json:"start_ms"`
	Claim         fairlaneLatency `json:"claim_ms"`
	CPUPer1000    float64         `json:"cluster_cpu_s_per_1000_jobs"`
	MemoryMB      []float64       `json:"rss_mb"` // of each node
}

type fairlaneLatency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func measureFairlane(ctx context.Context, binary, store string, s step, dir string, length time.Duration) (outcome, error) {
	command := exec.CommandContext(ctx, binary, append([]string{"bench"}, fairlaneArgs(s, store, length)...)...)
	command.Env = append(command.Environ(), "TMPDIR="+dir)                        // where --self keeps its nodes
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // it stops its nodes
	command.WaitDelay = stopLimit
	tie(command)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return outcome{}, fmt.Errorf("fairlane %s: %w: %s", strings.Join(command.Args[1:], " "), err, oneLine(stderr.String()))
	}
	var r fairlaneResult
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return outcome{}, fmt.Errorf("fairlane bench printed something else than JSON: %w", err)
	}
	if r.Errors > 0 {
		return outcome{}, fmt.Errorf("fairlane bench counted %d errors: %s", r.Errors, oneLine(stderr.String()))
	}
	return r.outcome(s), nil
}

// fairlaneArgs of one step.
func fairlaneArgs(s step, store string, length time.Duration) []string {
	mode := "cycle"
	switch {
	case s.waiting > 0:
		mode = "claim"
	case s.rate > 0:
		mode = "latency"
	case s.workers == 0:
		mode = "enqueue"
	}
	args := []string{mode, "--self", "--log-store", store, "--json", "--duration", length.String(), "--warmup", (2 * warmUp).String(), "--payload", fmt.Sprint(payloadBytes)}
	add := func(flag string, value int) {
		if value > 0 {
			args = append(args, flag, fmt.Sprint(value))
		}
	}
	add("--producers", s.producers)
	add("--workers", s.workers)
	add("--rate", s.rate)
	add("--waiting", s.waiting)
	if s.rate > 0 {
		args = append(args, "--arrivals", "uniform")
	}
	if s.batch > 1 {
		add("--batch", s.batch)
	}
	if s.sdk {
		args = append(args, "--sdk")
	}
	return args
}

// outcome of one step from what the binary said.
func (r fairlaneResult) outcome(s step) outcome {
	out := outcome{perSecond: r.JobsPerSecond, cpuPer1000: r.CPUPer1000}
	latency := r.Start
	switch {
	case s.waiting > 0:
		latency = r.Claim
	case s.workers == 0:
		latency = r.Enqueue
	}
	out.p50MS, out.p99MS = latency.P50, latency.P99
	for _, megabytes := range r.MemoryMB {
		out.memoryMB += megabytes
	}
	return out
}
