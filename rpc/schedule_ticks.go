package rpc

import (
	"cmp"
	"context"
	"strings"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// listedWaiting ticks are shown at most.
const listedWaiting = 100

// ListTicks shows a page of the history, from this node's own state.
func (s *scheduleService) ListTicks(_ context.Context, r *v1.ListTicksRequest) (*v1.ListTicksResponse, error) {
	if err := checkListTicks(r); err != nil {
		return nil, err
	}
	out := &v1.ListTicksResponse{}
	var view fsm.ScheduleView
	var ticks []*logv1.TickRecord
	var waiting []*logv1.WaitingTickRecord
	known := false
	s.node.View(func(m *fsm.Machine) {
		if view, known = m.Schedule(r.GetName()); !known {
			return
		}
		ticks, out.NextBeforeNumber, _ = m.Ticks(r.GetName(), r.GetBeforeNumber(), cmp.Or(int(r.GetLimit()), 20))
		if r.GetBeforeNumber() == 0 {
			waiting = m.WaitingTicks(r.GetName(), listedWaiting)
		}
		out.Index = m.AppliedIndex()
	})
	if !known {
		return nil, problem(UnknownSchedule, "schedule", r.GetName())
	}
	texts := newTickTexts(view.Record)
	for _, tick := range ticks {
		out.Ticks = append(out.Ticks, tickAnswer(tick, texts))
	}
	for _, tick := range waiting {
		out.Waiting = append(out.Waiting, waitingTickAnswer(tick))
	}
	return out, nil
}

func (s *scheduleService) BackfillSchedule(ctx context.Context, r *v1.BackfillScheduleRequest) (*v1.BackfillScheduleResponse, error) {
	if err := checkBackfill(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.BackfillScheduleResponse]{
		local: func(ctx context.Context) (*v1.BackfillScheduleResponse, error) {
			if r.GetDryRun() {
				return s.tryBackfill(ctx, r)
			}
			return s.backfill(ctx, r)
		},
		remote: func(ctx context.Context, p *peer) (*v1.BackfillScheduleResponse, error) {
			return p.schedules.BackfillSchedule(ctx, r)
		},
		harmless: r.GetDryRun(),
	})
}

// backfill on this node, which leads.
func (s *scheduleService) backfill(ctx context.Context, r *v1.BackfillScheduleRequest) (*v1.BackfillScheduleResponse, error) {
	bare := func() *logv1.Command {
		return &logv1.Command{Op: &logv1.Command_BackfillSchedule{BackfillSchedule: &logv1.BackfillSchedule{
			Name: r.GetName(), FromMs: r.GetFromMs(), ToMs: r.GetToMs()}}}
	}
	result, err := s.proposeComputed(ctx, computedCall{
		name: r.GetName(), repeat: r.GetRepeat(), bare: bare,
		compute: func(record *logv1.ScheduleRecord) (*logv1.Command, error) {
			times, grid, err := s.backfilled(r, record)
			if err != nil {
				return nil, err
			}
			if len(times) == 0 {
				return nil, noTimes(r, record, grid)
			}
			cmd := bare()
			cmd.GetBackfillSchedule().ComputedFrom, cmd.GetBackfillSchedule().TimesMs = record.GetRevision(), times
			return cmd, nil
		},
	})
	if reason, metadata, _ := ReasonOf(err); reason == StateFull && metadata["limit"] == "backlog" {
		return nil, problem(BacklogFull, "schedule", r.GetName(), "value", metadata["value"], "most", metadata["most"])
	}
	if err != nil {
		return nil, err
	}
	return &v1.BackfillScheduleResponse{Ticks: result.GetSchedule().GetTicks(), Position: positionOf(result)}, nil
}

// tryBackfill counts, on this node, which leads.
func (s *scheduleService) tryBackfill(ctx context.Context, r *v1.BackfillScheduleRequest) (*v1.BackfillScheduleResponse, error) {
	if err := s.freshen(ctx); err != nil {
		return nil, err
	}
	view, _ := s.look(r.GetName())
	times, _, err := s.backfilled(r, view.Record)
	if err != nil {
		return nil, err
	}
	return &v1.BackfillScheduleResponse{Ticks: int64(len(times))}, nil
}

