package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// fakeSchedules answers as a node does: it keeps what is put, with revisions, and compares field by field.
type fakeSchedules struct {
	fairlanev1connect.UnimplementedScheduleServiceHandler

	mutex   sync.Mutex
	kept    map[string]*fairlanev1.ScheduleStatus
	asked   []proto.Message
	between func(map[string]*fairlanev1.ScheduleStatus) // somebody else's doing after each answer to a dry run
	over    bool                                        // previews end
	history *fairlanev1.ListTicksResponse
	running []*fairlanev1.Job // instances of each schedule
	ticks   int64             // of each backfill
}

func (f *fakeSchedules) remembered(req proto.Message) func() {
	f.mutex.Lock()
	f.asked = append(f.asked, proto.Clone(req))
	if f.kept == nil {
		f.kept = map[string]*fairlanev1.ScheduleStatus{}
	}
	return f.mutex.Unlock
}

// keep a schedule as if somebody had put it.
func (f *fakeSchedules) keep(list ...*fairlanev1.Schedule) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.kept == nil {
		f.kept = map[string]*fairlanev1.ScheduleStatus{}
	}
	for _, s := range list {
		revision := f.kept[s.GetName()].GetRevision() + 1
		f.kept[s.GetName()] = &fairlanev1.ScheduleStatus{Schedule: s, Revision: revision, NextMs: 1_790_000_000_000, Next: "2026-09-21T16:13:20+02:00"}
	}
}

func (f *fakeSchedules) names() string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(f.kept)) {
		out = append(out, name+"@"+strconv.FormatUint(f.kept[name].GetRevision(), 10))
	}
	return strings.Join(out, " ")
}

// requests of one type.
func requestsOf[M proto.Message](f *fakeSchedules) (out []M) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, m := range f.asked {
		if one, ok := m.(M); ok {
			out = append(out, one)
		}
	}
	return out
}

func noSchedule(name string) error {
	return remoteError(connect.CodeNotFound, "UNKNOWN_SCHEDULE", "FL1311", "there is no schedule "+name)
}

func staleRevision(name string) error {
	return remoteError(connect.CodeAborted, "STALE_REVISION", "FL1312", "schedule "+name+" was changed meanwhile")
}

func (f *fakeSchedules) PutSchedule(_ context.Context, req *fairlanev1.PutScheduleRequest) (*fairlanev1.PutScheduleResponse, error) {
	defer f.remembered(req)()
	d := req.GetSchedule()
	if d.GetSpec() == "bad" {
		return nil, fieldError("spec", "spec is bad; give five fields")
	}
	if d.GetJob().GetLimits().GetLeaseMs() == 1 {
		return nil, fieldError("schedule.job.limits.lease_ms", "schedule.job.limits.lease_ms is 1; give at least 3000")
	}
	old := f.kept[d.GetName()]
	switch want := req.GetExpectedRevision(); {
	case want != 0 && old == nil:
		return nil, noSchedule(d.GetName())
	case want != 0 && want != old.GetRevision(), req.GetCreateOnly() && old != nil && !proto.Equal(old.GetSchedule(), d):
		return nil, staleRevision(d.GetName())
	}
	res := &fairlanev1.PutScheduleResponse{Normal: d, Status: proto.CloneOf(old), Change: fairlanev1.ScheduleChange_SCHEDULE_CHANGE_UPDATED}
	switch {
	case old == nil:
		res.Change = fairlanev1.ScheduleChange_SCHEDULE_CHANGE_CREATED
	case proto.Equal(old.GetSchedule(), d):
		res.Change = fairlanev1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED
		return res, nil
	}
	if req.GetDryRun() {
		res.Differences = fakeDifferences(old.GetSchedule(), d)
		if d.GetJob().GetQueue() == "unserved" {
			res.Warnings = []string{"no live worker has a lane for queue unserved"}
		}
		if f.between != nil {
			f.between(f.kept)
		}
		return res, nil
	}
	f.kept[d.GetName()] = &fairlanev1.ScheduleStatus{Schedule: d, Revision: old.GetRevision() + 1, NextMs: 1_790_000_000_000, Next: "2026-09-21T16:13:20+02:00"}
	res.Status = proto.CloneOf(f.kept[d.GetName()])
	return res, nil
}

