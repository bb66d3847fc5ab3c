package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newScheduleCmd(a *app) *cobra.Command {
	schedule := &cobra.Command{Use: "schedule", Short: "See, put, delete, pause, resume, trigger and backfill schedules"}
	schedule.AddCommand(newScheduleListCmd(a), newScheduleGetCmd(a), newSchedulePutCmd(a), newScheduleDeleteCmd(a), newSchedulePauseCmd(a),
		newScheduleResumeCmd(a), newScheduleTriggerCmd(a), newScheduleBackfillCmd(a), newScheduleHistoryCmd(a), newScheduleNextCmd(a))
	return schedule
}

func newScheduleListCmd(a *app) *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "Schedules by name, and when each fires next", Args: cobra.NoArgs,
		Example: `  fairlane schedule list --group reports
  fairlane schedule list --prefix reports/`}
	f := list.Flags()
	prefix := f.String("prefix", "", "only schedules whose name begins so")
	group := f.String("group", "", "only schedules of this group")
	limit := f.Int("limit", 1000, "most schedules to show, 1 to 100000")
	after := f.String("after", "", "only schedules whose name lies after this one: the next page")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit < 1 || *limit > mostListed {
			return usagef("--limit %d: want 1 to %d", *limit, mostListed)
		}
		all := &fairlanev1.ListSchedulesResponse{NextAfterName: *after}
		for {
			req := &fairlanev1.ListSchedulesRequest{Prefix: *prefix, Group: *group, AfterName: all.GetNextAfterName(),
				Limit: int32(min(pageSize, *limit-len(all.GetSchedules())))}
			page, err := call(cmd.Context(), a, schedulesOf, fairlanev1connect.ScheduleServiceClient.ListSchedules, req)
			if err != nil {
				return err
			}
			all.Schedules = append(all.Schedules, page.GetSchedules()...)
			all.NextAfterName, all.Index = page.GetNextAfterName(), page.GetIndex()
			// The name only rises, so that a confused node cannot keep us here.
			if next := page.GetNextAfterName(); next <= req.GetAfterName() || len(all.GetSchedules()) >= *limit {
				return a.print(all, func(w io.Writer) { scheduleTable(w, all) })
			}
		}
	}
	return list
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
	return &cobra.Command{
		Use: "get SCHEDULE", Short: "One schedule, what it enqueues, and what became of its fire times in all", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := call(cmd.Context(), a, schedulesOf, fairlanev1connect.ScheduleServiceClient.GetSchedule, &fairlanev1.GetScheduleRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.print(res, func(w io.Writer) { scheduleDetails(w, res.GetStatus()) })
		},
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

// durationText writes a duration in milliseconds as a file may: 90s is 1m30s, and there are no zeros at the end.
func durationText(ms int64) string {
	text := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
