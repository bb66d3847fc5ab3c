package rpc

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// scrape gives the samples of a node by name and labels.
func scrape(t *testing.T, n *testNode) map[string]string {
	t.Helper()
	answer, err := http.Get(n.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%d %v: %s", answer.StatusCode, err, text)
	}
	out := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			out[name] = value
		}
	}
	return out
}

func TestMetrics(t *testing.T) {
	n := startNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	propose := func(c *logv1.Command) {
		t.Helper()
		if result, err := n.Propose(ctx, c); err != nil || result.GetRefusal() != nil {
			t.Fatal(result.GetRefusal(), err)
		}
	}
	propose(&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{{Kind: "k", Queue: "q", User: "secret-user"}}}}})
	now := n.Now()
	schedule := &logv1.Schedule{
		Name: "secret-schedule", Spec: "@at 2020-01-01T00:00:00Z", MaxInstances: 1, CatchUp: logv1.CatchUp_CATCH_UP_LATEST,
		Overlap: logv1.Overlap_OVERLAP_SKIP, Template: &logv1.NewJob{Kind: "k", Queue: "q", User: "secret-user"},
	}
	at := time.UnixMilli(now - now%1000).UTC()
	schedule.Spec = "@at " + at.Format(time.RFC3339)
	propose(&logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{Schedule: schedule, NextMs: at.UnixMilli()}}})
	waitUntil(t, ctx, "it fired", func() (fired bool) {
		n.View(func(m *fsm.Machine) {
			v, _ := m.Schedule(schedule.Name)
			fired = v.Record.GetTotals().GetFired() == 1
		})
		return fired && len(n.TickStats().Counts) == 1
	})
	schedule = &logv1.Schedule{
		Name: "paused", Spec: "@every 1h", MaxInstances: 1, CatchUp: logv1.CatchUp_CATCH_UP_LATEST,
		Overlap: logv1.Overlap_OVERLAP_SKIP, Template: &logv1.NewJob{Kind: "k", Queue: "q"},
	}
	propose(&logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{Schedule: schedule, AnchorMs: now, NextMs: now + 3_600_000}}})
	propose(&logv1.Command{Op: &logv1.Command_PauseSchedule{PauseSchedule: &logv1.PauseSchedule{Name: "paused"}}})
	got := scrape(t, n)
	for name, want := range map[string]string{
		"fairlane_raft_is_leader":                                        "1",
		`fairlane_jobs{queue="q",state="pending"}`:                       "2",
		`fairlane_jobs{queue="q",state="running"}`:                       "0",
		`fairlane_schedules{state="running"}`:                            "1",
		`fairlane_schedules{state="paused"}`:                             "1",
		`fairlane_schedule_ticks_total{reason="on_time",result="fired"}`: "1",
		`fairlane_schedule_ticks_total{reason="grace",result="missed"}`:  "0",
		`fairlane_schedule_overdue_seconds`:                              "0",
		`fairlane_schedule_lateness_seconds_count`:                       "1",
		`fairlane_schedule_lateness_seconds_bucket{le="+Inf"}`:           "1",
		"fairlane_claims_parked":                                         "0",
		"fairlane_work_streams":                                          "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	if got["fairlane_fsm_applied_index"] != fmt.Sprint(n.Status().AppliedIndex) {
		t.Errorf("applied index %s, want %d", got["fairlane_fsm_applied_index"], n.Status().AppliedIndex)
	}
	named := regexp.MustCompile(`^fairlane_[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})?$`)
	for name := range got {
		if strings.Contains(name, "secret") || !named.MatchString(name) {
			t.Errorf("metric %s", name)
		}
	}
}

// Every reason is shown from the start, under the result that the machine gives it: a rate over what came all at once would see nothing else.
func TestMetricsOfAllTickReasons(t *testing.T) {
	got := scrape(t, startNode(t))
	shown := 0
	for name, value := range got {
		if strings.HasPrefix(name, "fairlane_schedule_ticks_total{") {
			if shown++; value != "0" {
				t.Errorf("%s is %s", name, value)
			}
		}
	}
	if want := len(logv1.TickReason_name) - 1; shown != want {
		t.Errorf("%d series of ticks, want %d", shown, want)
	}
}

// A schedule that is due and does not fire shows, whatever the reason.
func TestMetricOfOverdueSchedules(t *testing.T) {
	n := startNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	schedule := &logv1.Schedule{
		Name: "unreadable", Spec: "@whenever", MaxInstances: 1, CatchUp: logv1.CatchUp_CATCH_UP_LATEST,
		Overlap: logv1.Overlap_OVERLAP_SKIP, Template: &logv1.NewJob{Kind: "k", Queue: "q"},
	}
	put := &logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: &logv1.PutSchedule{Schedule: schedule, NextMs: n.Now() - 90_000}}}
	if result, err := n.Propose(ctx, put); err != nil || result.GetRefusal() != nil {
		t.Fatal(result.GetRefusal(), err)
	}
	if late, err := strconv.ParseFloat(scrape(t, n)["fairlane_schedule_overdue_seconds"], 64); err != nil || late < 90 || late > 1000 {
		t.Errorf("overdue for %v s, want 90 and a little (%v)", late, err)
	}
}

// However many queues there are, the label has a bounded number of values, and no job is left out.
func TestMetricsOfManyQueues(t *testing.T) {
	var queues []*logv1.Queue
	for i := range 250 {
		queues = append(queues, &logv1.Queue{Name: fmt.Sprintf("q%03d", i), Counts: &logv1.Counts{Pending: 2, Cancelled: 1}})
	}
	rows := jobRows(queues)
	if len(rows) != mostQueueLabels+1 || rows[0].queue != "q000" || rows[mostQueueLabels].queue != otherQueues {
		t.Fatalf("%d rows, the first %s, the last %s", len(rows), rows[0].queue, rows[len(rows)-1].queue)
	}
	var pending, cancelled int64
	for _, row := range rows {
		pending, cancelled = pending+row.counts[1], cancelled+row.counts[6]
	}
	if pending != 500 || cancelled != 250 || rows[0].counts[1] != 2 {
		t.Errorf("%d pending, %d cancelled, want 500 and 250", pending, cancelled)
	}
}
