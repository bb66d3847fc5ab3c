package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// mostUnasked runs of a backfill are started without a question.
const mostUnasked = 10

type scheduleBackfill struct {
	name, from, to string
	dryRun, yes    bool
}

func newScheduleBackfillCmd(a *app) *cobra.Command {
	var f scheduleBackfill
	backfill := &cobra.Command{Use: "backfill SCHEDULE --from TIME --to TIME", Short: "Run the fire times of a range, one after another, at most 1,000", Args: cobra.ExactArgs(1),
		Long: `Run the fire times of a schedule from one time to another, both included, one after another and beside its own fires. Each job gets the
fire time for which it stands. They may have run before: nothing is left out. --dry-run counts them first. For more than 10 runs you are asked;
where nobody can be asked, --yes is needed.

A time without an offset is one of the clock in the schedule's zone; of one that comes twice --from takes the first and --to the last. A date alone
is the whole day.`,
		Example: `  fairlane schedule backfill nightly --from 2026-11-01 --to 2026-11-07 --dry-run
  fairlane schedule backfill nightly --from 2026-11-01T18:00 --to 2026-11-01T20:00:00Z
  fairlane schedule backfill nightly --from 48h --to 24h`}
	flags := backfill.Flags()
	flags.StringVar(&f.from, "from", "", "first `time`: 2026-11-01, 2026-11-01T18:00, 2026-11-01T18:00:00Z, or so long ago (48h); required")
	flags.StringVar(&f.to, "to", "", "last `time`, given in the same way; required")
	flags.BoolVar(&f.dryRun, "dry-run", false, "count them and run none")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	backfill.RunE = func(cmd *cobra.Command, args []string) error {
		f.name = args[0]
		return f.run(cmd, a)
	}
	return backfill
}

func (f scheduleBackfill) run(cmd *cobra.Command, a *app) error {
	if f.from == "" || f.to == "" {
		return usagef("%s: say both --from and --to", cmd.CommandPath())
	}
	first, last, err := f.between(cmd.Context(), a)
	if err != nil {
		return err
	}
	client, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	fill := func(options ...fairlane.ScheduleOption) (int64, error) {
		ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
		defer cancel()
		return client.BackfillSchedule(ctx, f.name, time.UnixMilli(first), time.UnixMilli(last), options...)
	}
	done := "will run, one after another"
	if f.dryRun || !f.yes {
		n, err := fill(fairlane.DryRun())
		if err != nil {
			return err
		}
		span, err := f.span(cmd.Context(), a, first, n)
		switch {
		case err != nil:
			return err
		case f.dryRun:
			return a.print(&fairlanev1.BackfillScheduleResponse{Ticks: n}, func(w io.Writer) { row(w, fireTimesText(n)+" of "+f.name+" would run"+span) })
		case n <= mostUnasked:
		case !a.terminal:
			return usagef("%s: %s%s: say --yes, or --dry-run to count only (nobody can be asked: the input is no terminal)", cmd.CommandPath(), fireTimesText(n), span)
		case !a.ask(fmt.Sprintf("run %s of %s%s?", fireTimesText(n), f.name, span)):
			return &exitError{exitFailed, fmt.Errorf("nothing was run")}
		}
	}
	n, err := fill()
	if err != nil {
		return err
	}
	return a.print(&fairlanev1.BackfillScheduleResponse{Ticks: n}, func(w io.Writer) { row(w, fireTimesText(n)+" of "+f.name+" "+done) })
}

// between the first and the last millisecond. The schedule is asked for its zone if one of them has no offset.
func (f scheduleBackfill) between(ctx context.Context, a *app) (first, last int64, err error) {
	now := time.Now()
	first, from, err := parseEnd("from", f.from, now)
	if err != nil {
		return 0, 0, err
	}
	last, to, err := parseEnd("to", f.to, now)
	if err != nil {
		return 0, 0, err
	}
	if from != nil || to != nil {
		clock, err := a.clockOf(ctx, f.name)
		if err != nil {
			return 0, 0, err
		}
		if from != nil {
			first = clock.end(*from, false)
		}
		if to != nil {
			last = clock.end(*to, true)
		}
	}
	if last < first {
		return 0, 0, usagef("--to %s is before --from %s", f.to, f.from)
	}
	return first, last, nil
}

