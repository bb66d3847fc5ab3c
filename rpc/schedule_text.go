package rpc

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// zones that one answer needs, by name, from the data by which fire times are computed.
type zones map[string]*calendar.Grid

func newZones() zones { return make(zones) }

// text of an instant with the offset of a zone; empty for 0. In a zone that this node does not know it is UTC.
func (z zones) text(zone string, ms int64) string {
	if ms == 0 {
		return ""
	}
	grid, known := z[zone]
	if !known {
		var err error
		if grid, err = calendar.Parse(calendar.Definition{Spec: "@hourly", Zone: zone}); err != nil {
			return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
		}
		z[zone] = grid
	}
	return grid.Local(ms)
}

// exactSpan is a duration without rounding: 1 d 2 h 5 s.
func exactSpan(ms int64) string {
	if ms == 0 {
		return "0"
	}
	var parts []string
	for _, unit := range []struct {
		name string
		ms   int64
	}{{"d", 24 * 3600_000}, {"h", 3600_000}, {"min", 60_000}, {"s", 1000}, {"ms", 1}} {
		if n := ms / unit.ms; n != 0 {
			parts = append(parts, strconv.FormatInt(n, 10)+" "+unit.name)
			ms -= n * unit.ms
		}
	}
	return strings.Join(parts, " ")
}

// usualGraceMs is the least grace of a schedule that names none.
const usualGraceMs = 60_000

// tickTexts puts the history of one schedule into words.
type tickTexts struct {
	record *logv1.ScheduleRecord
	grid   *calendar.Grid // nil if this node cannot read the spec
	zones  zones
}

func newTickTexts(record *logv1.ScheduleRecord) *tickTexts {
	grid, err := calendar.Parse(calendar.DefinitionOf(record.GetSchedule(), record.GetAnchorMs()))
	if err != nil {
		grid = nil
	}
	return &tickTexts{record: record, grid: grid, zones: newZones()}
}

// text of one record: what became of which fire times, and why.
func (t *tickTexts) text(tick *logv1.TickRecord) string {
	late := ""
	if tick.GetLateMs() >= 1000 {
		late = ", late by " + spanText(tick.GetLateMs())
	}
	job := ""
	if tick.GetJob() != 0 {
		job = ": job " + number(tick.GetJob())
	}
	switch tick.GetReason() {
	case logv1.TickReason_TICK_REASON_ON_TIME:
		return "fired for " + t.times(tick) + late + job
	case logv1.TickReason_TICK_REASON_CAUGHT_UP:
		return "caught up for " + t.times(tick) + late + job
	case logv1.TickReason_TICK_REASON_BACKFILL:
		return "run by a backfill for " + t.times(tick) + job
	case logv1.TickReason_TICK_REASON_TRIGGER:
		return "triggered by hand at " + t.times(tick) + job
	}
	return tickResultWord(tick.GetResult()) + " " + t.times(tick) + ": " + t.reason(tick)
}

// times of a record: one, or how many from when to when.
func (t *tickTexts) times(tick *logv1.TickRecord) string {
	zone := t.record.GetSchedule().GetZone()
	first := t.zones.text(zone, tick.GetFirstMs())
	if tick.GetCount() <= 1 && !tick.GetMore() {
		return first
	}
	count := countText(tick.GetCount(), "fire time", "fire times")
	if tick.GetMore() {
		count = "at least " + count
	}
	return count + " from " + first + " to " + t.zones.text(zone, tick.GetLastMs())
}

// reason why ticks did not run. A limit is named only if the schedule is still the one that it was then.
func (t *tickTexts) reason(tick *logv1.TickRecord) string {
	schedule := t.record.GetSchedule()
	named := func(limit string) string {
		if t.record.GetChangedMs() > tick.GetAtMs() {
			return ""
		}
		return " (" + limit + ")"
	}
	switch tick.GetReason() {
	case logv1.TickReason_TICK_REASON_GRACE:
		if grace := t.graceOf(tick.GetLastMs()); grace > 0 {
			return "late by " + spanText(tick.GetLateMs()) + ", more than its grace" + named(exactSpan(grace))
		}
		return "late by " + spanText(tick.GetLateMs()) + ", more than its grace"
	case logv1.TickReason_TICK_REASON_BACKLOG_FULL:
		return fmt.Sprintf("more than %s fire times were to be caught up, and the newest go first", thousands(mostBackfilled))
	case logv1.TickReason_TICK_REASON_MAX_INSTANCES:
		return "as many of its jobs as may were waiting or running" + named(fmt.Sprintf("max_instances %d", schedule.GetMaxInstances()))
	case logv1.TickReason_TICK_REASON_LINE_FULL:
		return "100 fire times were waiting already"
	case logv1.TickReason_TICK_REASON_CATCH_UP_SKIP:
		return "several fire times were due at once, and catch_up was skip"
	case logv1.TickReason_TICK_REASON_PAUSED:
		return "the schedule was paused"
	case logv1.TickReason_TICK_REASON_EDITED:
		return "the schedule was changed before they ran"
	case logv1.TickReason_TICK_REASON_MIN_INTERVAL:
		return "too soon after its last start" + named("min_interval "+exactSpan(schedule.GetMinIntervalMs()))
	case logv1.TickReason_TICK_REASON_REFUSED:
		return "its job was refused: " + refusalBody(tick.GetRefusal(), aboutJob(schedule.GetTemplate())...).GetMessage()
	case logv1.TickReason_TICK_REASON_NEWER:
		return "several fire times were due at once, and a newer one stands for them"
	}
	return "for a reason that this version cannot put into words (" + tickReasonWord(tick.GetReason()) + ")"
}

// graceOf a fire time by the definition of now; 0: it cannot be said.
func (t *tickTexts) graceOf(ms int64) int64 {
	if grace := t.record.GetSchedule().MisfireGraceMs; grace != nil {
		return *grace
	}
	if t.grid == nil {
		return 0
	}
	next, ok := t.grid.Next(ms)
	if !ok {
		return usualGraceMs
	}
	return max(usualGraceMs, next-ms)
}

// thousands writes a number with a comma.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return strconv.Itoa(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
