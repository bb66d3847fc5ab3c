package fairlane

import (
	"context"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// DeleteSchedule removes a schedule with its history and its waiting ticks. Its jobs stay, and run.
func (c *Client) DeleteSchedule(ctx context.Context, name string, options ...ScheduleOption) error {
	how := newScheduleCall(options)
	_, err := numbered(ctx, c, false, deleteSchedule, func(r *fairlanev1.Repeat) *fairlanev1.DeleteScheduleRequest {
		return &fairlanev1.DeleteScheduleRequest{Name: name, ExpectedRevision: how.revision, Repeat: r}
	})
	return err
}

// PauseSchedule stops the fires of a schedule. Its jobs, waiting ticks and triggers go on. Of a paused one it changes nothing.
func (c *Client) PauseSchedule(ctx context.Context, name string) (*ScheduleInfo, error) {
	res, err := numbered(ctx, c, true, pauseSchedule, func(r *fairlanev1.Repeat) *fairlanev1.PauseScheduleRequest {
		return &fairlanev1.PauseScheduleRequest{Name: name, Repeat: r}
	})
	return res.GetStatus(), err
}

// ResumeSchedule goes on at the next fire time; those in between are recorded as skipped.
func (c *Client) ResumeSchedule(ctx context.Context, name string) (*ScheduleInfo, error) {
	res, err := numbered(ctx, c, true, resumeSchedule, func(r *fairlanev1.Repeat) *fairlanev1.ResumeScheduleRequest {
		return &fairlanev1.ResumeScheduleRequest{Name: name, Repeat: r}
	})
	return res.GetStatus(), err
}

// TriggerSchedule runs a schedule now, paused or not. ErrMaxInstances: as many of it as may run do.
func (c *Client) TriggerSchedule(ctx context.Context, name string) (*Handle, error) {
	res, err := numbered(ctx, c, false, triggerSchedule, func(r *fairlanev1.Repeat) *fairlanev1.TriggerScheduleRequest {
		return &fairlanev1.TriggerScheduleRequest{Name: name, Repeat: r}
	})
	if err != nil {
		return nil, err
	}
	return &Handle{ID: JobID(res.GetJob()), client: c}, nil
}

// BackfillSchedule runs the fire times from one instant to another, both inclusive, one after another and besides the schedule's own; at most
// 1,000. Given back is how many there are; with DryRun they are counted only.
func (c *Client) BackfillSchedule(ctx context.Context, name string, from, to time.Time, options ...ScheduleOption) (int64, error) {
	how := newScheduleCall(options)
	build := func(r *fairlanev1.Repeat) *fairlanev1.BackfillScheduleRequest {
		return &fairlanev1.BackfillScheduleRequest{Name: name, FromMs: from.UnixMilli(), ToMs: to.UnixMilli(), DryRun: how.dryRun, Repeat: r}
	}
	if how.dryRun {
		res, err := read(ctx, c, attemptLimit, backfillSchedule, build(nil))
		return res.GetTicks(), err
	}
	res, err := numbered(ctx, c, false, backfillSchedule, build)
	return res.GetTicks(), err
}

func deleteSchedule(n *node) func(context.Context, *fairlanev1.DeleteScheduleRequest) (*fairlanev1.DeleteScheduleResponse, error) {
	return n.schedules.DeleteSchedule
}

func pauseSchedule(n *node) func(context.Context, *fairlanev1.PauseScheduleRequest) (*fairlanev1.PauseScheduleResponse, error) {
	return n.schedules.PauseSchedule
}

func resumeSchedule(n *node) func(context.Context, *fairlanev1.ResumeScheduleRequest) (*fairlanev1.ResumeScheduleResponse, error) {
	return n.schedules.ResumeSchedule
}

func triggerSchedule(n *node) func(context.Context, *fairlanev1.TriggerScheduleRequest) (*fairlanev1.TriggerScheduleResponse, error) {
	return n.schedules.TriggerSchedule
}

func backfillSchedule(n *node) func(context.Context, *fairlanev1.BackfillScheduleRequest) (*fairlanev1.BackfillScheduleResponse, error) {
	return n.schedules.BackfillSchedule
}
