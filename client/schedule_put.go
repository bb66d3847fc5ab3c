package fairlane

import (
	"context"
	"errors"
	"fmt"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// ScheduleOption says something beside the schedule itself.
type ScheduleOption func(*scheduleCall)

type scheduleCall struct {
	revision   uint64
	createOnly bool
	dryRun     bool
}

// ExpectRevision refuses a put or a delete with ErrStaleRevision when the schedule has another revision, so that what others changed
// since it was read is not lost.
func ExpectRevision(revision uint64) ScheduleOption {
	return func(c *scheduleCall) { c.revision = revision }
}

// CreateOnly refuses a put with ErrStaleRevision when there is a schedule of this name with another definition: what somebody else has made is
// not written over.
func CreateOnly() ScheduleOption { return func(c *scheduleCall) { c.createOnly = true } }

// DryRun checks a put, or counts the times of a backfill, and changes nothing.
func DryRun() ScheduleOption { return func(c *scheduleCall) { c.dryRun = true } }

func newScheduleCall(options []ScheduleOption) (c scheduleCall) {
	for _, option := range options {
		option(&c)
	}
	return c
}

// ScheduleInfo is a schedule as it is now.
type ScheduleInfo = fairlanev1.ScheduleStatus

// FieldChange is one field that a put changes.
type FieldChange = fairlanev1.FieldChange

// PutResult is what a put did, or with DryRun would do.
type PutResult struct {
	// Created, Updated: one of them, or neither when the definition was the same.
	Created, Updated bool
	// Info after it: definition, revision, pause and next fire time. With DryRun all of it, as it is; nil when there is none of this name.
	Info *ScheduleInfo
	// Normal form of the definition, as it is compared: defaults filled in.
	Normal *fairlanev1.Schedule
	// Differences from what is there, and warnings, for example that nobody serves the queue; with DryRun only.
	Differences []*FieldChange
	Warnings    []string
}

// PutSchedule makes a schedule whose fires enqueue the job, or changes the one of this name. The same definition again changes nothing, so it may
// be put at every start of a program. A change keeps pause, jobs, waiting ticks and history; those of its fire times that were due and had not
// fired are recorded as skipped.
func (c *Client) PutSchedule(ctx context.Context, s Schedule, job NewJob, options ...ScheduleOption) (*PutResult, error) {
	m, err := s.message(job)
	if err != nil {
		return nil, err
	}
	how := newScheduleCall(options)
	build := func(r *fairlanev1.Repeat) *fairlanev1.PutScheduleRequest {
		return &fairlanev1.PutScheduleRequest{Schedule: m, ExpectedRevision: how.revision, CreateOnly: how.createOnly, DryRun: how.dryRun, Repeat: r}
	}
	var res *fairlanev1.PutScheduleResponse
	if how.dryRun {
		res, err = read(ctx, c, attemptLimit, putSchedule, build(nil))
	} else {
		// A put without a revision says what shall be: in another session it has the same effect.
		res, err = numbered(ctx, c, how.revision == 0, putSchedule, build)
	}
	if err != nil {
		return nil, err
	}
	return &PutResult{
		Created: res.GetChange() == fairlanev1.ScheduleChange_SCHEDULE_CHANGE_CREATED,
		Updated: res.GetChange() == fairlanev1.ScheduleChange_SCHEDULE_CHANGE_UPDATED,
		Info:    res.GetStatus(), Differences: res.GetDifferences(), Normal: res.GetNormal(), Warnings: res.GetWarnings(),
	}, nil
}

// Schedule puts a schedule that enqueues this task with args; see [Client.PutSchedule]. The options are those of Enqueue, except Delay, RunAt,
// IdempotencyKey and InsertFront.
func (t Task[A, R]) Schedule(ctx context.Context, c *Client, s Schedule, args A, options ...EnqueueOption) (*PutResult, error) {
	return c.PutSchedule(ctx, s, t.New(args, options...))
}

// Declare makes w put the schedule when it starts, beside the handler of the task; see [Worker.Declare].
func (t Task[A, R]) Declare(w *Worker, s Schedule, args A, options ...EnqueueOption) {
	w.Declare(s, t.New(args, options...))
}

// declared is a schedule that a worker puts when it starts.
type declared struct {
	schedule Schedule
	job      NewJob
}

// Declare makes Run put the schedule once it is connected and before it takes a job. Every replica of a program may declare the same: it changes
// nothing then. A refusal ends Run, except ErrStateFull: then the worker works, so that there is room again, and tries on. It panics when the worker
// has declared one of this name already, or runs.
func (w *Worker) Declare(s Schedule, job NewJob) {
	for _, d := range w.declared {
		if d.schedule.Name == s.Name {
			panic(fmt.Sprintf("fairlane: schedule %q: the worker declares it already", s.Name))
		}
	}
	if w.running {
		panic(fmt.Sprintf("fairlane: schedule %q: the worker runs", s.Name))
	}
	w.declared = append(w.declared, declared{s, job})
}

// checkDeclared finds what is wrong without asking anybody.
func (w *Worker) checkDeclared() error {
	for _, d := range w.declared {
		if _, err := d.schedule.message(d.job); err != nil {
			return fmt.Errorf("declare schedule %q: %w", d.schedule.Name, err)
		}
	}
	return nil
}

// declare puts what the worker declared, once for all its lives. done is false when ctx or the life ended meanwhile, which is no error of it.
func (l *life) declare(ctx context.Context) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	err = l.declareAll(ctx)
	if ctx.Err() != nil {
		return false, nil
	}
	return err == nil, err
}

