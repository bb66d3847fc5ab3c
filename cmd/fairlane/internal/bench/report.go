package bench

import "math"

// Report of a run. Figures that do not apply are left out.
type Report struct {
	Mode         Mode   `json:"mode"`
	Store        string `json:"store"`
	Nodes        int    `json:"nodes"`
	Producers    int    `json:"producers,omitempty"`
	Workers      int    `json:"workers,omitempty"`
	Batch        int    `json:"batch"`
	Stream       bool   `json:"stream"`
	Streams      int    `json:"streams,omitempty"`
	Slots        int    `json:"slots,omitempty"`
	SDK          bool   `json:"sdk"`
	PayloadBytes int    `json:"payload_bytes"`
	Users        int    `json:"users"`
	Waiting      int    `json:"waiting,omitempty"`

	// Rate that was asked for, in jobs/s, and Reached: at which jobs of the window were finished.
	Rate     float64 `json:"rate,omitempty"`
	Reached  float64 `json:"reached,omitempty"`
	Arrivals string  `json:"arrivals,omitempty"`
	// Unsent jobs of an open loop: due, and not even sent when patience ended. They count as late as they are.
	Unsent int64 `json:"unsent,omitempty"`
	// Due jobs in the window of an open loop.
	Due int64 `json:"due,omitempty"`

	Seconds  float64 `json:"seconds"`
	Jobs     int64   `json:"jobs"`
	JobsPerS float64 `json:"jobs_per_s"`
	// Errors are calls that failed and were sent again.
	Errors int64 `json:"errors"`

	EnqueueMs *Percentiles `json:"enqueue_ms,omitempty"`
	StartMs   *Percentiles `json:"start_ms,omitempty"`
	ClaimMs   *Percentiles `json:"claim_ms,omitempty"`
	CycleMs   *Percentiles `json:"cycle_ms,omitempty"`

	// ClusterCPU of all nodes together. Only with a cluster of the run's own, like RSS.
	ClusterCPU    *float64 `json:"cluster_cpu_s_per_1000_jobs,omitempty"`
	EntriesPerJob *float64 `json:"log_entries_per_job,omitempty"`
	RSS           []int64  `json:"rss_mb,omitempty"`

	// Phases around the death of the leader.
	Phases []Phase `json:"phases,omitempty"`

	Account Account `json:"account"`
}

// Phase is a part of the window of a run in which the leader is killed.
type Phase struct {
	Name string `json:"name"` // before, during, after
	// Seconds of the window at which it begins, and how long it is.
	From    float64 `json:"from_s"`
	Seconds float64 `json:"seconds"`
	Jobs    int64   `json:"jobs"`

	EnqueueMs *Percentiles `json:"enqueue_ms,omitempty"`
	StartMs   *Percentiles `json:"start_ms,omitempty"`
	CycleMs   *Percentiles `json:"cycle_ms,omitempty"`
}

// window is a part of a run, in nanoseconds since the ledger's epoch: from <= t < to.
type window struct{ from, to int64 }

func (w window) has(t int64) bool { return w.from <= t && t < w.to }

func (w window) seconds() float64 { return float64(w.to-w.from) / 1e9 }

// latencies of the jobs of a window.
type latencies struct {
	jobs, due                    int64
	enqueue, start, claim, cycle histogram
}

func newLatencies() latencies {
	return latencies{0, 0, newHistogram(), newHistogram(), newHistogram(), newHistogram()}
}

// closed takes the samples that ended in the window. counted says which of its ends makes a job one of the window.
func closed(l *ledger, w window, counted func(*record) int64) latencies {
	out := newLatencies()
	l.each(func(r *record) {
		acked, started, finished := r.acked.Load(), r.started.Load(), r.finished.Load()
		if w.has(counted(r)) {
			out.jobs++
		}
		if w.has(acked) {
			out.enqueue.add(acked - r.due)
		}
		if w.has(started) {
			out.start.add(started - r.due)
			if asked := r.asked.Load(); asked != 0 {
				out.claim.add(started - asked)
			}
		}
		if w.has(finished) {
			out.cycle.add(finished - r.due)
		}
	})
	return out
}

// open takes the jobs that were due in the window, whenever they came to their ends. What has not come to its end by the end of the
// run counts as if it had come there: it is at least as late.
func open(l *ledger, w window, end int64) latencies {
	out := newLatencies()
	at := func(t int64) int64 {
		if t == 0 {
			return end
		}
		return t
	}
	l.each(func(r *record) {
		if !w.has(r.due) {
			return
		}
		out.due++
		if r.finished.Load() != 0 {
			out.jobs++
		}
		out.enqueue.add(at(r.acked.Load()) - r.due)
		out.start.add(at(r.started.Load()) - r.due)
		out.cycle.add(at(r.finished.Load()) - r.due)
	})
	return out
}

// megabytes of 1,000,000 bytes, as everywhere in the reports.
func megabytes(bytes int64) int64 { return (bytes + 500_000) / 1_000_000 }

// round keeps figures readable: three digits after the point.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }
