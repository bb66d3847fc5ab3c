package fairlane

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// fakeSchedule fires only when it is triggered; its history is what a test puts into it.
type fakeSchedule struct {
	*fairlanev1.ScheduleStatus
	ticks []*fairlanev1.Tick // newest first
}

func (f *fake) schedule(name string) (*fakeSchedule, error) {
	if s := f.schedules[name]; s != nil {
		return s, nil
	}
	return nil, wireError(ErrUnknownSchedule, "", 0)
}

func (f *fake) PutSchedule(ctx context.Context, r *fairlanev1.PutScheduleRequest) (*fairlanev1.PutScheduleResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "PutSchedule", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.PutScheduleResponse, bool, error) {
		normal := proto.CloneOf(r.Schedule)
		normal.MaxInstances = max(normal.MaxInstances, 1)
		if normal.Spec == "" {
			return nil, true, wireError(ErrInvalidArgument, "", 0)
		}
		old := f.schedules[normal.Name]
		if want := r.ExpectedRevision; want != 0 && want != old.status().GetRevision() {
			return nil, true, wireError(ErrStaleRevision, "", 0)
		}
		if r.CreateOnly && old != nil && !proto.Equal(old.Schedule, normal) {
			return nil, true, wireError(ErrStaleRevision, "", 0)
		}
		res := &fairlanev1.PutScheduleResponse{Normal: normal, Change: fairlanev1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED,
			Status: proto.CloneOf(old.status())}
		status := &fairlanev1.ScheduleStatus{Schedule: normal, Revision: old.status().GetRevision() + 1}
		switch {
		case old == nil:
			res.Change = fairlanev1.ScheduleChange_SCHEDULE_CHANGE_CREATED
		case !proto.Equal(old.Schedule, normal):
			res.Change = fairlanev1.ScheduleChange_SCHEDULE_CHANGE_UPDATED
		}
		if r.DryRun {
			res.Warnings = []string{"a warning"}
			res.Differences = []*fairlanev1.FieldChange{{Field: "spec", From: old.status().GetSchedule().GetSpec(), To: normal.Spec}}
		} else if res.Change != fairlanev1.ScheduleChange_SCHEDULE_CHANGE_UNCHANGED {
			f.schedules[normal.Name] = &fakeSchedule{ScheduleStatus: status}
			res.Status = proto.CloneOf(status)
		}
		return res, true, nil
	})
}

// status of a schedule; nil: there is none.
func (s *fakeSchedule) status() *fairlanev1.ScheduleStatus {
	if s == nil {
		return nil
	}
	return s.ScheduleStatus
}

func (f *fake) DeleteSchedule(ctx context.Context, r *fairlanev1.DeleteScheduleRequest) (*fairlanev1.DeleteScheduleResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "DeleteSchedule", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.DeleteScheduleResponse, bool, error) {
		s, err := f.schedule(r.Name)
		if err == nil && r.ExpectedRevision != 0 && r.ExpectedRevision != s.Revision {
			err = wireError(ErrStaleRevision, "", 0)
		}
		if err != nil {
			return nil, true, err
		}
		delete(f.schedules, r.Name)
		return &fairlanev1.DeleteScheduleResponse{}, true, nil
	})
}

func (f *fake) PauseSchedule(ctx context.Context, r *fairlanev1.PauseScheduleRequest) (*fairlanev1.PauseScheduleResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "PauseSchedule", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.PauseScheduleResponse, bool, error) {
		s, err := f.pause(r.Name, true)
		return &fairlanev1.PauseScheduleResponse{Status: s}, true, err
	})
}

func (f *fake) ResumeSchedule(ctx context.Context, r *fairlanev1.ResumeScheduleRequest) (*fairlanev1.ResumeScheduleResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "ResumeSchedule", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.ResumeScheduleResponse, bool, error) {
		s, err := f.pause(r.Name, false)
		return &fairlanev1.ResumeScheduleResponse{Status: s}, true, err
	})
}

func (f *fake) pause(name string, paused bool) (*fairlanev1.ScheduleStatus, error) {
	s, err := f.schedule(name)
	if err != nil {
		return nil, err
	}
	if s.Paused != paused {
		s.Paused = paused
		s.Revision++
	}
	return proto.CloneOf(s.ScheduleStatus), nil
}

func (f *fake) TriggerSchedule(ctx context.Context, r *fairlanev1.TriggerScheduleRequest) (*fairlanev1.TriggerScheduleResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "TriggerSchedule", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.TriggerScheduleResponse, bool, error) {
		s, err := f.schedule(r.Name)
		if err != nil {
			return nil, true, err
		}
		running := int32(0)
		for _, j := range f.jobs {
			if j.Schedule == r.Name && !Final(j.State) {
				running++
			}
		}
		if running >= s.Schedule.MaxInstances {
			return nil, true, wireError(ErrMaxInstances, "", 0)
		}
		id := f.put(s.Schedule.Job)
		j := f.jobs[id]
		j.Schedule, j.FireMs, j.FireCause = r.Name, time.Now().UnixMilli(), "trigger"
		return &fairlanev1.TriggerScheduleResponse{Job: id}, true, nil
	})
}

