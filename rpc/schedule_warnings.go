package rpc

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

const (
	// warnedAheadMs: a warning looks a year ahead, over at most so many fire times.
	warnedAheadMs = 366 * 24 * 3600_000
	warnedTimes   = 2000
)

// warnings about a definition that is allowed and perhaps not meant. former is nil for a new one; grid may be nil.
func (s *server) warnings(former, d *logv1.Schedule, grid *calendar.Grid) (out []string) {
	job := d.GetTemplate()
	served := false
	s.node.View(func(m *fsm.Machine) { served = isServed(m, job) })
	if !served {
		out = append(out, fmt.Sprintf("no live worker has a lane for queue %s and %s: its jobs wait until one has", job.GetQueue(), userText(job.GetUser())))
	}
	out = append(out, changeWarnings(former, d)...)
	if d.GetOverlap() == logv1.Overlap_OVERLAP_QUEUE && d.MisfireGraceMs != nil && d.GetMisfireGraceMs() < 0 {
		out = append(out, "overlap is queue and misfire_grace is unlimited: a run that waits is never missed, however old it is; only a full line of 100 skips the newest")
	}
	if d.GetJitterMs() == 0 && !d.GetSpread() || grid == nil {
		return append(out, gapWarning(grid, s.node.Now())...)
	}
	if period := grid.Period(s.node.Now()); period > 0 && d.GetJitterMs() > period {
		out = append(out, fmt.Sprintf("jitter (%s) is longer than the period (%s): the offset is below the period", exactSpan(d.GetJitterMs()), exactSpan(period)))
	}
	return append(out, gapWarning(grid, s.node.Now())...)
}

// changeWarnings are about what a change does beside its fields.
func changeWarnings(former, d *logv1.Schedule) (out []string) {
	if former == nil || proto.Equal(former, d) {
		return nil
	}
	if group := former.GetGroup(); group != "" && group != d.GetGroup() {
		out = append(out, "it leaves group "+group+": whoever puts that group puts it back, or a program and a file change it in turns")
	}
	if isInterval(d.GetSpec()) && d.GetStartMs() == 0 && d.GetSpec() == former.GetSpec() && !calendar.KeepsGrid(former, d) {
		out = append(out, "its interval counts anew from this change; with a start it keeps its times")
	}
	return out
}

// isServed: a live worker that is not draining has a lane that takes the job.
func isServed(m *fsm.Machine, job *logv1.NewJob) bool {
	for _, worker := range m.Workers(0, math.MaxInt) {
		if worker.Draining || worker.User != "" && worker.User != job.GetUser() {
			continue
		}
		for _, view := range worker.Lanes {
			enough := view.Lane.GetMemoryBytes() == 0 || view.Lane.GetMemoryBytes() >= job.GetMemoryBytes()
			if enough && (slices.Contains(view.Lane.GetChain(), job.GetQueue()) || slices.Contains(view.Lane.GetChain(), scheduler.Any)) {
				return true
			}
		}
	}
	return false
}

// gapWarning names the first fire time within a year that a change of the clock shifts.
func gapWarning(grid *calendar.Grid, now int64) []string {
	if grid == nil {
		return nil
	}
	at := now
	for range warnedTimes {
		next, ok := grid.Next(at)
		if !ok || next > now+warnedAheadMs {
			break
		}
		if note := grid.Note(next); note != "" {
			return []string{grid.Local(next) + ": " + note}
		}
		at = next
	}
	return nil
}
