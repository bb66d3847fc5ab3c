package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newScheduleCmd(a *app) *cobra.Command {
	schedule := &cobra.Command{Use: "schedule", Short: "See, put, set, delete, pause, resume, trigger and backfill schedules"}
	named := []*cobra.Command{newScheduleGetCmd(a), newScheduleDeleteCmd(a), newSchedulePauseCmd(a), newScheduleResumeCmd(a), newScheduleTriggerCmd(a),
		newScheduleSetCmd(a), newScheduleBackfillCmd(a), newScheduleHistoryCmd(a), newScheduleNextCmd(a)}
	a.suggest("UNKNOWN_SCHEDULE", "schedule", a.scheduleNames, named...)
	schedule.AddCommand(newScheduleListCmd(a), newSchedulePutCmd(a))
	schedule.AddCommand(named...)
	return schedule
}

func newScheduleListCmd(a *app) *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "Schedules by name, or by when each fires next", Args: cobra.NoArgs,
		Example: `  fairlane schedule list --group reports
  fairlane schedule list --prefix reports/
  fairlane schedule list --by next --limit 10     # what fires first; paused and ended ones come last
  fairlane schedule list --group reports -o toml  # a file for schedule put, which changes nothing there`}
	f := list.Flags()
	prefix := f.String("prefix", "", "only schedules whose name begins so")
	group := f.String("group", "", "only schedules of this group")
	by := f.String("by", "name", "order: name or next")
	limit := f.Int("limit", 1000, "most schedules to show, 1 to 100000")
	after := f.String("after", "", "only schedules whose name lies after this one: the next page")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		most := *limit
		switch {
		case *limit < 1 || *limit > mostListed:
			return usagef("--limit %d: want 1 to %d", *limit, mostListed)
		case *by == "next" && *after != "":
			return usagef("--after goes on by name: leave out --by next, or --after")
		case *by == "next":
			most = mostListed // the first ones by time may be the last ones by name
		case *by == "name" && a.output == outputTOML && !cmd.Flags().Changed("limit"):
			most = mostListed // a file that is cut is of no use
		case *by != "name":
			return usagef("--by %q: want name or next", *by)
		}
		all, err := a.listSchedules(cmd.Context(), &fairlanev1.ListSchedulesRequest{Prefix: *prefix, Group: *group, AfterName: *after}, most)
		if err != nil {
			return err
		}
		if *by == "next" {
			slices.SortStableFunc(all.Schedules, func(x, y *fairlanev1.ScheduleStatus) int { return cmp.Compare(firesAt(x), firesAt(y)) })
			all.Schedules, all.NextAfterName = all.Schedules[:min(*limit, len(all.Schedules))], ""
		}
		if a.output == outputTOML {
			return a.listAsTOML(cmd.Context(), all, *group == "" && cmd.Flags().Changed("group"))
		}
		return a.print(all, func(w io.Writer) { scheduleTable(w, all) })
	}
	return hasTOML(list)
}

// listSchedules asks for page after page until it has most.
func (a *app) listSchedules(ctx context.Context, req *fairlanev1.ListSchedulesRequest, most int) (*fairlanev1.ListSchedulesResponse, error) {
	all := &fairlanev1.ListSchedulesResponse{}
	for {
		req.Limit = int32(min(pageSize, most-len(all.GetSchedules())))
		page, err := call(ctx, a, schedulesOf, fairlanev1connect.ScheduleServiceClient.ListSchedules, req)
		if err != nil {
			return nil, err
		}
		all.Schedules = append(all.Schedules, page.GetSchedules()...)
		all.NextAfterName, all.Index = page.GetNextAfterName(), page.GetIndex()
		// The name only rises, so that a confused node cannot keep us here.
		if next := page.GetNextAfterName(); next <= req.GetAfterName() || len(all.GetSchedules()) >= most {
			return all, nil
		}
		req.AfterName = page.GetNextAfterName()
	}
}

// firesAt is when a schedule really fires next; paused ones come after all others, and those that are over at the end.
func firesAt(s *fairlanev1.ScheduleStatus) int64 {
	switch {
	case s.GetNextMs() == 0:
		return math.MaxInt64
	case s.GetPaused():
		return math.MaxInt64 - 1
	}
	return s.GetNextMs() + s.GetOffsetMs()
}

