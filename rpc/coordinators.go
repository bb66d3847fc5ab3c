package rpc

import (
	"cmp"
	"context"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// listedLine: so many waiting jobs, and so many members, are shown of one coordinator.
const listedLine = 100

// ListCoordinators shows a page of this node's own state.
func (s *scheduleService) ListCoordinators(_ context.Context, r *v1.ListCoordinatorsRequest) (*v1.ListCoordinatorsResponse, error) {
	if err := checkListCoordinators(r); err != nil {
		return nil, err
	}
	out := &v1.ListCoordinatorsResponse{}
	s.node.View(func(m *fsm.Machine) {
		var views []fsm.CoordinatorView
		views, out.NextAfterName = m.Coordinators(r.GetAfterName(), cmp.Or(int(r.GetLimit()), 100))
		for _, view := range views {
			out.Coordinators = append(out.Coordinators, coordinatorAnswer(view))
		}
		out.Index = m.AppliedIndex()
	})
	return out, nil
}

func coordinatorAnswer(view fsm.CoordinatorView) *v1.Coordinator {
	return &v1.Coordinator{
		Name: view.Name, BusyJob: uint64(view.Busy), HeadJob: uint64(view.Head), Waiting: int64(view.Waiting), MemberCount: int64(view.Members),
	}
}

// GetCoordinator shows one with its members and its line, as the leader knows it after all that was decided before the call.
func (s *scheduleService) GetCoordinator(ctx context.Context, r *v1.GetCoordinatorRequest) (*v1.GetCoordinatorResponse, error) {
	if err := checkCoordinatorName(r.GetName()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.GetCoordinatorResponse]{
		local: func(ctx context.Context) (*v1.GetCoordinatorResponse, error) {
			if err := s.freshen(ctx); err != nil {
				return nil, err
			}
			return s.coordinator(r.GetName())
		},
		remote: func(ctx context.Context, p *peer) (*v1.GetCoordinatorResponse, error) {
			return p.schedules.GetCoordinator(ctx, r)
		},
		harmless: true,
	})
}

// coordinator of this node's own state. What it holds is gathered under the lock and put into words outside of it.
func (s *server) coordinator(name string) (*v1.GetCoordinatorResponse, error) {
	out := &v1.GetCoordinatorResponse{}
	var running *logv1.Job
	var line []*logv1.Job
	var members []fsm.ScheduleView
	known := false
	s.node.View(func(m *fsm.Machine) {
		view, waiting, schedules, ok := m.Coordinator(name, listedLine)
		if known = ok; !known {
			return
		}
		out.Coordinator, out.Index = coordinatorAnswer(view), m.AppliedIndex()
		if view.Busy != 0 {
			running, _ = m.Job(view.Busy)
		}
		for _, id := range waiting {
			if job, there := m.Job(id); there {
				line = append(line, job)
			}
		}
		for _, member := range schedules {
			if view, there := m.Schedule(member); there {
				members = append(members, view)
			}
		}
	})
	if !known {
		return nil, problem(UnknownCoordinator, "coordinator", name)
	}
	if running != nil {
		out.Coordinator.Running = jobSummary(running)
	}
	for _, job := range line {
		out.Coordinator.Line = append(out.Coordinator.Line, jobSummary(job))
	}
	in := newZones()
	for _, view := range members {
		out.Coordinator.Members = append(out.Coordinator.Members, listedStatus(view, in))
	}
	return out, nil
}
