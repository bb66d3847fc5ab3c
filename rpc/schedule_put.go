package rpc

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// computeAttempts: how often a command is computed anew because the schedule changed or fired between the look at it and the command.
const computeAttempts = 10

// PutSchedule makes or changes a schedule. What follows from the clock and the zone data is computed on the leader and goes with the command
// (docs/design.md §3); the machine refuses it if the schedule is not the one of which it was computed.
func (s *scheduleService) PutSchedule(ctx context.Context, r *v1.PutScheduleRequest) (*v1.PutScheduleResponse, error) {
	if err := checkPutSchedule(r); err != nil {
		return nil, err
	}
	normal := scheduleFrom(r.GetSchedule())
	return atLeader(ctx, s.server, leaderCall[v1.PutScheduleResponse]{
		local: func(ctx context.Context) (*v1.PutScheduleResponse, error) {
			if r.GetDryRun() {
				return s.tryPut(ctx, normal, r.GetExpectedRevision())
			}
			return s.put(ctx, normal, r)
		},
		remote: func(ctx context.Context, p *peer) (*v1.PutScheduleResponse, error) {
			return p.schedules.PutSchedule(ctx, r)
		},
		harmless: r.GetDryRun(),
	})
}

// put on this node, which leads.
func (s *scheduleService) put(ctx context.Context, normal *logv1.Schedule, r *v1.PutScheduleRequest) (*v1.PutScheduleResponse, error) {
	var old *logv1.ScheduleRecord
	var grid *calendar.Grid
	result, err := s.proposeComputed(ctx, computedCall{
		name: normal.GetName(), repeat: r.GetRepeat(), expected: r.GetExpectedRevision(),
		compute: func(record *logv1.ScheduleRecord) (cmd *logv1.Command, err error) {
			old = record
			op := &logv1.PutSchedule{Schedule: normal, ExpectedRevision: r.GetExpectedRevision()}
			if grid, err = s.computePut(op, record); err != nil {
				return nil, err
			}
			return &logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: op}}, nil
		},
		bare: func() *logv1.Command {
			op := &logv1.PutSchedule{Schedule: normal, ExpectedRevision: r.GetExpectedRevision()}
			return &logv1.Command{Op: &logv1.Command_PutSchedule{PutSchedule: op}}
		},
	})
	if err != nil {
		return nil, err
	}
	out := storedPut(normal, result)
	if r.GetRepeat().GetNumber() != 0 {
		return out, nil
	}
	if view, known := s.look(normal.GetName()); known {
		out.Status = statusAnswer(view, newZones())
	}
	out.Differences = differencesOf(old.GetSchedule(), normal)
	out.Warnings = s.warnings(normal, grid)
	return out, nil
}

// tryPut says what a put would do, as far as it can be known without one. On this node, which leads.
func (s *scheduleService) tryPut(ctx context.Context, normal *logv1.Schedule, expected uint64) (*v1.PutScheduleResponse, error) {
	if err := s.freshen(ctx); err != nil {
		return nil, err
	}
	out := &v1.PutScheduleResponse{Change: v1.ScheduleChange_SCHEDULE_CHANGE_CREATED, Normal: scheduleAnswer(normal)}
	view, known := s.look(normal.GetName())
	if known {
		out.Status = statusAnswer(view, newZones())
		out.Change = v1.ScheduleChange_SCHEDULE_CHANGE_UPDATED
		if proto.Equal(view.Record.GetSchedule(), normal) {
			out.Change = v1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED
		}
	}
	switch {
	case expected != 0 && !known:
		return nil, problem(UnknownSchedule, "schedule", normal.GetName())
	case expected != 0 && expected != view.Record.GetRevision():
		return nil, problem(StaleRevision, "schedule", normal.GetName(), "revision", number(view.Record.GetRevision()), "expected", number(expected))
	}
	grid, err := s.computePut(&logv1.PutSchedule{Schedule: normal}, view.Record)
	if err != nil {
		return nil, err
	}
	out.Differences = differencesOf(view.Record.GetSchedule(), normal)
	out.Warnings = s.warnings(normal, grid)
	return out, nil
}

