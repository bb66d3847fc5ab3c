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
				return s.tryPut(ctx, normal, r)
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
			if err := checkNew(r, normal, record); err != nil {
				return nil, err
			}
			old = record
			var op *logv1.PutSchedule
			if op, grid, err = s.computePut(normal, record); err != nil {
				return nil, err
			}
			op.ExpectedRevision = r.GetExpectedRevision()
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
	out.Warnings = s.warnings(old.GetSchedule(), normal, grid)
	return out, nil
}

// checkNew refuses to write over another definition when a schedule shall only be made. If another put comes between this look and the command, the
// machine refuses what was computed for a new one, and it is looked again.
func checkNew(r *v1.PutScheduleRequest, normal *logv1.Schedule, record *logv1.ScheduleRecord) error {
	if !r.GetCreateOnly() || record == nil || proto.Equal(record.GetSchedule(), normal) {
		return nil
	}
	return problem(StaleRevision, "schedule", normal.GetName(), "revision", number(record.GetRevision()))
}

// tryPut says what a put would do, as far as it can be known without one. On this node, which leads.
func (s *scheduleService) tryPut(ctx context.Context, normal *logv1.Schedule, r *v1.PutScheduleRequest) (*v1.PutScheduleResponse, error) {
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
	if err := checkNew(r, normal, view.Record); err != nil {
		return nil, err
	}
	switch expected := r.GetExpectedRevision(); {
	case expected != 0 && !known:
		return nil, problem(UnknownSchedule, "schedule", normal.GetName())
	case expected != 0 && expected != view.Record.GetRevision():
		return nil, problem(StaleRevision, "schedule", normal.GetName(), "revision", number(view.Record.GetRevision()), "expected", number(expected))
	}
	_, grid, err := s.computePut(normal, view.Record)
	if err != nil {
		return nil, err
	}
	out.Differences = differencesOf(view.Record.GetSchedule(), normal)
	out.Warnings = s.warnings(view.Record.GetSchedule(), normal, grid)
	return out, nil
}

// computePut is what the leader computes of the clock and of the schedule that is there (nil: none is). The grid is that of the new definition;
// nil for an unchanged one that cannot be read here.
func (s *scheduleService) computePut(normal *logv1.Schedule, old *logv1.ScheduleRecord) (*logv1.PutSchedule, *calendar.Grid, error) {
	now := s.node.Now()
	op, grid, err := calendar.Put(normal, old, now, draw)
	if never := (*calendar.NeverFiresError)(nil); errors.As(err, &never) {
		return nil, nil, neverFires(normal, never.FirstMs, now)
	}
	if err != nil {
		return nil, nil, badSpec(err)
	}
	return op, grid, nil
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

// neverFires says why no fire time comes. first would without the end; 0: none.
func neverFires(s *logv1.Schedule, first, now int64) error {
	in, zone := newZones(), s.GetZone()
	if first != 0 {
		return problem(NeverFires, "why", "its first fire time would be "+in.text(zone, first)+", after its end, "+in.text(zone, s.GetEndMs()))
	}
	return problem(NeverFires, "why", "no fire time of "+strconv.Quote(s.GetSpec())+" is left; it is "+in.text(zone, now)+" now")
}
