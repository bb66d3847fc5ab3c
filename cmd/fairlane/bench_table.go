package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/bench"
)

// benchTable shows a report to people.
func benchTable(w io.Writer, r *bench.Report) {
	row(w, "mode", string(r.Mode))
	row(w, "cluster", fmt.Sprintf("%d nodes, %s", r.Nodes, r.Store))
	row(w, "load", benchLoad(r))
	row(w, "jobs", fmt.Sprintf("%d in %.1f s", r.Jobs, r.Seconds))
	row(w, "jobs/s", fmt.Sprintf("%.0f", r.JobsPerS))
	if r.Errors > 0 {
		row(w, "calls repeated", r.Errors)
	}
	if r.Unsent > 0 {
		row(w, "never sent", r.Unsent)
	}
	if r.ClusterCPU != nil {
		row(w, "CPU of the nodes", fmt.Sprintf("%.3f s for 1,000 jobs", *r.ClusterCPU))
	}
	if r.EntriesPerJob != nil {
		row(w, "log entries", fmt.Sprintf("%.3f a job", *r.EntriesPerJob))
	}
	if len(r.RSS) > 0 {
		row(w, "memory", strings.Trim(fmt.Sprint(r.RSS), "[]")+" MB")
	}
	row(w, "checked", benchAccount(r.Account))
	fmt.Fprintln(w)
	row(w, "ms", "p50", "p90", "p99", "p99.9", "max")
	latencyRows(w, "", r.EnqueueMs, r.StartMs, r.CycleMs)
	latencyRow(w, "claim", r.ClaimMs)
	for _, p := range r.Phases {
		fmt.Fprintf(w, "\n%s the leader's death: %.1f s from %.1f s on, %d jobs\n", p.Name, p.Seconds, p.From, p.Jobs)
		latencyRows(w, "  ", p.EnqueueMs, p.StartMs, p.CycleMs)
	}
}

func benchLoad(r *bench.Report) string {
	var parts []string
	if r.Rate > 0 {
		parts = append(parts, fmt.Sprintf("%g jobs/s (%s)", r.Rate, r.Arrivals))
	}
	if r.Producers > 0 {
		text := fmt.Sprintf("%d producers", r.Producers)
		if r.Batch > 1 {
			text += fmt.Sprintf(" with %d jobs a call", r.Batch)
		}
		parts = append(parts, text)
	}
	if r.Workers > 0 {
		text := fmt.Sprintf("%d workers", r.Workers)
		if r.Stream {
			text = fmt.Sprintf("%d streams with %d slots", r.Streams, r.Slots)
		}
		parts = append(parts, text)
	}
	if r.Waiting > 0 {
		parts = append(parts, fmt.Sprintf("%d jobs waiting", r.Waiting))
	}
	if r.SDK {
		parts = append(parts, "through the SDK")
	}
	return strings.Join(append(parts, fmt.Sprintf("%d users, %d bytes", r.Users, r.PayloadBytes)), ", ")
}

func benchAccount(a bench.Account) string {
	text := fmt.Sprintf("%d acknowledged, %d finished", a.Acknowledged, a.Finished)
	if a.Err() == nil {
		return text + ", none lost, none twice"
	}
	return fmt.Sprintf("%s, %d LOST, %d TWICE, %d under another id, %d strange", text, a.Lost, a.Twice, a.Confused, a.Strange)
}

func latencyRows(w io.Writer, indent string, enqueue, start, cycle *bench.Percentiles) {
	latencyRow(w, indent+"enqueue", enqueue)
	latencyRow(w, indent+"enqueue to start", start)
	latencyRow(w, indent+"enqueue to end", cycle)
}

func latencyRow(w io.Writer, name string, p *bench.Percentiles) {
	if p == nil {
		return
	}
	cell := func(ms float64) string { return fmt.Sprintf("%.2f", ms) }
	row(w, name, cell(p.P50), cell(p.P90), cell(p.P99), cell(p.P999), cell(p.Max))
}