// backfilled lists the fire times of the range.
func (s *scheduleService) backfilled(r *v1.BackfillScheduleRequest, record *logv1.ScheduleRecord) ([]int64, *calendar.Grid, error) {
	if record == nil {
		return nil, nil, problem(UnknownSchedule, "schedule", r.GetName())
	}
	zone, in := record.GetSchedule().GetZone(), newZones()
	if now := s.node.Now(); r.GetToMs() > now {
		return nil, nil, problem(InvalidArgument, "field", "to_ms", "value", decimal(r.GetToMs())+" ("+in.text(zone, r.GetToMs())+"), which is to come",
			"want", "give a time that is over, at most "+decimal(now)+" ("+in.text(zone, now)+"): what is to come fires by itself")
	}
	grid, err := calendar.Parse(calendar.DefinitionOf(record.GetSchedule(), record.GetAnchorMs()))
	if err != nil {
		return nil, nil, badSpec(err)
	}
	times, more := grid.Times(r.GetFromMs(), r.GetToMs(), mostBackfilled)
	if more {
		count := grid.Between(r.GetFromMs(), r.GetToMs())
		ticks := thousands(int(count.GetCount()))
		if count.GetMore() {
			ticks = "more than " + ticks
		}
		until := times[len(times)-1]
		return nil, nil, problem(TooManyTicks, "schedule", r.GetName(), "ticks", ticks, "most", thousands(mostBackfilled), "until", in.text(zone, until), "until_ms", decimal(until))
	}
	return times, grid, nil
}

// noTimes refuses a range without a fire time, and says where the nearest are.
func noTimes(r *v1.BackfillScheduleRequest, record *logv1.ScheduleRecord, grid *calendar.Grid) error {
	in, zone := newZones(), record.GetSchedule().GetZone()
	want := "give a range with a fire time"
	if next, ok := grid.Next(r.GetToMs()); ok {
		want += "; the first one after it is " + in.text(zone, next)
	}
	if record.GetAnchorMs() > r.GetFromMs() {
		want += "; its interval counts from " + in.text(zone, record.GetAnchorMs())
	}
	return problem(InvalidArgument, "field", "from_ms to to_ms", "value", "a range ("+in.text(zone, r.GetFromMs())+" to "+in.text(zone, r.GetToMs())+
		") without a fire time of schedule "+r.GetName(), "want", want)
}

// PreviewSchedule says what a definition, or a schedule that exists, means.
func (s *scheduleService) PreviewSchedule(ctx context.Context, r *v1.PreviewScheduleRequest) (*v1.PreviewScheduleResponse, error) {
	if err := checkPreviewSchedule(r); err != nil {
		return nil, err
	}
	if r.GetName() == "" {
		now := s.node.Now()
		return preview(calendar.DefinitionOf(scheduleFrom(r.GetSchedule()), now), cmp.Or(r.GetFromMs(), now), r.GetLimit())
	}
	return atLeader(ctx, s.server, leaderCall[v1.PreviewScheduleResponse]{
		local: func(ctx context.Context) (*v1.PreviewScheduleResponse, error) {
			if err := s.freshen(ctx); err != nil {
				return nil, err
			}
			view, known := s.look(r.GetName())
			if !known {
				return nil, problem(UnknownSchedule, "schedule", r.GetName())
			}
			definition := calendar.DefinitionOf(view.Record.GetSchedule(), view.Record.GetAnchorMs())
			return preview(definition, cmp.Or(r.GetFromMs(), s.node.Now()), r.GetLimit())
		},
		remote: func(ctx context.Context, p *peer) (*v1.PreviewScheduleResponse, error) {
			return p.schedules.PreviewSchedule(ctx, r)
		},
		harmless: true,
	})
}

// preview the times of a definition after an instant.
func preview(d calendar.Definition, after int64, limit int32) (*v1.PreviewScheduleResponse, error) {
	grid, err := calendar.Parse(d)
	if err != nil {
		return nil, badSpec(err)
	}
	out := &v1.PreviewScheduleResponse{Words: words(d, grid)}
	for range cmp.Or(limit, 5) {
		next, ok := grid.Next(after)
		if !ok {
			out.Over = true
			return out, nil
		}
		out.Ticks = append(out.Ticks, &v1.PreviewedTick{FireMs: next, Local: grid.Local(next), Note: grid.Note(next)})
		after = next
	}
	_, more := grid.Next(after)
	out.Over = !more
	return out, nil
}

// words of a definition: its spec, and what its times depend on beside it.
func words(d calendar.Definition, grid *calendar.Grid) string {
	out, once := grid.Words(), strings.HasPrefix(strings.ToLower(d.Spec), "@at")
	switch {
	case once:
	case isInterval(d.Spec):
		out += ", counted from " + grid.Local(cmp.Or(d.StartMs, d.AnchorMs))
	default:
		out += ", " + cmp.Or(d.Zone, "UTC")
		if d.StartMs != 0 {
			out += ", not before " + grid.Local(d.StartMs)
		}
	}
	if d.EndMs != 0 && !once {
		out += ", until " + grid.Local(d.EndMs)
	}
	return out
}

// isInterval: a spec in its normal form is @every.
func isInterval(spec string) bool { return strings.HasPrefix(strings.ToLower(spec), "@every") }