// BackfillSchedule has one tick in each second.
func (f *fake) BackfillSchedule(ctx context.Context, r *fairlanev1.BackfillScheduleRequest) (*fairlanev1.BackfillScheduleResponse, error) {
	p := r.GetRepeat()
	return serve(f, ctx, "BackfillSchedule", r, p.GetSession(), p.GetNumber(), p.GetLowest(), func(*fakeSession) (*fairlanev1.BackfillScheduleResponse, bool, error) {
		s, err := f.schedule(r.Name)
		if err != nil {
			return nil, true, err
		}
		n := (r.ToMs-r.FromMs)/1000 + 1
		if !r.DryRun {
			s.Waiting += int32(n)
		}
		return &fairlanev1.BackfillScheduleResponse{Ticks: n}, true, nil
	})
}

func (f *fake) GetSchedule(ctx context.Context, r *fairlanev1.GetScheduleRequest) (*fairlanev1.GetScheduleResponse, error) {
	return serve(f, ctx, "GetSchedule", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.GetScheduleResponse, bool, error) {
		s, err := f.schedule(r.Name)
		return &fairlanev1.GetScheduleResponse{Status: proto.CloneOf(s.status())}, false, err
	})
}

// ListSchedules gives pages of two.
func (f *fake) ListSchedules(ctx context.Context, r *fairlanev1.ListSchedulesRequest) (*fairlanev1.ListSchedulesResponse, error) {
	return serve(f, ctx, "ListSchedules", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.ListSchedulesResponse, bool, error) {
		res := &fairlanev1.ListSchedulesResponse{}
		for _, name := range slices.Sorted(maps.Keys(f.schedules)) {
			s := f.schedules[name]
			if name <= r.AfterName || !strings.HasPrefix(name, r.Prefix) || r.Group != "" && s.Schedule.Group != r.Group {
				continue
			}
			if len(res.Schedules) == 2 {
				res.NextAfterName = res.Schedules[1].Schedule.Name
				break
			}
			res.Schedules = append(res.Schedules, proto.CloneOf(s.ScheduleStatus))
		}
		return res, false, nil
	})
}

// ListTicks gives pages of two.
func (f *fake) ListTicks(ctx context.Context, r *fairlanev1.ListTicksRequest) (*fairlanev1.ListTicksResponse, error) {
	return serve(f, ctx, "ListTicks", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.ListTicksResponse, bool, error) {
		s, err := f.schedule(r.Name)
		if err != nil {
			return nil, false, err
		}
		res := &fairlanev1.ListTicksResponse{}
		if r.BeforeNumber == 0 && s.Waiting > 0 {
			res.Waiting = []*fairlanev1.WaitingTick{{FireMs: 1000, Cause: "backfill"}}
		}
		for _, tick := range s.ticks {
			if r.BeforeNumber != 0 && tick.Number >= r.BeforeNumber {
				continue
			}
			if len(res.Ticks) == 2 {
				res.NextBeforeNumber = res.Ticks[1].Number
				break
			}
			res.Ticks = append(res.Ticks, tick)
		}
		return res, false, nil
	})
}

// PreviewSchedule answers for one that fires each second.
func (f *fake) PreviewSchedule(ctx context.Context, r *fairlanev1.PreviewScheduleRequest) (*fairlanev1.PreviewScheduleResponse, error) {
	return serve(f, ctx, "PreviewSchedule", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.PreviewScheduleResponse, bool, error) {
		res := &fairlanev1.PreviewScheduleResponse{Words: "every second", Over: true}
		for i := range int64(r.Limit) {
			res.Ticks = append(res.Ticks, &fairlanev1.PreviewedTick{FireMs: 1000 * (i + 1), Local: "1970-01-01T00:00:01Z", Note: "long ago"})
		}
		return res, false, nil
	})
}

func (f *fake) GetCoordinator(ctx context.Context, r *fairlanev1.GetCoordinatorRequest) (*fairlanev1.GetCoordinatorResponse, error) {
	return serve(f, ctx, "GetCoordinator", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.GetCoordinatorResponse, bool, error) {
		return &fairlanev1.GetCoordinatorResponse{Coordinator: &fairlanev1.Coordinator{Name: r.Name, BusyJob: 7}}, false, nil
	})
}

// ListCoordinators gives three pages, one of them empty, and then says nonsense.
func (f *fake) ListCoordinators(ctx context.Context, r *fairlanev1.ListCoordinatorsRequest) (*fairlanev1.ListCoordinatorsResponse, error) {
	return serve(f, ctx, "ListCoordinators", r, 0, 0, 0, func(*fakeSession) (*fairlanev1.ListCoordinatorsResponse, bool, error) {
		switch r.AfterName {
		case "":
			return &fairlanev1.ListCoordinatorsResponse{Coordinators: []*fairlanev1.Coordinator{{Name: "a"}}, NextAfterName: "a"}, false, nil
		case "a":
			return &fairlanev1.ListCoordinatorsResponse{NextAfterName: "b"}, false, nil
		}
		return &fairlanev1.ListCoordinatorsResponse{Coordinators: []*fairlanev1.Coordinator{{Name: "c"}}, NextAfterName: "a"}, false, nil
	})
}
