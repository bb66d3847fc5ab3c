package main

import (
	"fmt"
	"io"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/simulate"
)

// sideRow pairs what was recorded with what was simulated; nil: it is on one side alone.
type sideRow[T any] struct{ before, after *T }

func simulateTable(w io.Writer, r *simulate.Report) {
	row(w, "replay", fmt.Sprintf("index %d to %d, %d batches, %s", r.Replay.FromIndex, r.Replay.ToIndex, r.Replay.Batches, digestText(r.Replay.DigestEqual != nil)))
	row(w)
	sides := []*simulate.Side{&r.Recorded}
	names := []any{"IN ALL", "RECORDED"}
	if r.Simulated != nil {
		sides, names = append(sides, r.Simulated), append(names, "SIMULATED")
	}
	row(w, names...)
	total := func(name string, value func(*simulate.Side) string) {
		cells := []any{name}
		for _, s := range sides {
			cells = append(cells, value(s))
		}
		row(w, cells...)
	}
	total("makespan", func(s *simulate.Side) string { return seconds(s.MakespanMs) })
	total("jobs", func(s *simulate.Side) string { return fmt.Sprint(s.Jobs) })
	total("claims", func(s *simulate.Side) string { return fmt.Sprint(s.Claims) })
	total("mean wait", func(s *simulate.Side) string { return seconds(s.Wait.MeanMs) })
	total("longest wait", func(s *simulate.Side) string { return seconds(s.Wait.MaxMs) })
	total("left waiting", func(s *simulate.Side) string { return fmt.Sprint(s.Waiting) })
	total("left running", func(s *simulate.Side) string { return fmt.Sprint(s.Running) })
	if r.Simulated != nil && r.Simulated.Refused > 0 {
		total("refused", func(s *simulate.Side) string { return fmt.Sprint(s.Refused) })
	}
	var after simulate.Side
	if r.Simulated != nil {
		after = *r.Simulated
	}
	waitTable(w, "QUEUE", r.Recorded.Queues, after.Queues)
	waitTable(w, "USER", r.Recorded.Users, after.Users)
	laneTable(w, r.Recorded.Lanes, after.Lanes)
	for i, s := range sides {
		orderTable(w, fmt.Sprint(names[i+1]), s)
	}
}

// pair both sides by name, in the order of the names.
func pair[T any](before, after []T, key func(*T) string) (rows []sideRow[T]) {
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && key(&before[0]) < key(&after[0]):
			rows, before = append(rows, sideRow[T]{before: &before[0]}), before[1:]
		case len(before) == 0 || key(&after[0]) < key(&before[0]):
			rows, after = append(rows, sideRow[T]{after: &after[0]}), after[1:]
		default:
			rows = append(rows, sideRow[T]{&before[0], &after[0]})
			before, after = before[1:], after[1:]
		}
	}
	return rows
}

// both sides' values in one cell: the recorded one, and behind an arrow the simulated one.
func both[T any](r sideRow[T], value func(*T) string) string {
	switch {
	case r.after == nil:
		return value(r.before)
	case r.before == nil:
		return "-> " + value(r.after)
	}
	return value(r.before) + " -> " + value(r.after)
}

func waitTable(w io.Writer, what string, before, after []simulate.Waits) {
	row(w)
	row(w, what, "JOBS", "WAIT MEAN", "P50", "P95", "MAX")
	for _, r := range pair(before, after, func(x *simulate.Waits) string { return x.Name }) {
		name := ""
		if r.before != nil {
			name = r.before.Name
		} else {
			name = r.after.Name
		}
		cell := func(ms func(*simulate.Waits) int64) string {
			return both(r, func(x *simulate.Waits) string { return seconds(ms(x)) })
		}
		row(w, name, both(r, func(x *simulate.Waits) string { return fmt.Sprint(x.Jobs) }),
			cell(func(x *simulate.Waits) int64 { return x.MeanMs }), cell(func(x *simulate.Waits) int64 { return x.P50Ms }),
			cell(func(x *simulate.Waits) int64 { return x.P95Ms }), cell(func(x *simulate.Waits) int64 { return x.MaxMs }))
	}
}

func laneTable(w io.Writer, before, after []simulate.LaneUse) {
	row(w)
	row(w, "WORKER", "LANE", "CLAIMS", "IN USE")
	for _, r := range pair(before, after, func(x *simulate.LaneUse) string { return x.Worker + "\x00" + x.Lane }) {
		one := r.before
		if one == nil {
			one = r.after
		}
		row(w, one.Worker, one.Lane, both(r, func(x *simulate.LaneUse) string { return fmt.Sprint(x.Claims) }),
			both(r, func(x *simulate.LaneUse) string { return fmt.Sprintf("%d.%d%%", x.UsedPermille/10, x.UsedPermille%10) }))
	}
}

func orderTable(w io.Writer, side string, s *simulate.Side) {
	if len(s.Order) == 0 {
		return
	}
	row(w)
	row(w, side)
	row(w, "AT", "JOB", "QUEUE", "USER", "WORKER", "LANE", "WAITED")
	for _, c := range s.Order {
		row(w, seconds(c.AtMs), c.Job, c.Queue, c.User, c.Worker, c.Lane, seconds(c.WaitMs))
	}
}

// seconds of milliseconds, exactly.
func seconds(ms int64) string { return fmt.Sprintf("%d.%03ds", ms/1000, ms%1000) }