// parseEnd of a range: an instant in Unix milliseconds, or a time of a clock.
func parseEnd(flag, text string, now time.Time) (int64, *localTime, error) {
	if at, err := parseTime(flag, text, now); err == nil {
		return at, nil, nil
	}
	if local, ok := parseLocal(text); ok {
		return 0, &local, nil
	}
	return 0, nil, usagef("--%s %q: want 2026-11-01 or 2026-11-01T18:00 by the clock in the schedule's zone, a time with its offset such as 2026-11-01T18:00:00Z, "+
		"or how long ago, for example 48h", flag, text)
}

// span of n fire times, in words: the first and the last.
func (f scheduleBackfill) span(ctx context.Context, a *app, first, n int64) (string, error) {
	if n == 0 {
		return "", nil
	}
	res, err := call(ctx, a, schedulesOf, fairlanev1connect.ScheduleServiceClient.PreviewSchedule,
		&fairlanev1.PreviewScheduleRequest{Name: f.name, FromMs: max(first-1, 1), Limit: int32(n)})
	if err != nil {
		return "", err
	}
	times := res.GetTicks()
	switch {
	case len(times) == 0:
		return "", nil
	case n == 1:
		return ", " + times[0].GetLocal(), nil
	}
	return ", from " + times[0].GetLocal() + " to " + times[len(times)-1].GetLocal(), nil
}

// clockOf the zone of a schedule.
func (a *app) clockOf(ctx context.Context, name string) (*wallClock, error) {
	res, err := call(ctx, a, schedulesOf, fairlanev1connect.ScheduleServiceClient.GetSchedule, &fairlanev1.GetScheduleRequest{Name: name})
	if err != nil {
		return nil, err
	}
	return newWallClock(res.GetStatus().GetSchedule().GetZone())
}

// localTime is a time of the clock, held as if it were UTC; day: the date alone was given.
type localTime struct {
	wall time.Time
	day  bool
}

func parseLocal(text string) (localTime, bool) {
	for _, layout := range []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() > 1970 {
			return localTime{t, layout == "2006-01-02"}, true
		}
	}
	return localTime{}, false
}

// wallClock tells the instants at which the clock of a zone shows a time.
type wallClock struct{ grid *calendar.Grid }

func newWallClock(zone string) (*wallClock, error) {
	grid, err := calendar.Parse(calendar.Definition{Spec: "@hourly", Zone: zone})
	if err != nil {
		return nil, usagef("%w; give times with their offset", err)
	}
	return &wallClock{grid}, nil
}

// end of a range, in Unix milliseconds: the first millisecond that is meant, or the last one.
func (c *wallClock) end(t localTime, last bool) int64 {
	if last && t.day {
		return c.instant(t.wall.AddDate(0, 0, 1), false) - 1
	}
	return c.instant(t.wall, last)
}

// instant at which the clock shows a time: of two the first or the last one. A time that the clock skips is shifted by the gap, as in a spec.
func (c *wallClock) instant(wall time.Time, last bool) int64 {
	const day = 24 * 3600_000
	w := wall.UnixMilli()
	before, after := c.offset(w-day), c.offset(w+day)
	early, late := w-max(before, after), w-min(before, after)
	shows := func(at int64) bool { return c.offset(at) == w-at }
	switch {
	case shows(early) && (!last || !shows(late)):
		return early
	case shows(late):
		return late
	}
	return w - before
}

// offset of the zone's clock from UTC, in milliseconds.
func (c *wallClock) offset(ms int64) int64 {
	t, err := time.Parse(time.RFC3339Nano, c.grid.Local(ms))
	if err != nil {
		return 0
	}
	_, seconds := t.Zone()
	return int64(seconds) * 1000
}

func fireTimesText(n int64) string {
	if n == 1 {
		return "1 fire time"
	}
	return fmt.Sprintf("%d fire times", n)
}
