package calendar

import (
	"google.golang.org/protobuf/proto"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// DefinitionOf a schedule's grid; the anchor is known once it was put.
func DefinitionOf(s *logv1.Schedule, anchorMs int64) Definition {
	return Definition{Spec: s.GetSpec(), Zone: s.GetZone(), StartMs: s.GetStartMs(), EndMs: s.GetEndMs(), AnchorMs: anchorMs}
}

// NeverFiresError refuses a definition of which no time is left.
type NeverFiresError struct {
	// FirstMs is the time that would come next without its end; 0: none.
	FirstMs int64
}

func (e *NeverFiresError) Error() string { return "no fire time is left" }

// Put is what the leader computes at nowMs for a definition that is put over a schedule (nil: none is there): everything of the command but the
// revision that the caller expects. drawn is asked for a number in [0, n) if an offset is drawn. Errors are *FieldError and *NeverFiresError. The
// grid is that of the new definition; nil for an unchanged one that cannot be read here.
//
// A change that leaves grid and offset alone leaves the times alone: the next one stays, also if it is due, paused, or none is to come.
func Put(s *logv1.Schedule, old *logv1.ScheduleRecord, nowMs int64, drawn func(n int64) int64) (*logv1.PutSchedule, *Grid, error) {
	former := old.GetSchedule()
	p := &logv1.PutSchedule{Schedule: s, ComputedFrom: old.GetRevision(), ComputedNextMs: old.GetNextMs(),
		AnchorMs: old.GetAnchorMs(), NextMs: old.GetNextMs(), OffsetMs: old.GetOffsetMs()}
	if old != nil && KeepsGrid(former, s) && keepsOffset(former, s) {
		grid, err := Parse(DefinitionOf(s, old.GetAnchorMs()))
		if err != nil && !proto.Equal(former, s) {
			return nil, nil, err
		}
		return p, grid, nil
	}
	d := DefinitionOf(s, old.GetAnchorMs())
	if old == nil || !KeepsGrid(former, s) {
		anchor, next, err := Anchor(d, nowMs)
		if err == nil && next == 0 || err != nil && readable(d) {
			return nil, nil, neverFires(d, nowMs)
		}
		if err != nil {
			return nil, nil, err
		}
		d.AnchorMs, p.AnchorMs, p.NextMs = anchor, anchor, next
	}
	grid, err := Parse(d)
	if err != nil {
		return nil, nil, err
	}
	if old == nil || !keepsOffset(former, s) {
		p.OffsetMs = Offset(s.GetName(), s.GetJitterMs(), grid.Period(nowMs), s.GetSpread(), drawn)
	}
	if old == nil {
		return p, grid, nil
	}
	// The change takes effect at this instant: what came before belongs to the former times, and what comes after to the new ones.
	p.Passed = passed(old, formerGrid(old), nowMs)
	after := max(nowMs, old.GetTakenMs())
	if p.NextMs, _ = grid.Next(after); p.NextMs == 0 {
		first, _ := grid.endless().Next(after)
		return nil, nil, &NeverFiresError{first}
	}
	return p, grid, nil
}

// Resume is what the leader computes at nowMs for a schedule that is resumed: where it goes on, and the fire times that passed while it was
// paused. Errors are *FieldError.
func Resume(s *logv1.ScheduleRecord, nowMs int64) (*logv1.ResumeSchedule, error) {
	r := &logv1.ResumeSchedule{Name: s.GetSchedule().GetName(), ComputedFrom: s.GetRevision(), ComputedNextMs: s.GetNextMs(), NextMs: s.GetNextMs()}
	if !s.GetPaused() || s.GetNextMs() == 0 {
		return r, nil
	}
	grid, err := Parse(DefinitionOf(s.GetSchedule(), s.GetAnchorMs()))
	if err != nil {
		return nil, err
	}
	// A fire time that has come and whose offset is not over yet still fires.
	due := nowMs - s.GetOffsetMs()
	if r.Passed = passed(s, grid, due); r.Passed != nil {
		r.NextMs, _ = grid.Next(due)
	}
	return r, nil
}

// KeepsGrid: a change of one definition to the other goes on with the times that it had. An interval without a start counts from the change else.
func KeepsGrid(a, b *logv1.Schedule) bool {
	return a.GetSpec() == b.GetSpec() && a.GetZone() == b.GetZone() && a.GetStartMs() == b.GetStartMs() && a.GetEndMs() == b.GetEndMs()
}

// keepsOffset: the machine keeps the offset of what it was drawn for.
func keepsOffset(a, b *logv1.Schedule) bool {
	return a.GetSpec() == b.GetSpec() && a.GetZone() == b.GetZone() && a.GetJitterMs() == b.GetJitterMs() && a.GetSpread() == b.GetSpread()
}

// formerGrid is what a schedule's times were counted by; nil: this version cannot read it any more, and that must not keep it from being mended.
func formerGrid(s *logv1.ScheduleRecord) *Grid {
	grid, err := Parse(DefinitionOf(s.GetSchedule(), s.GetAnchorMs()))
	if err != nil {
		return nil
	}
	return grid
}

func readable(d Definition) bool {
	_, err := Parse(d)
	return err == nil
}

// neverFires says whether the end is what leaves no time.
func neverFires(d Definition, nowMs int64) *NeverFiresError {
	if d.EndMs == 0 {
		return &NeverFiresError{}
	}
	d.EndMs = 0
	_, first, err := Anchor(d, nowMs)
	if err != nil {
		return &NeverFiresError{}
	}
	return &NeverFiresError{FirstMs: first}
}
