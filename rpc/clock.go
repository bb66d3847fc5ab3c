package rpc

import (
	"context"
	"strconv"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// SetClock sets the cluster's clock back to that of the leader, which its neighbours have checked.
func (s *clusterService) SetClock(ctx context.Context, r *v1.SetClockRequest) (*v1.SetClockResponse, error) {
	return atLeader(ctx, s.server, leaderCall[v1.SetClockResponse]{
		local: func(ctx context.Context) (*v1.SetClockResponse, error) {
			before := s.clusterClock()
			own := s.node.Introduction().ClockMillis
			if before <= own {
				return nil, problem(ClockNotAhead, "cluster_ms", strconv.FormatInt(before, 10), "leader_ms", strconv.FormatInt(own, 10))
			}
			_, err := s.propose(ctx, &logv1.Command{Op: &logv1.Command_SetClock{SetClock: &logv1.SetClock{NowMs: own}}})
			if err != nil {
				return nil, err
			}
			return &v1.SetClockResponse{BeforeMs: before, NowMs: s.clusterClock()}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.SetClockResponse, error) { return p.cluster.SetClock(ctx, r) },
	})
}

// clusterClock is the wall clock of the replicated state, Unix ms.
func (s *server) clusterClock() (wall int64) {
	s.node.View(func(m *fsm.Machine) { wall, _ = m.Clocks() })
	return wall
}
