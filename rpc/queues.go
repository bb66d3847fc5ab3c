package rpc

import (
	"context"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// queueService is for operators: how jobs wait.
type queueService struct{ *server }

func (s *queueService) ListQueues(context.Context, *v1.ListQueuesRequest) (*v1.ListQueuesResponse, error) {
	out := &v1.ListQueuesResponse{}
	s.node.View(func(m *fsm.Machine) {
		for _, status := range m.QueueStatuses() {
			out.Queues = append(out.Queues, queueStatusAnswer(status))
		}
		out.Index = m.AppliedIndex()
	})
	return out, nil
}

func (s *queueService) GetQueue(ctx context.Context, r *v1.GetQueueRequest) (*v1.GetQueueResponse, error) {
	if err := checkQueueName(r.GetName()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.GetQueueResponse]{
		local: func(ctx context.Context) (*v1.GetQueueResponse, error) {
			if err := s.freshen(ctx); err != nil {
				return nil, err
			}
			out := &v1.GetQueueResponse{}
			s.node.View(func(m *fsm.Machine) {
				if status, known := m.QueueStatus(r.GetName()); known {
					out.Queue = queueStatusAnswer(status)
				}
				out.Index = m.AppliedIndex()
			})
			if out.Queue == nil {
				return nil, problem(UnknownQueue, "queue", r.GetName())
			}
			return out, nil
		},
		remote:   func(ctx context.Context, p *peer) (*v1.GetQueueResponse, error) { return p.queues.GetQueue(ctx, r) },
		harmless: true,
	})
}

func (s *queueService) SetQueue(ctx context.Context, r *v1.SetQueueRequest) (*v1.SetQueueResponse, error) {
	if err := checkSetQueue(r); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.SetQueueResponse]{
		local: func(ctx context.Context) (*v1.SetQueueResponse, error) {
			cmd := &logv1.Command{
				Repeat: repeatFrom(r.GetRepeat()),
				Op:     &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: r.GetName(), Settings: queueSettingsFrom(r.GetSettings())}},
			}
			result, err := s.propose(ctx, cmd, "queue", r.GetName())
			if err != nil {
				return nil, err
			}
			return &v1.SetQueueResponse{Queue: queueAnswer(result.GetQueue().GetQueue()), Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.SetQueueResponse, error) { return p.queues.SetQueue(ctx, r) },
	})
}

// setPaused pauses or resumes on this node, which leads.
func (s *queueService) setPaused(ctx context.Context, name string, paused bool) (*v1.Position, error) {
	op := &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: name, Paused: &paused}}
	result, err := s.propose(ctx, &logv1.Command{Op: op}, "queue", name)
	if err != nil {
		return nil, err
	}
	return positionOf(result), nil
}

func (s *queueService) PauseQueue(ctx context.Context, r *v1.PauseQueueRequest) (*v1.PauseQueueResponse, error) {
	if err := checkQueueName(r.GetName()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.PauseQueueResponse]{
		local: func(ctx context.Context) (*v1.PauseQueueResponse, error) {
			position, err := s.setPaused(ctx, r.GetName(), true)
			return &v1.PauseQueueResponse{Position: position}, err
		},
		remote: func(ctx context.Context, p *peer) (*v1.PauseQueueResponse, error) { return p.queues.PauseQueue(ctx, r) },
	})
}

func (s *queueService) ResumeQueue(ctx context.Context, r *v1.ResumeQueueRequest) (*v1.ResumeQueueResponse, error) {
	if err := checkQueueName(r.GetName()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.ResumeQueueResponse]{
		local: func(ctx context.Context) (*v1.ResumeQueueResponse, error) {
			position, err := s.setPaused(ctx, r.GetName(), false)
			return &v1.ResumeQueueResponse{Position: position}, err
		},
		remote: func(ctx context.Context, p *peer) (*v1.ResumeQueueResponse, error) {
			return p.queues.ResumeQueue(ctx, r)
		},
	})
}

func (s *queueService) DeleteQueue(ctx context.Context, r *v1.DeleteQueueRequest) (*v1.DeleteQueueResponse, error) {
	if err := checkQueueName(r.GetName()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.DeleteQueueResponse]{
		local: func(ctx context.Context) (*v1.DeleteQueueResponse, error) {
			op := &logv1.Command_DeleteQueue{DeleteQueue: &logv1.DeleteQueue{Name: r.GetName()}}
			result, err := s.propose(ctx, &logv1.Command{Op: op}, "queue", r.GetName())
			if err != nil {
				return nil, err
			}
			return &v1.DeleteQueueResponse{Position: positionOf(result)}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.DeleteQueueResponse, error) {
			return p.queues.DeleteQueue(ctx, r)
		},
	})
}