// computePut fills in what the leader computes: from now, and from the schedule that is there (nil: none is). The grid is that of the new
// definition; nil for an unchanged one that cannot be read here.
func (s *scheduleService) computePut(op *logv1.PutSchedule, old *logv1.ScheduleRecord) (*calendar.Grid, error) {
	normal, former := op.GetSchedule(), old.GetSchedule()
	op.ComputedFrom, op.ComputedNextMs = old.GetRevision(), old.GetNextMs()
	op.AnchorMs, op.NextMs, op.OffsetMs = old.GetAnchorMs(), old.GetNextMs(), old.GetOffsetMs()
	if old != nil && proto.Equal(former, normal) {
		// Whatever the clock and the zone data say now: nothing changes, also of one that is over.
		grid, err := calendar.Parse(definitionOf(normal, old.GetAnchorMs()))
		if err != nil {
			return nil, nil
		}
		return grid, nil
	}
	now, definition := s.node.Now(), definitionOf(normal, old.GetAnchorMs())
	over := old != nil && old.GetNextMs() == 0 && keepsGrid(former, normal)
	if !over {
		anchor, next, err := calendar.Anchor(definition, now)
		if err != nil {
			return nil, cannotFire(definition, now, err)
		}
		if next == 0 {
			return nil, neverFires(definition, now)
		}
		definition.AnchorMs, op.AnchorMs, op.NextMs = anchor, anchor, next
	}
	grid, err := calendar.Parse(definition)
	if err != nil {
		return nil, badSpec(err)
	}
	if old == nil || !keepsOffset(former, normal) {
		op.OffsetMs = calendar.Offset(normal.GetName(), normal.GetJitterMs(), grid.Period(now), normal.GetSpread(), draw)
	}
	if old == nil || over {
		return grid, nil
	}
	// The change takes effect at this instant: what came before belongs to the former grid, and what comes after to the new one.
	if op.Passed, err = passedUntil(old, now); err != nil {
		return nil, err
	}
	if op.NextMs, _ = grid.Next(max(op.NextMs-1, now, old.GetTakenMs(), op.Passed.GetLastMs())); op.NextMs == 0 {
		return nil, neverFires(definition, now)
	}
	return grid, nil
}

// keepsOffset: the machine keeps the offset of what it was drawn for.
func keepsOffset(former, normal *logv1.Schedule) bool {
	return former.GetSpec() == normal.GetSpec() && former.GetZone() == normal.GetZone() &&
		former.GetJitterMs() == normal.GetJitterMs() && former.GetSpread() == normal.GetSpread()
}

// keepsGrid: two definitions have the same times, unless they count from now.
func keepsGrid(former, normal *logv1.Schedule) bool {
	return keepsOffset(former, normal) && former.GetStartMs() == normal.GetStartMs() && former.GetEndMs() == normal.GetEndMs()
}

// passedUntil counts the times of a schedule's own grid that came up to an instant and are neither fired nor recorded; nil: none.
func passedUntil(record *logv1.ScheduleRecord, until int64) (*logv1.Passed, error) {
	if from := record.GetNextMs(); from == 0 || from > until {
		return nil, nil
	}
	grid, err := calendar.Parse(definitionOf(record.GetSchedule(), record.GetAnchorMs()))
	if err != nil {
		return nil, badSpec(err)
	}
	return someOf(grid.Between(record.GetNextMs(), until)), nil
}

// someOf ticks; nil when there are none.
func someOf(passed *logv1.Passed) *logv1.Passed {
	if passed.GetCount() == 0 {
		return nil
	}
	return passed
}

// draw a number in [0, n) that nobody can foretell.
func draw(n int64) int64 {
	if n <= 1 {
		return 0
	}
	out, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic("no randomness: " + err.Error()) // crypto/rand ends the process itself before that
	}
	return out.Int64()
}

// specFields are calendar's fields as a definition has them.
var specFields = map[string]string{"start": "start_ms", "end": "end_ms"}

// badSpec is the error for what calendar could not read.
func badSpec(err error) error {
	var field *calendar.FieldError
	if !errors.As(err, &field) {
		return problem(BadSpec, "field", "spec", "value", "not readable", "want", err.Error())
	}
	return problem(BadSpec, "field", cmp.Or(specFields[field.Field], field.Field), "value", strconv.Quote(field.Value), "want", "give "+field.Want)
}

// cannotFire tells a definition that is over from one that cannot be read.
func cannotFire(d calendar.Definition, now int64, err error) error {
	if _, readable := calendar.Parse(d); readable == nil {
		return neverFires(d, now)
	}
	return badSpec(err)
}

// neverFires says why no fire time comes.
func neverFires(d calendar.Definition, now int64) error {
	in := newZones()
	if d.EndMs != 0 {
		end := d.EndMs
		d.EndMs = 0
		if _, next, err := calendar.Anchor(d, now); err == nil && next != 0 {
			return problem(NeverFires, "why", "its first fire time would be "+in.text(d.Zone, next)+", after its end, "+in.text(d.Zone, end))
		}
	}
	return problem(NeverFires, "why", "no fire time of "+strconv.Quote(d.Spec)+" is left; it is "+in.text(d.Zone, now)+" now")
}
