package rpc

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// mostQueueLabels bounds the values of the label queue; the other queues are shown together under otherQueues.
	mostQueueLabels = 100
	// otherQueues cannot be the name of a queue.
	otherQueues = "(others)"
)

// metrics of a node, read from it when they are asked for (docs/metrics.md). They name no user, job, schedule, worker or payload.
type metrics struct {
	node  *cluster.Node
	certs *certs.Bundle // nil: no TLS
	// workStreams that are open here.
	workStreams *atomic.Int64

	streams                                   *prometheus.Desc
	isLeader, appliedIndex, commitIndex, term *prometheus.Desc
	parked, queued                            *prometheus.Desc
	jobs, stateBytes                          *prometheus.Desc
	schedules, ticks, lateness, overdue       *prometheus.Desc
	writes, diskFree, clockOffset, mayLead    *prometheus.Desc
	backupSuccess, backupFailures             *prometheus.Desc
	certExpiry                                *prometheus.Desc
}

// newMetrics serves them in the text format of Prometheus, from a registry of its own.
func newMetrics(node *cluster.Node, bundle *certs.Bundle, workStreams *atomic.Int64) http.Handler {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("fairlane_"+name, help, labels, nil)
	}
	m := &metrics{
		node:         node,
		certs:        bundle,
		workStreams:  workStreams,
		streams:      describe("work_streams", "Streams of workers that are open at this node, those that it passes on to the leader too."),
		certExpiry:   describe("certificate_expiry_seconds", "When this node's certificate ends, seconds since 1970; only with TLS."),
		isLeader:     describe("raft_is_leader", "1 while this node leads and takes commands, else 0."),
		appliedIndex: describe("fsm_applied_index", "Log index of the last entry in this node's state."),
		commitIndex:  describe("raft_commit_index", "Log index up to which this node knows the log as committed."),
		term:         describe("raft_term", "Raft's term on this node."),
		parked:       describe("claims_parked", "Claims that wait on this node for a job; 0 unless it leads."),
		queued:       describe("commands_queued", "Commands that wait on this node for the next log entry; 0 unless it leads."),
		jobs:         describe("jobs", "Jobs in this node's state, by queue and state.", "queue", "state"),
		stateBytes:   describe("state_bytes", "Bytes of this node's state, as its limit counts them."),
		schedules:    describe("schedules", "Schedules in this node's state.", "state"),
		ticks:        describe("schedule_ticks_total", "Ticks of schedules by outcome, seen by this node while it led.", "result", "reason"),
		overdue:      describe("schedule_overdue_seconds", "How long the schedule that has been due for longest in this node's state has not fired; 0: none is due."),
		writes:       describe("log_write_seconds", "Writes of this node's log, fsync included."),
		diskFree:     describe("disk_free_bytes", "Free room on the disk of the data directory."),
		clockOffset:  describe("clock_offset_seconds", "This node's wall clock against the median of the voters that answer; positive: ahead. Missing: not known."),
		mayLead:      describe("may_lead", "0 while this node's disk or clock keeps it from leading, else 1."),
		backupSuccess: describe("backup_last_success_timestamp_seconds",
			"When this node last wrote an archive by itself, Unix seconds; 0: never. Absent unless --backup-dir is set."),
		backupFailures: describe("backup_failures_total", "Archives that this node could not write by itself. Absent unless --backup-dir is set."),
		lateness:       describe("schedule_lateness_seconds", "Lateness of ticks that fired, seen by this node while it led."),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.isLeader, m.appliedIndex, m.commitIndex, m.term, m.parked, m.queued, m.jobs, m.stateBytes, m.schedules, m.ticks, m.lateness, m.overdue,
		m.writes, m.diskFree, m.clockOffset, m.mayLead, m.certExpiry,
		m.backupSuccess, m.backupFailures, m.streams,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector. It may be called by several goroutines.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	status := m.node.Status()
	leads := 0.0
	if m.node.IsLeader() {
		leads = 1
	}
	gauge(m.isLeader, leads)
	gauge(m.appliedIndex, float64(status.AppliedIndex))
	gauge(m.commitIndex, float64(status.CommitIndex))
	gauge(m.term, float64(status.Term))
	gauge(m.parked, float64(status.Parked))
	gauge(m.queued, float64(status.Queued))
	gauge(m.streams, float64(m.workStreams.Load()))
	if m.certs != nil {
		gauge(m.certExpiry, float64(m.certs.Info().NotAfter.Unix()))
	}

	var queues []*logv1.Queue
	var bytes int64
	var schedules, paused int
	overdue, now := int64(0), m.node.Now()
	m.node.View(func(state *fsm.Machine) {
		queues, bytes = state.Queues(), state.Totals().Bytes
		schedules, paused = state.ScheduleCount()
		if at, ok := state.NextFire(); ok {
			overdue = max(0, now-at)
		}
	})
	gauge(m.stateBytes, float64(bytes))
	gauge(m.schedules, float64(schedules-paused), "running")
	gauge(m.schedules, float64(paused), "paused")
	gauge(m.overdue, float64(overdue)/1000)
	for _, row := range jobRows(queues) {
		for i, count := range row.counts {
			gauge(m.jobs, float64(count), row.queue, jobStates[i])
		}
	}
	m.collectTicks(out)
	m.collectHealth(out, status)
}