func fieldError(field, message string) error {
	return remoteFieldError(connect.CodeInvalidArgument, "BAD_SPEC", "FL1314", field, message)
}

func spanOrNone(n int64, unit string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s", n, unit)
}

func fakeDifferences(from, to *fairlanev1.Schedule) (out []*fairlanev1.FieldChange) {
	for _, field := range []struct {
		name string
		text func(*fairlanev1.Schedule) string
	}{
		{"spec", (*fairlanev1.Schedule).GetSpec},
		{"zone", (*fairlanev1.Schedule).GetZone},
		{"jitter_ms", func(s *fairlanev1.Schedule) string { return spanOrNone(s.GetJitterMs()/1000, "s") }},
		{"group", (*fairlanev1.Schedule).GetGroup},
		{"job.kind", func(s *fairlanev1.Schedule) string { return s.GetJob().GetKind() }},
		{"job.payload", func(s *fairlanev1.Schedule) string { return s.GetJob().GetJson() }},
		{"job.limits.backoff_first_ms", func(s *fairlanev1.Schedule) string {
			return spanOrNone(s.GetJob().GetLimits().GetBackoffFirstMs(), "ms")
		}},
	} {
		if before, after := field.text(from), field.text(to); before != after {
			out = append(out, &fairlanev1.FieldChange{Field: field.name, From: before, To: after})
		}
	}
	return out
}

func (f *fakeSchedules) DeleteSchedule(_ context.Context, req *fairlanev1.DeleteScheduleRequest) (*fairlanev1.DeleteScheduleResponse, error) {
	defer f.remembered(req)()
	s := f.kept[req.GetName()]
	switch want := req.GetExpectedRevision(); {
	case s == nil:
		return nil, noSchedule(req.GetName())
	case want != 0 && want != s.GetRevision():
		return nil, staleRevision(req.GetName())
	}
	delete(f.kept, req.GetName())
	return &fairlanev1.DeleteScheduleResponse{}, nil
}

func (f *fakeSchedules) PauseSchedule(_ context.Context, req *fairlanev1.PauseScheduleRequest) (*fairlanev1.PauseScheduleResponse, error) {
	defer f.remembered(req)()
	return &fairlanev1.PauseScheduleResponse{Status: &fairlanev1.ScheduleStatus{Paused: true, Revision: 2, Next: "2026-09-21T16:13:20+02:00"}}, nil
}

func (f *fakeSchedules) ResumeSchedule(_ context.Context, req *fairlanev1.ResumeScheduleRequest) (*fairlanev1.ResumeScheduleResponse, error) {
	defer f.remembered(req)()
	return &fairlanev1.ResumeScheduleResponse{Status: &fairlanev1.ScheduleStatus{Revision: 3, NextMs: 1_790_000_000_000}}, nil // without the text, as to each numbered call
}

func (f *fakeSchedules) TriggerSchedule(_ context.Context, req *fairlanev1.TriggerScheduleRequest) (*fairlanev1.TriggerScheduleResponse, error) {
	defer f.remembered(req)()
	if req.GetName() == "full" {
		return nil, remoteError(connect.CodeFailedPrecondition, "MAX_INSTANCES", "FL1313", "schedule full runs 1 of 1 instances already")
	}
	return &fairlanev1.TriggerScheduleResponse{Job: 7}, nil
}

func (f *fakeSchedules) BackfillSchedule(_ context.Context, req *fairlanev1.BackfillScheduleRequest) (*fairlanev1.BackfillScheduleResponse, error) {
	defer f.remembered(req)()
	return &fairlanev1.BackfillScheduleResponse{Ticks: f.ticks}, nil
}

func (f *fakeSchedules) GetSchedule(_ context.Context, req *fairlanev1.GetScheduleRequest) (*fairlanev1.GetScheduleResponse, error) {
	defer f.remembered(req)()
	s := f.kept[req.GetName()]
	if s == nil {
		return nil, noSchedule(req.GetName())
	}
	return &fairlanev1.GetScheduleResponse{Status: s, Instances: f.running[:min(len(f.running), int(req.GetInstances()))]}, nil
}

