package rpc

import (
	"context"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Why explains a job, as the leader knows it after all that was decided before the call.
func (s *jobService) Why(ctx context.Context, r *v1.WhyRequest) (*v1.WhyResponse, error) {
	if err := checkJobID(r.GetId()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.WhyResponse]{
		local: func(ctx context.Context) (*v1.WhyResponse, error) {
			if err := s.freshen(ctx); err != nil {
				return nil, err
			}
			why, known := s.node.Insight().Why(fsm.JobID(r.GetId()))
			if !known {
				return nil, problem(UnknownJob, "job", number(r.GetId()))
			}
			return whyAnswer(why), nil
		},
		remote:   func(ctx context.Context, p *peer) (*v1.WhyResponse, error) { return p.jobs.Why(ctx, r) },
		harmless: true,
	})
}

// whyAnswer is made of what the machine answered and of nothing else: equal at the same index on every node.
func whyAnswer(a *fsm.WhyAnswer) *v1.WhyResponse {
	out := &v1.WhyResponse{
		Id: a.Job.GetId(), State: v1.JobState(a.Job.GetState()), Index: a.Index, ClockMs: a.ClockMs,
		Summary: summaryText(a), Lane: laneAnswer(a.Lane), StepsDropped: a.Steps.GetDropped(),
	}
	for _, line := range a.Lines {
		out.Lines = append(out.Lines, lineAnswer(line))
	}
	for _, c := range a.Constraints {
		out.Constraints = append(out.Constraints, &v1.Constraint{
			Kind: v1.ConstraintKind(c.Kind), Queue: c.Queue, User: c.User, Lane: laneAnswer(c.Lane), Value: c.Value, Most: c.Most, UntilMs: c.UntilMs,
			Text: constraintText(a, c), Coordinator: c.Coordinator, BusyJob: uint64(c.Busy), HeadJob: uint64(c.Head), More: c.More,
		})
	}
	for _, c := range a.Start {
		out.Start = append(out.Start, &v1.Change{
			Kind: v1.ChangeKind(c.Kind), Queue: c.Queue, User: c.User, Value: c.Value, UntilMs: c.UntilMs, Text: changeText(a, c),
			Coordinator: c.Coordinator, More: c.More,
		})
	}
	for i, step := range a.Steps.GetSteps() {
		out.Steps = append(out.Steps, stepAnswer(a, i, step))
	}
	return out
}

func lineAnswer(line fsm.LinePlace) *v1.LinePlace {
	out := &v1.LinePlace{
		Line: line.Line, Mode: line.Mode.String(), UserPosition: line.UserPosition, UserWaiting: line.UserWaiting,
		Ahead: line.Ahead, Waiting: line.Waiting, UsersAhead: line.UsersAhead,
	}
	for _, user := range line.Users {
		out.Users = append(out.Users, &v1.UserAhead{User: user.User, Jobs: user.Jobs})
	}
	return out
}

func stepAnswer(a *fsm.WhyAnswer, i int, step *logv1.Step) *v1.Step {
	return &v1.Step{
		Rule: ruleName(step.GetKind()), Index: step.GetIndex(), AtMs: step.GetAtMs(), Worker: step.GetWorker(), Lane: step.GetLane(),
		Fence: step.GetFence(), Attempt: step.GetAttempt(), UntilMs: step.GetUntilMs(), Text: stepText(a, i, step),
	}
}