// collectHealth: the disk and the clock.
func (m *metrics) collectHealth(out chan<- prometheus.Metric, status cluster.Status) {
	gauge := func(d *prometheus.Desc, value float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	gauge(m.diskFree, float64(status.Disk.FreeBytes))
	if status.ClockKnown {
		gauge(m.clockOffset, status.ClockOffset.Seconds())
	}
	may := 1.0
	if status.NotLeading != "" {
		may = 0
	}
	gauge(m.mayLead, may)
	stats := m.node.WriteStats()
	buckets := make(map[float64]uint64, len(stats.Bounds))
	var count uint64
	for i, writes := range stats.Counts {
		if count += writes; i < len(stats.Bounds) {
			buckets[stats.Bounds[i].Seconds()] = count
		}
	}
	out <- prometheus.MustNewConstHistogram(m.writes, count, stats.Sum.Seconds(), buckets)
	if backups, ok := m.node.Backups(); ok {
		last := 0.0
		if !backups.LastSuccess.IsZero() {
			last = float64(backups.LastSuccess.UnixMilli()) / 1000
		}
		gauge(m.backupSuccess, last)
		out <- prometheus.MustNewConstMetric(m.backupFailures, prometheus.CounterValue, float64(backups.Failures))
	}
}

// collectTicks: what became of ticks, and how late the fires were. What has not happened yet is there as 0: of a series that begins with its first
// value rate() sees no rise, and what a new leader finds missed comes all at once.
func (m *metrics) collectTicks(out chan<- prometheus.Metric) {
	stats := m.node.TickStats()
	counts := make(map[logv1.TickReason]uint64)
	for _, c := range stats.Counts {
		counts[c.Reason] += c.Count
	}
	for number := range logv1.TickReason_name {
		why := logv1.TickReason(number)
		result := fsm.TickResult(why)
		if result == logv1.TickResult_TICK_RESULT_UNSPECIFIED {
			continue
		}
		out <- prometheus.MustNewConstMetric(m.ticks, prometheus.CounterValue, float64(counts[why]), word(result.String(), "TICK_RESULT_"),
			word(why.String(), "TICK_REASON_"))
	}
	buckets := make(map[float64]uint64, len(stats.LateBounds))
	var count uint64
	for i, late := range stats.Late {
		if count += late; i < len(stats.LateBounds) {
			buckets[float64(stats.LateBounds[i])/1000] = count
		}
	}
	out <- prometheus.MustNewConstHistogram(m.lateness, count, float64(stats.LateSumMs)/1000, buckets)
}

// word of an enum's value, in small letters and without what all its values begin with.
func word(value, prefix string) string { return strings.ToLower(strings.TrimPrefix(value, prefix)) }

// jobStates in the order of jobRow.counts.
var jobStates = [...]string{"scheduled", "pending", "running", "succeeded", "failed", "timed_out", "cancelled"}

// jobRow counts the jobs of a queue by state.
type jobRow struct {
	queue  string
	counts [len(jobStates)]int64
}

// jobRows of queues that are sorted by name: one for each of the first, one for all others together.
func jobRows(queues []*logv1.Queue) []jobRow {
	var rows []jobRow
	for i, q := range queues {
		if i <= mostQueueLabels {
			rows = append(rows, jobRow{queue: q.GetName()})
		}
		if i == mostQueueLabels {
			rows[i].queue = otherQueues
		}
		c := q.GetCounts()
		row := &rows[len(rows)-1]
		for state, count := range [...]int64{c.GetScheduled(), c.GetPending(), c.GetRunning(), c.GetSucceeded(), c.GetFailed(), c.GetTimedOut(), c.GetCancelled()} {
			row.counts[state] += count
		}
	}
	return rows
}