func scheduleTable(w io.Writer, all *fairlanev1.ListSchedulesResponse) {
	scheduleRows(w, all.GetSchedules())
	if next := all.GetNextAfterName(); next != "" {
		row(w, "more: --after "+next)
	}
}

func scheduleRows(w io.Writer, list []*fairlanev1.ScheduleStatus) {
	row(w, "SCHEDULE", "SPEC", "ZONE", "STATE", "NEXT", "RUNNING", "WAITING", "LAST_START", "LAST_END", "LAST_STATE")
	for _, s := range list {
		d := s.GetSchedule()
		row(w, d.GetName(), d.GetSpec(), zoneText(d), scheduleState(s), s.GetNext(), s.GetInstances(), s.GetWaiting(),
			instant(s.GetLastStartMs()), instant(s.GetLastEndMs()), lastState(s))
	}
}

func scheduleState(s *fairlanev1.ScheduleStatus) string {
	switch {
	case s.GetPaused():
		return "paused"
	case s.GetNextMs() == 0:
		return "over"
	}
	return "on"
}

func lastState(s *fairlanev1.ScheduleStatus) string {
	if s.GetLastState() == fairlanev1.JobState_JOB_STATE_UNSPECIFIED {
		return ""
	}
	return stateName(s.GetLastState())
}

func zoneText(d *fairlanev1.Schedule) string {
	if d.GetZone() == "" {
		return "UTC"
	}
	return d.GetZone()
}

func newScheduleGetCmd(a *app) *cobra.Command {
	return hasTOML(&cobra.Command{
		Use: "get SCHEDULE", Short: "One schedule, what it enqueues, what became of its fire times in all, and its jobs that are not over", Args: cobra.ExactArgs(1),
		Long:    "One schedule, what it enqueues, what became of its fire times in all, and its jobs that are not over. -o toml prints a file for schedule put.",
		Example: "  fairlane schedule get nightly -o toml > nightly.toml",
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := call(cmd.Context(), a, schedulesOf, fairlanev1connect.ScheduleServiceClient.GetSchedule,
				&fairlanev1.GetScheduleRequest{Name: args[0], Instances: shownInstances})
			if err != nil {
				return err
			}
			if a.output == outputTOML {
				return a.printTOML([]*fairlanev1.ScheduleStatus{res.GetStatus()})
			}
			return a.print(res, func(w io.Writer) {
				scheduleDetails(w, res.GetStatus())
				instanceRows(w, res)
			})
		},
	})
}

// shownInstances of a schedule, at most.
const shownInstances = 20

// instanceRows are the jobs that keep a schedule from starting more than max_instances.
func instanceRows(w io.Writer, res *fairlanev1.GetScheduleResponse) {
	if len(res.GetInstances()) == 0 {
		return
	}
	row(w)
	row(w, "INSTANCE", "STATE", "ATTEMPT", "WORKER", "SINCE", "CAUSE", "FIRE_TIME")
	for _, j := range res.GetInstances() {
		row(w, j.GetId(), stateName(j.GetState()), fmt.Sprintf("%d/%d", j.GetAttempt(), j.GetMaxAttempts()), j.GetWorker(),
			instant(cmp.Or(j.GetStartedMs(), j.GetEnqueuedMs())), j.GetFireCause(), instant(j.GetFireMs()))
	}
	if more := int(res.GetStatus().GetInstances()) - len(res.GetInstances()); more > 0 {
		row(w, fmt.Sprintf("and %d more", more))
	}
}

