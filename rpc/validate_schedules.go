package rpc

import (
	"strconv"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Limits of schedules. The machine has the same ones.
const (
	maxSpecBytes        = 256
	maxZoneBytes        = 64
	maxDescriptionBytes = 1 << 10
	mostInstances       = 1000
	mostShownInstances  = 100
	// mostBackfilled fire times in one call.
	mostBackfilled = 1000
)

// checkPutSchedule checks all that needs no clock and no grid; spec and zone are read on the leader.
func checkPutSchedule(r *v1.PutScheduleRequest) error {
	var f fields
	schedule := r.GetSchedule()
	f.check(schedule != nil, "schedule", "missing", `give the schedule, at least {"schedule":{"name":"...","spec":"@hourly","job":{"kind":"..."}}}`)
	f.requiredLongName("schedule.name", schedule.GetName(), "schedule")
	f.check(schedule.GetSpec() != "", "schedule.spec", "missing", `give when it fires, for example "0 2 * * mon-fri", "@every 90s" or "@at 2027-01-31T09:00:00+01:00"`)
	f.schedule("schedule", schedule)
	f.check(schedule.GetJob() != nil, "schedule.job", "missing", `give the job that each fire enqueues, at least {"kind":"..."}`)
	f.requiredText("schedule.job.kind", schedule.GetJob().GetKind(), maxTextBytes, "it names the handler that runs the job")
	f.template("schedule.job", schedule.GetJob())
	f.check(!r.GetCreateOnly() || r.GetExpectedRevision() == 0, "create_only", "given together with expected_revision", "give one of the two: a schedule that is new has no revision")
	f.repeat("repeat", r.GetRepeat())
	return f.result()
}

// schedule checks the values of a definition, of which any may be left out.
func (f *fields) schedule(at string, s *v1.Schedule) {
	if s == nil {
		return
	}
	f.longName(at+".name", s.GetName())
	f.text(at+".spec", s.GetSpec(), maxSpecBytes)
	f.text(at+".zone", s.GetZone(), maxZoneBytes)
	f.between(at+".start_ms", s.GetStartMs(), 0, maxInstantMs, "ms since 1970 (0: from its creation)")
	f.between(at+".end_ms", s.GetEndMs(), 0, maxInstantMs, "ms since 1970 (0: no end)")
	f.check(s.GetEndMs() == 0 || s.GetStartMs() <= s.GetEndMs(), at+".end_ms", decimal(s.GetEndMs())+" ("+utcText(s.GetEndMs())+")",
		"give a time that is not before start_ms, "+decimal(s.GetStartMs())+" ("+utcText(s.GetStartMs())+")")
	f.between(at+".jitter_ms", s.GetJitterMs(), 0, maxDurationMs, "ms")
	if grace := s.MisfireGraceMs; grace != nil && *grace != -1 {
		f.between(at+".misfire_grace_ms", *grace, 1, maxDurationMs, "ms; or -1: never missed; or leave it out: the larger of 60 s and one period")
	}
	f.enum(at+".catch_up", int32(s.GetCatchUp()), v1.CatchUp_name)
	f.between(at+".max_instances", int64(s.GetMaxInstances()), 0, mostInstances, "instances (0: 1)")
	f.enum(at+".overlap", int32(s.GetOverlap()), v1.Overlap_name)
	f.between(at+".min_interval_ms", s.GetMinIntervalMs(), 0, maxDurationMs, "ms (0: none)")
	f.longName(at+".group", s.GetGroup())
	f.text(at+".description", s.GetDescription(), maxDescriptionBytes)
	f.text(at+".job.kind", s.GetJob().GetKind(), maxTextBytes)
	f.jobFields(at+".job", s.GetJob())
}

// template refuses what makes sense in one job only.
func (f *fields) template(at string, job *v1.NewJob) {
	f.check(job.GetDelayMs() == 0, at+".delay_ms", decimal(job.GetDelayMs()), "leave it out: the schedule says when its jobs run; jitter_ms makes them later")
	f.check(job.GetRunAtMs() == 0, at+".run_at_ms", decimal(job.GetRunAtMs()), `leave it out: the schedule says when its jobs run; "@at ..." runs once`)
	f.check(job.GetIdempotencyKey() == "", at+".idempotency_key", strconv.Quote(job.GetIdempotencyKey()), "leave it out: each fire time runs at most once already")
	f.check(!job.GetInsertFront(), at+".insert_front", "true", "leave it out, and give a priority")
}

func checkGetSchedule(r *v1.GetScheduleRequest) error {
	var f fields
	f.requiredLongName("name", r.GetName(), "schedule")
	f.between("instances", int64(r.GetInstances()), 0, mostShownInstances, "instances to show (0: none)")
	return f.result()
}

func checkScheduleName(name string, repeat *v1.Repeat) error {
	var f fields
	f.requiredLongName("name", name, "schedule")
	f.repeat("repeat", repeat)
	return f.result()
}

func checkBackfill(r *v1.BackfillScheduleRequest) error {
	var f fields
	f.requiredLongName("name", r.GetName(), "schedule")
	for _, bound := range []struct {
		field string
		ms    int64
	}{{"from_ms", r.GetFromMs()}, {"to_ms", r.GetToMs()}} {
		f.check(bound.ms != 0, bound.field, "missing", "give both ends of the range, in ms since 1970; they belong to it")
		f.between(bound.field, bound.ms, 1, maxInstantMs, "ms since 1970")
	}
	f.check(r.GetFromMs() <= r.GetToMs(), "to_ms", decimal(r.GetToMs())+" ("+utcText(r.GetToMs())+")",
		"give a time that is not before from_ms, "+decimal(r.GetFromMs())+" ("+utcText(r.GetFromMs())+")")
	f.repeat("repeat", r.GetRepeat())
	return f.result()
}

func checkListSchedules(r *v1.ListSchedulesRequest) error {
	var f fields
	f.longName("prefix", r.GetPrefix())
	f.longName("group", r.GetGroup())
	f.longName("after_name", r.GetAfterName())
	f.between("limit", int64(r.GetLimit()), 0, maxPage, "schedules (0: 100)")
	return f.result()
}

func checkListTicks(r *v1.ListTicksRequest) error {
	var f fields
	f.requiredLongName("name", r.GetName(), "schedule")
	f.between("limit", int64(r.GetLimit()), 0, maxPage, "ticks (0: 20)")
	return f.result()
}

func checkPreviewSchedule(r *v1.PreviewScheduleRequest) error {
	var f fields
	f.longName("name", r.GetName())
	f.schedule("schedule", r.GetSchedule())
	f.check(r.GetName() != "" || r.GetSchedule() != nil, "schedule", "missing, and so is name", "give a definition, or the name of a schedule")
	f.check(r.GetName() == "" || r.GetSchedule() == nil, "name", "given together with schedule", "give one of the two")
	f.check(r.GetSchedule() == nil || r.GetSchedule().GetSpec() != "", "schedule.spec", "missing", `give when it fires, for example "0 2 * * mon-fri"`)
	f.between("from_ms", r.GetFromMs(), 0, maxInstantMs, "ms since 1970 (0: now)")
	f.between("limit", int64(r.GetLimit()), 0, maxPage, "fire times (0: 5)")
	return f.result()
}

func checkListCoordinators(r *v1.ListCoordinatorsRequest) error {
	var f fields
	f.longName("after_name", r.GetAfterName())
	f.between("limit", int64(r.GetLimit()), 0, maxPage, "coordinators (0: 100)")
	return f.result()
}

func checkCoordinatorName(name string) error {
	var f fields
	f.requiredLongName("name", name, "coordinator")
	return f.result()
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// utcText is an instant in UTC.
func utcText(ms int64) string { return newZones().text("UTC", ms) }
