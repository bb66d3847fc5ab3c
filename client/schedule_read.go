package fairlane

import (
	"context"
	"iter"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// schedulePage is how many schedules or ticks one call brings.
const schedulePage = 100

// Schedule reads a schedule as it is now, after everything that was acknowledged before.
func (c *Client) Schedule(ctx context.Context, name string) (*ScheduleInfo, error) {
	res, err := read(ctx, c, attemptLimit, getSchedule, &fairlanev1.GetScheduleRequest{Name: name})
	return res.GetStatus(), err
}

// ScheduleFilter selects schedules: those that match every field that is set.
type ScheduleFilter struct {
	// Prefix of the names.
	Prefix string
	Group  string
}

// Schedules gives the schedules by name, from the state of the nodes that answer, page after page. Payloads longer than 1 KiB are left out. The
// last pair has an error if the loop did not come to the end.
func (c *Client) Schedules(ctx context.Context, filter ScheduleFilter) iter.Seq2[*ScheduleInfo, error] {
	return pages(func(after string) ([]*ScheduleInfo, string, error) {
		res, err := read(ctx, c, attemptLimit, listSchedules, &fairlanev1.ListSchedulesRequest{
			Prefix: filter.Prefix, Group: filter.Group, AfterName: after, Limit: schedulePage})
		return res.GetSchedules(), res.GetNextAfterName(), err
	}, func(next, after string) bool { return next > after })
}

// Tick is what became of one fire time, or of several that follow each other.
type Tick = fairlanev1.Tick

// WaitingTick is a fire time that waits for a run to end.
type WaitingTick = fairlanev1.WaitingTick

// Ticks gives the history of a schedule, newest first; the newest 64 are kept. The last pair has an error if the loop did not come to the end.
func (c *Client) Ticks(ctx context.Context, name string) iter.Seq2[*Tick, error] {
	return pages(func(before uint64) ([]*Tick, uint64, error) {
		res, err := read(ctx, c, attemptLimit, listTicks, &fairlanev1.ListTicksRequest{Name: name, BeforeNumber: before, Limit: schedulePage})
		return res.GetTicks(), res.GetNextBeforeNumber(), err
	}, func(next, before uint64) bool { return before == 0 || next < before })
}

// WaitingTicks gives the fire times of a schedule that wait, oldest first, at most 100.
func (c *Client) WaitingTicks(ctx context.Context, name string) ([]*WaitingTick, error) {
	res, err := read(ctx, c, attemptLimit, listTicks, &fairlanev1.ListTicksRequest{Name: name, Limit: 1})
	return res.GetWaiting(), err
}

// pages walks over a list that comes in pages, each of which begins where the one before says; the zero value is the first and no further one.
// onward tells a place that lies further, so that a confused node cannot keep us here.
func pages[T any, P comparable](page func(P) ([]T, P, error), onward func(next, place P) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var place, none P
		for {
			list, next, err := page(place)
			if err != nil {
				var nothing T
				yield(nothing, err)
				return
			}
			for _, one := range list {
				if !yield(one, nil) {
					return
				}
			}
			if next == none || !onward(next, place) {
				return
			}
			place = next
		}
	}
}

// Preview is what a definition means.
type Preview struct {
	Fires []Fire
	// Words of the spec.
	Words string
	// Over: no fire time comes after these.
	Over bool
}

// Fire is a time at which a schedule fires, without its jitter.
type Fire struct {
	At time.Time
	// Local time in the schedule's zone with its offset: 2026-10-25T02:30:00+02:00.
	Local string
	// Note, for example that the clock is set forward and the time shifted.
	Note string
}

// NextFires gives the next n times of a schedule, at most 1,000.
func (c *Client) NextFires(ctx context.Context, name string, n int) (*Preview, error) {
	return c.preview(ctx, &fairlanev1.PreviewScheduleRequest{Name: name, Limit: int32(min(n, 1<<30))})
}

// PreviewSchedule says what the spec of a schedule means that need not exist; its Spec, Zone, Start, End and Jitter are read.
func (c *Client) PreviewSchedule(ctx context.Context, s Schedule, n int) (*Preview, error) {
	m := &fairlanev1.Schedule{Spec: s.Spec, Zone: s.Zone}
	if err := s.times(m); err != nil {
		return nil, err
	}
	return c.preview(ctx, &fairlanev1.PreviewScheduleRequest{Schedule: m, Limit: int32(min(n, 1<<30))})
}

func (c *Client) preview(ctx context.Context, req *fairlanev1.PreviewScheduleRequest) (*Preview, error) {
	res, err := read(ctx, c, attemptLimit, previewSchedule, req)
	if err != nil {
		return nil, err
	}
	out := &Preview{Words: res.GetWords(), Over: res.GetOver()}
	for _, t := range res.GetTicks() {
		out.Fires = append(out.Fires, Fire{At: time.UnixMilli(t.GetFireMs()), Local: t.GetLocal(), Note: t.GetNote()})
	}
	return out, nil
}

func getSchedule(n *node) func(context.Context, *fairlanev1.GetScheduleRequest) (*fairlanev1.GetScheduleResponse, error) {
	return n.schedules.GetSchedule
}

func listSchedules(n *node) func(context.Context, *fairlanev1.ListSchedulesRequest) (*fairlanev1.ListSchedulesResponse, error) {
	return n.schedules.ListSchedules
}

func listTicks(n *node) func(context.Context, *fairlanev1.ListTicksRequest) (*fairlanev1.ListTicksResponse, error) {
	return n.schedules.ListTicks
}

func previewSchedule(n *node) func(context.Context, *fairlanev1.PreviewScheduleRequest) (*fairlanev1.PreviewScheduleResponse, error) {
	return n.schedules.PreviewSchedule
}
