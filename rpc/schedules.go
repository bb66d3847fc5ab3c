package rpc

import (
	"cmp"
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cluster/calendar"
	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// scheduleService is for whoever runs jobs over time.
type scheduleService struct{ *server }

// look at a schedule in this node's own state.
func (s *server) look(name string) (view fsm.ScheduleView, known bool) {
	s.node.View(func(m *fsm.Machine) { view, known = m.Schedule(name) })
	return view, known
}

// computedCall is a command of which the leader computes a part, from the clock and from the schedule as it is.
type computedCall struct {
	name   string
	repeat *v1.Repeat
	// expected revision that the caller named; 0: any.
	expected uint64
	// compute the command from what is there; nil: no such schedule.
	compute func(*logv1.ScheduleRecord) (*logv1.Command, error)
	// bare command without the computed part: enough for a call that was answered before.
	bare func() *logv1.Command
}

// proposeComputed proposes on this node, which leads. If the schedule is another one by the time when the command is applied, it is computed
// again.
func (s *server) proposeComputed(ctx context.Context, c computedCall) (*logv1.Result, error) {
	about := []string{"schedule", c.name}
	for attempt := 1; ; attempt++ {
		var old *logv1.ScheduleRecord
		answered := false
		s.node.View(func(m *fsm.Machine) {
			if view, known := m.Schedule(c.name); known {
				old = view.Record
			}
			answered = c.repeat.GetNumber() != 0 && m.Answered(fsm.SessionID(c.repeat.GetSession()), c.repeat.GetNumber())
		})
		var cmd *logv1.Command
		if answered {
			cmd = c.bare()
		} else {
			var err error
			if cmd, err = c.compute(old); err != nil {
				return nil, err
			}
		}
		cmd.Repeat = repeatFrom(c.repeat)
		if size := proto.Size(cmd); size > maxCommandBytes {
			return nil, tooLargeCommand(size)
		}
		result, err := s.node.Propose(ctx, cmd)
		if err == nil && attempt < computeAttempts && !answered && s.overtaken(c, result) {
			continue
		}
		return decided(cmd, result, err, about)
	}
}

// overtaken tells whether a command was refused because the schedule changed or fired since it was computed, and not because of what the
// caller expected.
func (s *server) overtaken(c computedCall, result *logv1.Result) bool {
	if result.GetRefusal().GetReason() != logv1.Reason_REASON_STALE_REVISION {
		return false
	}
	view, _ := s.look(c.name)
	return c.expected == 0 || c.expected == view.Record.GetRevision()
}

func (s *scheduleService) DeleteSchedule(ctx context.Context, r *v1.DeleteScheduleRequest) (*v1.DeleteScheduleResponse, error) {
	if err := checkScheduleName(r.GetName(), r.GetRepeat()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.DeleteScheduleResponse]{
		local: func(ctx context.Context) (*v1.DeleteScheduleResponse, error) {
			op := &logv1.Command_DeleteSchedule{DeleteSchedule: &logv1.DeleteSchedule{Name: r.GetName(), ExpectedRevision: r.GetExpectedRevision()}}
			result, err := s.propose(ctx, &logv1.Command{Repeat: repeatFrom(r.GetRepeat()), Op: op}, "schedule", r.GetName())
			if err != nil {
				return nil, err
			}
			return &v1.DeleteScheduleResponse{Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.DeleteScheduleResponse, error) {
			return p.schedules.DeleteSchedule(ctx, r)
		},
	})
}

// changedStatus is the status in the answer to a change: what is stored, and for a call without a number all that is there now.
func (s *server) changedStatus(name string, repeat *v1.Repeat, result *logv1.Result) *v1.ScheduleStatus {
	if repeat.GetNumber() == 0 {
		if view, known := s.look(name); known {
			return statusAnswer(view, newZones())
		}
	}
	return storedStatus(name, result.GetSchedule())
}

func (s *scheduleService) PauseSchedule(ctx context.Context, r *v1.PauseScheduleRequest) (*v1.PauseScheduleResponse, error) {
	if err := checkScheduleName(r.GetName(), r.GetRepeat()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.PauseScheduleResponse]{
		local: func(ctx context.Context) (*v1.PauseScheduleResponse, error) {
			op := &logv1.Command_PauseSchedule{PauseSchedule: &logv1.PauseSchedule{Name: r.GetName()}}
			result, err := s.propose(ctx, &logv1.Command{Repeat: repeatFrom(r.GetRepeat()), Op: op}, "schedule", r.GetName())
			if err != nil {
				return nil, err
			}
			out := &v1.PauseScheduleResponse{Status: s.changedStatus(r.GetName(), r.GetRepeat(), result), Position: positionOf(result)}
			out.Status.Paused = true
			return out, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.PauseScheduleResponse, error) {
			return p.schedules.PauseSchedule(ctx, r)
		},
	})
}

