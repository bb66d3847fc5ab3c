package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/schedulefile"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

func newScheduleHistoryCmd(a *app) *cobra.Command {
	history := &cobra.Command{Use: "history SCHEDULE", Short: "What became of its fire times, newest first, each with the reason; the newest 64 are kept", Args: cobra.ExactArgs(1)}
	limit := history.Flags().IntP("number", "n", 20, "most lines to show, of those that wait and of the history, 1 to 1000")
	before := history.Flags().Uint64("before", 0, "only lines with a lower number: the next page")
	history.RunE = func(cmd *cobra.Command, args []string) error {
		if *limit < 1 || *limit > pageSize {
			return usagef("-n %d: want 1 to %d", *limit, pageSize)
		}
		res, err := call(cmd.Context(), a, schedulesOf, fairlanev1connect.ScheduleServiceClient.ListTicks,
			&fairlanev1.ListTicksRequest{Name: args[0], BeforeNumber: *before, Limit: int32(*limit)})
		if err != nil {
			return err
		}
		return a.print(res, func(w io.Writer) { historyTable(w, res, *limit) })
	}
	return history
}

// mostWaitingShown: an answer has so many ticks that wait, at most.
const mostWaitingShown = 100

func historyTable(w io.Writer, res *fairlanev1.ListTicksResponse, most int) {
	if waiting := res.GetWaiting(); len(waiting) > 0 {
		row(w, "WAITING", "FIRE_TIME", "CAUSE", "MISSED_AFTER")
		for i, tick := range waiting[:min(most, len(waiting))] {
			row(w, i+1, instant(tick.GetFireMs()), tick.GetCause(), instant(tick.GetDeadlineMs()))
		}
		switch more := len(waiting) - most; {
		case len(waiting) >= mostWaitingShown:
			row(w, "and perhaps more; schedule get counts them")
		case more > 0:
			row(w, fmt.Sprintf("and %d more", more))
		}
		row(w)
	}
	row(w, "NUMBER", "AT", "RESULT", "REASON", "FIRE_TIMES", "LATE", "JOB", "TEXT")
	for _, tick := range res.GetTicks() {
		late, job := "", ""
		if tick.GetReason() == "on_time" || tick.GetReason() == "caught_up" { // what is run by hand is not late
			late = durationText(tick.GetLateMs())
		}
		if tick.GetJob() != 0 {
			job = fmt.Sprint(tick.GetJob())
		}
		row(w, tick.GetNumber(), instant(tick.GetAtMs()), tick.GetResult(), tick.GetReason(),
			ticksText(tick.GetFirstFireMs(), tick.GetLastFireMs(), tick.GetCount(), tick.GetMore()), late, job, printable([]byte(tick.GetText())))
	}
	if next := res.GetNextBeforeNumber(); next != 0 {
		row(w, fmt.Sprintf("more: --before %d", next))
	}
}

// ticksText names one fire time, or how many and from when to when. more: the number is a least one.
func ticksText(first, last, count int64, more bool) string {
	if first == last && !more {
		return instant(first)
	}
	atLeast := ""
	if more {
		atLeast = "at least "
	}
	return fmt.Sprintf("%s%d from %s to %s", atLeast, count, instant(first), instant(last))
}

func newScheduleNextCmd(a *app) *cobra.Command {
	next := &cobra.Command{Use: "next (SCHEDULE | --spec SPEC)", Short: "The next fire times of a schedule, or of a spec that is not put yet", Args: cobra.MaximumNArgs(1),
		Long: `The next fire times of a schedule, or of a spec that is not put yet, each with the offset of its zone and with a note where a change of the clock
matters. --explain says the spec in words. A spec that cannot be meant is refused with what would be right.`,
		Example: `  fairlane schedule next nightly -n 10
  fairlane schedule next --spec "30 2 * * *" --zone Europe/Berlin --from 2027-03-27T00:00:00Z --explain`}
	f := next.Flags()
	number := f.IntP("number", "n", 5, "how many, 1 to 1000")
	explain := f.Bool("explain", false, "say the spec in words")
	from := f.String("from", "", "times after this `time`, for example 2027-03-27T00:00:00Z; default: now")
	definition := schedulefile.New("")
	for _, key := range []string{"spec", "zone", "start", "end"} {
		fieldFlag(next, key)
	}
	next.RunE = func(cmd *cobra.Command, args []string) error {
		if err := setFromFlags(cmd, definition); err != nil {
			return err
		}
		d := definition.Schedule
		given := cmd.Flags().Changed
		req := &fairlanev1.PreviewScheduleRequest{Limit: int32(*number)}
		switch {
		case *number < 1 || *number > pageSize:
			return usagef("-n %d: want 1 to %d", *number, pageSize)
		case len(args) == 0 && d.Spec == "":
			return usagef("%s: name a schedule, or give a --spec", cmd.CommandPath())
		case len(args) == 1 && (given("spec") || given("zone") || given("start") || given("end")):
			return usagef("%s: name a schedule, or give a --spec, not both", cmd.CommandPath())
		case len(args) == 1:
			req.Name = args[0]
		default:
			req.Schedule = &fairlanev1.Schedule{Spec: d.Spec, Zone: d.Zone, StartMs: unixMilli(d.Start), EndMs: unixMilli(d.End)}
		}
		var err error
		if req.FromMs, err = parseTime("from", *from, time.Now()); err != nil {
			return err
		}
		res, err := call(cmd.Context(), a, schedulesOf, fairlanev1connect.ScheduleServiceClient.PreviewSchedule, req)
		if err != nil {
			return err
		}
		if req.GetName() != "" && a.output != outputJSON {
			defer a.nextNotes(cmd.Context(), req.GetName())
		}
		return a.print(res, func(w io.Writer) { nextTable(w, res, *explain) })
	}
	return next
}

// nextNotes say what keeps a schedule from firing at the times of its grid. They are no part of the answer, so it is none without them.
func (a *app) nextNotes(ctx context.Context, name string) {
	res, err := call(ctx, a, schedulesOf, fairlanev1connect.ScheduleServiceClient.GetSchedule, &fairlanev1.GetScheduleRequest{Name: name})
	if err != nil {
		return
	}
	s := res.GetStatus()
	if s.GetPaused() {
		fmt.Fprintf(a.err, "%s is paused: none of these fires until it is resumed\n", name)
	}
	if s.GetOffsetMs() != 0 {
		fmt.Fprintf(a.err, "each fires %s later: its jitter or spread\n", durationText(s.GetOffsetMs()))
	}
}

func nextTable(w io.Writer, res *fairlanev1.PreviewScheduleResponse, explain bool) {
	if explain {
		fmt.Fprintln(w, res.GetWords())
	}
	for _, tick := range res.GetTicks() {
		if tick.GetNote() == "" {
			fmt.Fprintln(w, tick.GetLocal())
			continue
		}
		row(w, tick.GetLocal(), tick.GetNote())
	}
	if res.GetOver() {
		fmt.Fprintln(w, "It is over then: no further time comes.")
	}
}

// unixMilli is 0 for the zero time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