// ListSchedules gives pages of two at most.
func (f *fakeSchedules) ListSchedules(_ context.Context, req *fairlanev1.ListSchedulesRequest) (*fairlanev1.ListSchedulesResponse, error) {
	defer f.remembered(req)()
	res := &fairlanev1.ListSchedulesResponse{}
	for _, name := range slices.Sorted(maps.Keys(f.kept)) {
		if s := f.kept[name]; name > req.GetAfterName() && strings.HasPrefix(name, req.GetPrefix()) && (req.GetGroup() == "" || req.GetGroup() == s.GetSchedule().GetGroup()) {
			if len(res.Schedules) == min(2, int(req.GetLimit())) {
				res.NextAfterName = res.Schedules[len(res.Schedules)-1].GetSchedule().GetName()
				break
			}
			res.Schedules = append(res.Schedules, s)
		}
	}
	return res, nil
}

func (f *fakeSchedules) ListTicks(_ context.Context, req *fairlanev1.ListTicksRequest) (*fairlanev1.ListTicksResponse, error) {
	defer f.remembered(req)()
	return f.history, nil
}

func (f *fakeSchedules) PreviewSchedule(_ context.Context, req *fairlanev1.PreviewScheduleRequest) (*fairlanev1.PreviewScheduleResponse, error) {
	defer f.remembered(req)()
	return &fairlanev1.PreviewScheduleResponse{Words: "at 02:30 every day", Over: f.over, Ticks: []*fairlanev1.PreviewedTick{
		{FireMs: 1_806_111_000_000, Local: "2027-03-27T02:30:00+01:00"},
		{FireMs: 1_806_197_400_000, Local: "2027-03-28T03:30:00+02:00", Note: "the clock is set forward from 02:00 to 03:00"},
	}}, nil
}

// ListCoordinators gives two pages.
func (f *fakeSchedules) ListCoordinators(_ context.Context, req *fairlanev1.ListCoordinatorsRequest) (*fairlanev1.ListCoordinatorsResponse, error) {
	defer f.remembered(req)()
	if req.GetAfterName() == "" {
		return &fairlanev1.ListCoordinatorsResponse{NextAfterName: "db", Coordinators: []*fairlanev1.Coordinator{{Name: "db", BusyJob: 7, HeadJob: 9, Waiting: 3, MemberCount: 2}}}, nil
	}
	return &fairlanev1.ListCoordinatorsResponse{Coordinators: []*fairlanev1.Coordinator{{Name: "files"}}}, nil
}

func (f *fakeSchedules) GetCoordinator(_ context.Context, req *fairlanev1.GetCoordinatorRequest) (*fairlanev1.GetCoordinatorResponse, error) {
	defer f.remembered(req)()
	if req.GetName() == "free" {
		return &fairlanev1.GetCoordinatorResponse{Coordinator: &fairlanev1.Coordinator{Name: "free"}}, nil
	}
	return &fairlanev1.GetCoordinatorResponse{Coordinator: &fairlanev1.Coordinator{
		Name: req.GetName(), BusyJob: 7, HeadJob: 9, Waiting: 3, MemberCount: 2,
		Running: &fairlanev1.Job{Id: 7, Kind: "sweep", Schedule: "sweep", Worker: "w1", StartedMs: 1_790_000_000_000},
		Line: []*fairlanev1.Job{
			{Id: 9, Kind: "report", Queue: "bulk", User: "ana", Schedule: "nightly", FireMs: 1_790_000_000_000}, {Id: 4, Kind: "migrate", Queue: "default"},
		},
		Members: []*fairlanev1.ScheduleStatus{
			{Schedule: &fairlanev1.Schedule{Name: "nightly", Spec: "0 2 * * *", Zone: "Europe/Berlin"}, NextMs: 1, Next: "2026-09-22T02:00:00+02:00", Instances: 1,
				LastStartMs: 1_790_000_000_000, LastEndMs: 1_790_000_001_000, LastState: fairlanev1.JobState_JOB_STATE_FAILED},
			{Schedule: &fairlanev1.Schedule{Name: "sweep", Spec: "@every 90s"}, Paused: true},
		},
	}}, nil
}