func scheduleDetails(w io.Writer, s *fairlanev1.ScheduleStatus) {
	d, j, t := s.GetSchedule(), s.GetSchedule().GetJob(), s.GetTotals()
	row(w, "schedule", d.GetName())
	optional(w, "description", printable([]byte(d.GetDescription())))
	optional(w, "group", d.GetGroup())
	row(w, "state", scheduleState(s))
	row(w, "spec", d.GetSpec())
	row(w, "zone", zoneText(d))
	optional(w, "start", instant(d.GetStartMs()))
	optional(w, "end", instant(d.GetEndMs()))
	row(w, "next", s.GetNext())
	if s.GetOffsetMs() != 0 {
		row(w, "offset", durationText(s.GetOffsetMs())+" later")
	}
	if d.GetJitterMs() != 0 {
		row(w, "jitter", durationText(d.GetJitterMs()))
	}
	if d.GetSpread() {
		row(w, "spread", "by name")
	}
	row(w, "misfire grace", graceText(d))
	row(w, "catch up", enumText(d.GetCatchUp().String(), "CATCH_UP_", "latest"))
	row(w, "instances", fmt.Sprintf("%d of %d", s.GetInstances(), max(d.GetMaxInstances(), 1)))
	row(w, "overlap", enumText(d.GetOverlap().String(), "OVERLAP_", "skip"))
	row(w, "waiting", s.GetWaiting())
	if d.GetMinIntervalMs() != 0 {
		row(w, "min interval", durationText(d.GetMinIntervalMs()))
	}
	row(w, "kind", j.GetKind())
	row(w, "queue", j.GetQueue())
	row(w, "user", j.GetUser())
	row(w, "priority", j.GetPriority())
	optional(w, "coordinator", j.GetCoordinator())
	payload := []byte(j.GetJson())
	if len(payload) == 0 {
		payload = j.GetData()
	}
	row(w, "payload", printable(payload))
	optional(w, "labels", labelsText(j.GetLabels()))
	if j.GetMemoryBytes() != 0 {
		row(w, "memory", memoryText(j.GetMemoryBytes()))
	}
	optional(w, "limits", limitsText(j.GetLimits()))
	if s.GetLastStartMs() != 0 {
		row(w, "last start", fmt.Sprintf("%s, job %d", instant(s.GetLastStartMs()), s.GetLastJob()))
	}
	if s.GetLastEndMs() != 0 {
		row(w, "last end", fmt.Sprintf("%s, %s", instant(s.GetLastEndMs()), lastState(s)))
	}
	row(w, "fire times", fmt.Sprintf("%d fired, %d missed, %d skipped, %d coalesced", t.GetFired(), t.GetMissed(), t.GetSkipped(), t.GetCoalesced()))
	row(w, "beside them", fmt.Sprintf("%d triggered, %d backfilled", t.GetTriggered(), t.GetBackfilled()))
	if t.GetFired() != 0 {
		row(w, "lateness", fmt.Sprintf("last %s, mean %s, most %s", durationText(t.GetLastLateMs()), durationText(t.GetMeanLateMs()), durationText(t.GetMostLateMs())))
	}
	row(w, "changed", fmt.Sprintf("%s, revision %d", instant(s.GetChangedMs()), s.GetRevision()))
}

func labelsText(labels map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, printable([]byte(name+"="+labels[name])))
	}
	return strings.Join(out, " ")
}

// limitsText has the limits of a job that are set, under the names that they have in a file.
func limitsText(l *fairlanev1.JobLimits) string {
	var out []string
	for _, limit := range schedulefile.Limits(l) {
		out = append(out, fmt.Sprintf("%s %v", limit.Key, limit.Value))
	}
	return strings.Join(out, ", ")
}

// optional is a row that is left out when it says nothing.
func optional(w io.Writer, name, value string) {
	if value != "" {
		row(w, name, value)
	}
}

func graceText(d *fairlanev1.Schedule) string {
	switch {
	case d.MisfireGraceMs == nil:
		return "the larger of 1m and one period"
	case d.GetMisfireGraceMs() < 0:
		return "unlimited"
	}
	return durationText(d.GetMisfireGraceMs())
}

// enumText is a word of the API as a file has it; the unspecified one is the default.
func enumText(word, prefix, unspecified string) string {
	if word = strings.TrimPrefix(word, prefix); word != "UNSPECIFIED" {
		return strings.ToLower(word)
	}
	return unspecified
}

// durationText is a duration in milliseconds as a file may have it.
func durationText(ms int64) string { return schedulefile.DurationText(ms) }
