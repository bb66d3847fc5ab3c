package rpc

import (
	"context"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Bulk changes go in steps: each selects at most maxPage jobs of one index, newest first, and changes them with one command. The
// next step goes on below the lowest job that this one looked at, so a step never meets the jobs that a former one made.

// manyCall is what CancelMany and RetryMany share.
type manyCall struct {
	filter *v1.JobFilter
	before uint64
	limit  int32
	// from are the states in which a job can be changed.
	from []v1.JobState
	// skips a job that is in such a state and needs no change; nil: none.
	skips func(*logv1.Job) bool
	// command changes the selected jobs.
	command func(ids []uint64) *logv1.Command
}

// manyStep is what one step, or a dry run, did.
type manyStep struct {
	matched, changed, next, index uint64
	outcomes                      []*logv1.ManyOutcome
	position                      *v1.Position
}

// jobFilter of a call; states are those that can be changed, unless the call names some of them.
func (c *manyCall) jobFilter() fsm.JobFilter {
	filter := filterFrom(c.filter)
	if len(filter.States) == 0 {
		for _, state := range c.from {
			filter.States = append(filter.States, logv1.State(state))
		}
	}
	filter.Before, filter.Limit = fsm.JobID(c.before), int(c.limit)
	if filter.Limit == 0 {
		filter.Limit = maxPage
	}
	return filter
}

// changeMany makes one step on this node, which leads.
func (s *server) changeMany(ctx context.Context, c manyCall) (manyStep, error) {
	if err := s.freshen(ctx); err != nil {
		return manyStep{}, err
	}
	insight := s.node.Insight()
	jobs, next := insight.Jobs(c.jobFilter())
	step := manyStep{next: uint64(next), index: insight.Index()}
	ids := make([]uint64, 0, len(jobs))
	for _, job := range jobs {
		if c.skips == nil || !c.skips(job) {
			ids = append(ids, job.GetId())
		}
	}
	if step.matched = uint64(len(ids)); len(ids) == 0 {
		return step, nil
	}
	result, err := s.propose(ctx, c.command(ids))
	if err != nil {
		return manyStep{}, err
	}
	step.outcomes, step.position = result.GetMany().GetOutcomes(), positionOf(result)
	for _, outcome := range step.outcomes {
		if outcome.GetChanged() {
			step.changed++
		}
	}
	return step, nil
}

// countMany counts what all steps together would change, on this node, which leads. All of it is of one index.
func (s *server) countMany(ctx context.Context, c manyCall) (manyStep, error) {
	if err := s.freshen(ctx); err != nil {
		return manyStep{}, err
	}
	insight := s.node.Insight()
	filter := c.jobFilter()
	step := manyStep{index: insight.Index()}
	if c.skips == nil {
		step.matched = insight.Count(filter)
		return step, nil
	}
	for filter.Limit = maxPage; ctx.Err() == nil; {
		jobs, next := insight.Jobs(filter)
		for _, job := range jobs {
			if !c.skips(job) {
				step.matched++
			}
		}
		if next == 0 {
			return step, nil
		}
		filter.Before = next
	}
	return manyStep{}, ctx.Err()
}

// many runs a step or a dry run.
func (s *server) many(ctx context.Context, dryRun bool, c manyCall) (manyStep, error) {
	if dryRun {
		return s.countMany(ctx, c)
	}
	return s.changeMany(ctx, c)
}

var (
	canCancel = []v1.JobState{v1.JobState_JOB_STATE_SCHEDULED, v1.JobState_JOB_STATE_PENDING, v1.JobState_JOB_STATE_RUNNING}
	canRetry  = []v1.JobState{v1.JobState_JOB_STATE_FAILED, v1.JobState_JOB_STATE_TIMED_OUT, v1.JobState_JOB_STATE_CANCELLED}
)

// CancelMany cancels the jobs that match, one step of them.
func (s *jobService) CancelMany(ctx context.Context, r *v1.CancelManyRequest) (*v1.CancelManyResponse, error) {
	if err := checkMany(r.GetFilter(), r.GetLimit(), "cancelled", canCancel); err != nil {
		return nil, err
	}
	call := manyCall{
		filter: r.GetFilter(), before: r.GetBeforeId(), limit: r.GetLimit(), from: canCancel,
		command: func(ids []uint64) *logv1.Command {
			return &logv1.Command{Op: &logv1.Command_CancelMany{CancelMany: &logv1.CancelMany{Jobs: ids}}}
		},
	}
	return atLeader(ctx, s.server, leaderCall[v1.CancelManyResponse]{
		local: func(ctx context.Context) (*v1.CancelManyResponse, error) {
			step, err := s.many(ctx, r.GetDryRun(), call)
			if err != nil {
				return nil, err
			}
			return &v1.CancelManyResponse{
				Matched: step.matched, Changed: step.changed, NextBeforeId: step.next, Index: step.index, Position: step.position,
			}, nil
		},
		remote:   func(ctx context.Context, p *peer) (*v1.CancelManyResponse, error) { return p.jobs.CancelMany(ctx, r) },
		harmless: r.GetDryRun(),
	})
}

// RetryMany runs the jobs that match again, one step of them. Those that were run again already are left out, so that a step which is
// repeated, because its outcome was not known, runs nothing twice.
func (s *jobService) RetryMany(ctx context.Context, r *v1.RetryManyRequest) (*v1.RetryManyResponse, error) {
	if err := checkMany(r.GetFilter(), r.GetLimit(), "run again", canRetry); err != nil {
		return nil, err
	}
	call := manyCall{
		filter: r.GetFilter(), before: r.GetBeforeId(), limit: r.GetLimit(), from: canRetry,
		skips: func(job *logv1.Job) bool { return job.GetRetriedAs() != 0 },
		command: func(ids []uint64) *logv1.Command {
			return &logv1.Command{Op: &logv1.Command_RetryMany{RetryMany: &logv1.RetryMany{Jobs: ids}}}
		},
	}
	return atLeader(ctx, s.server, leaderCall[v1.RetryManyResponse]{
		local: func(ctx context.Context) (*v1.RetryManyResponse, error) {
			step, err := s.many(ctx, r.GetDryRun(), call)
			if err != nil {
				return nil, err
			}
			return &v1.RetryManyResponse{
				Matched: step.matched, Changed: step.changed, NextBeforeId: step.next, Index: step.index, Position: step.position,
				Refused: firstRefused(step.outcomes),
			}, nil
		},
		remote:   func(ctx context.Context, p *peer) (*v1.RetryManyResponse, error) { return p.jobs.RetryMany(ctx, r) },
		harmless: r.GetDryRun(),
	})
}

// firstRefused of the jobs of a step; nil when none was.
func firstRefused(outcomes []*logv1.ManyOutcome) *v1.ErrorBody {
	for _, outcome := range outcomes {
		if outcome.GetRefusal() != nil {
			return refusalBody(outcome.GetRefusal(), "job", number(outcome.GetJob()), "want", "failed, timed_out or cancelled")
		}
	}
	return nil
}
