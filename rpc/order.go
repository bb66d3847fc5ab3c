package rpc

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// ListQueueUsers shows a page of this node's own state.
func (s *queueService) ListQueueUsers(_ context.Context, r *v1.ListQueueUsersRequest) (*v1.ListQueueUsersResponse, error) {
	if err := checkListQueueUsers(r); err != nil {
		return nil, err
	}
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = 100
	}
	insight := s.node.Insight()
	users, next, known := insight.QueueUsers(r.GetName(), r.GetAfterUser(), limit)
	if !known {
		return nil, problem(UnknownQueue, "queue", r.GetName())
	}
	out := &v1.ListQueueUsersResponse{NextAfterUser: next, Index: insight.Index()}
	for _, user := range users {
		out.Users = append(out.Users, &v1.QueueUser{
			User: user.User, Pending: user.Pending, Running: user.Running, OldestWaitMs: user.OldestWaitMs, AtLimit: user.AtLimit,
			LastTurn: uint64(user.LastTurn),
		})
	}
	return out, nil
}

// PreviewOrder lists the next jobs of a queue or a lane, of this node's own state. Looking ahead borrows the machine's board, so nothing
// else looks at the state meanwhile; the limit keeps that short.
func (s *queueService) PreviewOrder(_ context.Context, r *v1.PreviewOrderRequest) (*v1.PreviewOrderResponse, error) {
	if err := checkPreviewOrder(r); err != nil {
		return nil, err
	}
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = 20
	}
	var jobs []fsm.OrderedJob
	var unknown error
	out := &v1.PreviewOrderResponse{}
	s.node.Alone(func(m *fsm.Machine) {
		out.Index = m.AppliedIndex()
		known := false
		if r.GetQueue() != "" {
			if jobs, known = m.OrderOfQueue(r.GetQueue(), limit); !known {
				unknown = problem(UnknownQueue, "queue", r.GetQueue())
			}
			return
		}
		if jobs, known = m.OrderOfLane(r.GetWorker(), r.GetLane(), limit); !known {
			unknown = noSuchLane(m, r.GetWorker(), r.GetLane())
		}
	})
	if unknown != nil {
		return nil, unknown
	}
	for _, job := range jobs {
		out.Jobs = append(out.Jobs, &v1.PreviewedJob{
			Id: job.Job.GetId(), Queue: job.Job.GetQueue(), User: job.Job.GetUser(), Priority: job.Job.GetPriority(), Kind: job.Job.GetKind(),
			Line: job.Line, Position: uint32(job.Position), WaitMs: job.WaitMs,
		})
	}
	return out, nil
}

// noSuchLane says what is not there: the worker, or this lane of it.
func noSuchLane(m *fsm.Machine, name string, lane uint32) error {
	for _, worker := range m.Workers(0, math.MaxInt) {
		if worker.Name != name {
			continue
		}
		lanes := make([]string, len(worker.Lanes))
		for i, view := range worker.Lanes {
			lanes[i] = laneSpec(view.Lane)
		}
		return problem(UnknownLane, "session", number(uint64(worker.Session)), "lane", strconv.FormatUint(uint64(lane), 10), "lanes", strings.Join(lanes, " "))
	}
	return problem(UnknownWorker, "name", strconv.Quote(name))
}