// declareAll leaves in the worker's list what there is no room for; at an error what is not put yet before it, beginning with what failed.
func (l *life) declareAll(ctx context.Context) error {
	var full []declared
	w := l.worker
	defer func() { w.declared = append(w.declared, full...) }()
	for len(w.declared) > 0 {
		d := w.declared[0]
		err := l.declareOne(ctx, d)
		switch {
		case errors.Is(err, ErrStateFull):
			l.logger.Warn("schedule not declared, it is tried again", "schedule", d.schedule.Name, "err", err)
			full = append(full, d)
		case err != nil:
			return fmt.Errorf("declare schedule %q: %w", d.schedule.Name, err)
		}
		w.declared = w.declared[1:]
	}
	return nil
}

// The pause between tries to declare what there was no room for doubles from the first to the most.
const (
	declarePauseFirst = 5 * time.Second
	declarePauseMost  = time.Minute
)

// declareLate tries on while the worker works: it may be the one that makes room.
func (l *life) declareLate(ctx context.Context) {
	for pause := declarePauseFirst; len(l.worker.declared) > 0; pause = min(2*pause, declarePauseMost) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if err := l.declareAll(ctx); err != nil && ctx.Err() == nil {
			l.logger.Error("schedule not declared", "err", err)
			l.worker.declared = l.worker.declared[1:]
		}
	}
}

// declareOne looks first: what is there already, which is usual, costs no log entry then; and a change is logged field by field.
func (l *life) declareOne(ctx context.Context, d declared) error {
	look, err := l.client.PutSchedule(ctx, d.schedule, d.job, DryRun())
	if err != nil {
		return err
	}
	logger := l.logger.With("schedule", d.schedule.Name)
	for _, warning := range look.Warnings {
		logger.Warn("schedule declared", "warning", warning)
	}
	if !look.Created && !look.Updated {
		logger.Debug("schedule declared: unchanged", "revision", look.Info.GetRevision())
		return nil
	}
	res, err := l.client.PutSchedule(ctx, d.schedule, d.job)
	if err != nil {
		return err
	}
	logger.Info("schedule declared", "revision", res.Info.GetRevision(), "created", res.Created, "updated", res.Updated)
	if look.Updated {
		for _, f := range look.Differences {
			logger.Info("schedule changed", "field", f.GetField(), "from", f.GetFrom(), "to", f.GetTo())
		}
	}
	return nil
}

func putSchedule(n *node) func(context.Context, *fairlanev1.PutScheduleRequest) (*fairlanev1.PutScheduleResponse, error) {
	return n.schedules.PutSchedule
}
