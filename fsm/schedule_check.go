package fsm

import (
	"strings"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Hard bounds of schedules. They belong to Rules.
const (
	mostScheduleName = 128 // bytes
	mostSpec         = 256
	mostZone         = 64
	mostDescription  = 1 << 10
	mostInstances    = 1000
	mostDues         = 1024 // in one Fire
	mostBacklog      = 1000 // ticks of a schedule that are caught up or backfilled
	mostLine         = 100  // ticks of a schedule that wait with overlap queue
	// DefaultSchedules is max_schedules while it is unset.
	DefaultSchedules = 100_000
)

// paramComputedFrom marks a refusal after which the leader computes again.
const paramComputedFrom = "computed_from"

const scheduleNameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./"

// checkScheduleName holds for schedules, groups and coordinators.
func checkScheduleName(field, s string, least int) *logv1.Refusal {
	if len(s) < least || len(s) > mostScheduleName || !onlyOf(s, scheduleNameChars) {
		return invalid(field, s, "at most 128 letters, digits, _, -, . and /")
	}
	return nil
}

func onlyOf(s, chars string) bool {
	for i := range len(s) {
		if strings.IndexByte(chars, s[i]) < 0 {
			return false
		}
	}
	return true
}

// checkPut is everything about a PutSchedule that does not depend on the state.
func checkPut(p *logv1.PutSchedule) *logv1.Refusal {
	s := p.GetSchedule()
	if s == nil {
		return invalid("schedule", "none", "a schedule")
	}
	return firstOf(checkScheduleName("name", s.GetName(), 1), checkText("spec", s.GetSpec(), 1, mostSpec), checkText("zone", s.GetZone(), 0, mostZone),
		checkBounds(s), checkScheduleEnums(s), checkScheduleName("group", s.GetGroup(), 0),
		checkText("description", s.GetDescription(), 0, mostDescription), checkTemplate(s.GetTemplate()), checkGrid(p))
}

func checkBounds(s *logv1.Schedule) *logv1.Refusal {
	start, end, grace, most := s.GetStartMs(), s.GetEndMs(), s.MisfireGraceMs, int64(s.GetMaxInstances())
	if r := firstOf(within("start_ms", &start, 0, mostMillis), within("end_ms", &end, 0, mostMillis)); r != nil {
		return r
	}
	if start > 0 && end > 0 && end < start {
		return invalid("end_ms", decimal(end), "not before start_ms")
	}
	if grace != nil && *grace != -1 {
		if r := within("misfire_grace_ms", grace, 1, mostMillis); r != nil {
			return invalid("misfire_grace_ms", decimal(*grace), "-1, or 1.."+decimal(mostMillis))
		}
	}
	jitter, interval := s.GetJitterMs(), s.GetMinIntervalMs()
	return firstOf(within("jitter_ms", &jitter, 0, mostMillis), within("max_instances", &most, 1, mostInstances),
		within("min_interval_ms", &interval, 0, mostMillis))
}

func checkScheduleEnums(s *logv1.Schedule) *logv1.Refusal {
	if c := s.GetCatchUp(); c < 0 || c > logv1.CatchUp_CATCH_UP_SKIP {
		return invalid("catch_up", decimal(int64(c)), "latest, all or skip")
	}
	if o := s.GetOverlap(); o < 0 || o > logv1.Overlap_OVERLAP_QUEUE {
		return invalid("overlap", decimal(int64(o)), "skip or queue")
	}
	return nil
}

// checkTemplate: a new job, without what a schedule decides itself.
func checkTemplate(n *logv1.NewJob) *logv1.Refusal {
	const want = "nothing in a schedule"
	switch {
	case n.GetDelayMs() != 0:
		return invalid("delay_ms", decimal(n.GetDelayMs()), want)
	case n.GetRunAtMs() != 0:
		return invalid("run_at_ms", decimal(n.GetRunAtMs()), want)
	case n.GetIdempotencyKey() != "":
		return invalid("idempotency_key", n.GetIdempotencyKey(), want)
	case n.GetInsertFront():
		return invalid("insert_front", "true", want)
	}
	return firstOf(checkNewJob(n), checkScheduleName("coordinator", n.GetCoordinator(), 0))
}

// checkGrid checks what the leader computed. The offset of a spread schedule is below its period, which only the leader knows.
func checkGrid(p *logv1.PutSchedule) *logv1.Refusal {
	s, most := p.GetSchedule(), p.GetSchedule().GetJitterMs()
	if most == 0 && s.GetSpread() {
		most = mostMillis
	}
	return firstOf(within("offset_ms", &p.OffsetMs, 0, most), within("anchor_ms", &p.AnchorMs, 0, mostMillis),
		within("next_ms", &p.NextMs, 0, mostMillis))
}

func unknownSchedule(name string) *logv1.Refusal {
	return refuse(logv1.Reason_REASON_UNKNOWN_SCHEDULE, "schedule", name)
}

// expected refuses a command of a caller who has seen another revision.
func (r *scheduleRec) expected(revision uint64) *logv1.Refusal {
	if revision == 0 || revision == r.revision {
		return nil
	}
	return refuse(logv1.Reason_REASON_STALE_REVISION, "schedule", r.name(), "revision", number(r.revision), "expected", number(revision))
}

// computed refuses what the leader computed from something that is not there any more: it computes again. r is nil if there is none.
func (r *scheduleRec) computed(name string, from uint64, fits bool) *logv1.Refusal {
	var revision uint64
	if r != nil {
		revision = r.revision
	}
	if fits && from == revision {
		return nil
	}
	return refuse(logv1.Reason_REASON_STALE_REVISION, "schedule", name, "revision", number(revision), paramComputedFrom, number(from))
}