func (s *scheduleService) ResumeSchedule(ctx context.Context, r *v1.ResumeScheduleRequest) (*v1.ResumeScheduleResponse, error) {
	if err := checkScheduleName(r.GetName(), r.GetRepeat()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.ResumeScheduleResponse]{
		local: func(ctx context.Context) (*v1.ResumeScheduleResponse, error) {
			bare := func() *logv1.Command {
				return &logv1.Command{Op: &logv1.Command_ResumeSchedule{ResumeSchedule: &logv1.ResumeSchedule{Name: r.GetName()}}}
			}
			result, err := s.proposeComputed(ctx, computedCall{
				name: r.GetName(), repeat: r.GetRepeat(), bare: bare,
				compute: func(record *logv1.ScheduleRecord) (*logv1.Command, error) {
					if record == nil { // the machine refuses it
						return bare(), nil
					}
					op, err := calendar.Resume(record, s.node.Now())
					if err != nil {
						return nil, badSpec(err)
					}
					return &logv1.Command{Op: &logv1.Command_ResumeSchedule{ResumeSchedule: op}}, nil
				},
			})
			if err != nil {
				return nil, err
			}
			return &v1.ResumeScheduleResponse{Status: s.changedStatus(r.GetName(), r.GetRepeat(), result), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.ResumeScheduleResponse, error) {
			return p.schedules.ResumeSchedule(ctx, r)
		},
	})
}

func (s *scheduleService) TriggerSchedule(ctx context.Context, r *v1.TriggerScheduleRequest) (*v1.TriggerScheduleResponse, error) {
	if err := checkScheduleName(r.GetName(), r.GetRepeat()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.TriggerScheduleResponse]{
		local: func(ctx context.Context) (*v1.TriggerScheduleResponse, error) {
			op := &logv1.Command_TriggerSchedule{TriggerSchedule: &logv1.TriggerSchedule{Name: r.GetName()}}
			result, err := s.propose(ctx, &logv1.Command{Repeat: repeatFrom(r.GetRepeat()), Op: op}, "schedule", r.GetName())
			if err != nil {
				return nil, err
			}
			return &v1.TriggerScheduleResponse{Job: result.GetSchedule().GetJob(), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.TriggerScheduleResponse, error) {
			return p.schedules.TriggerSchedule(ctx, r)
		},
	})
}

func (s *scheduleService) GetSchedule(ctx context.Context, r *v1.GetScheduleRequest) (*v1.GetScheduleResponse, error) {
	if err := checkGetSchedule(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.GetScheduleResponse]{
		local: func(ctx context.Context) (*v1.GetScheduleResponse, error) {
			if err := s.freshen(ctx); err != nil {
				return nil, err
			}
			out := &v1.GetScheduleResponse{}
			var view fsm.ScheduleView
			known := false
			s.node.View(func(m *fsm.Machine) {
				view, known = m.Schedule(r.GetName())
				out.Index = m.AppliedIndex()
			})
			if !known {
				return nil, problem(UnknownSchedule, "schedule", r.GetName())
			}
			out.Status = statusAnswer(view, newZones())
			if most := min(int(r.GetInstances()), view.Instances); most > 0 {
				for _, job := range s.node.Insight().Instances(r.GetName(), most) {
					out.Instances = append(out.Instances, jobSummary(job))
				}
			}
			return out, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.GetScheduleResponse, error) {
			return p.schedules.GetSchedule(ctx, r)
		},
		harmless: true,
	})
}

// ListSchedules shows a page of this node's own state.
func (s *scheduleService) ListSchedules(_ context.Context, r *v1.ListSchedulesRequest) (*v1.ListSchedulesResponse, error) {
	if err := checkListSchedules(r); err != nil {
		return nil, err
	}
	out := &v1.ListSchedulesResponse{}
	var views []fsm.ScheduleView
	s.node.View(func(m *fsm.Machine) {
		views, out.NextAfterName = m.Schedules(r.GetPrefix(), r.GetGroup(), r.GetAfterName(), cmp.Or(int(r.GetLimit()), 100))
		out.Index = m.AppliedIndex()
	})
	in := newZones()
	for _, view := range views {
		out.Schedules = append(out.Schedules, listedStatus(view, in))
	}
	return out, nil
}
