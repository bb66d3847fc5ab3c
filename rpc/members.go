package rpc

import (
	"context"
	"errors"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Changes of the members are made by the leader. Each may be sent twice: a second one finds it done, or the configuration changed.

func (s *clusterService) RemoveNode(ctx context.Context, r *v1.RemoveNodeRequest) (*v1.RemoveNodeResponse, error) {
	if err := checkNodeID(r.GetNodeId()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.RemoveNodeResponse]{
		local: func(ctx context.Context) (*v1.RemoveNodeResponse, error) {
			index, err := s.node.RemoveNode(ctx, r.GetNodeId(), r.GetConfigurationIndex())
			if err != nil {
				return nil, err
			}
			return &v1.RemoveNodeResponse{ConfigurationIndex: index}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.RemoveNodeResponse, error) {
			return p.cluster.RemoveNode(ctx, r)
		},
	})
}

func (s *clusterService) PromoteNode(ctx context.Context, r *v1.PromoteNodeRequest) (*v1.PromoteNodeResponse, error) {
	if err := checkNodeID(r.GetNodeId()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.PromoteNodeResponse]{
		local: func(ctx context.Context) (*v1.PromoteNodeResponse, error) {
			index, err := s.node.PromoteNode(ctx, r.GetNodeId(), r.GetConfigurationIndex())
			if err != nil {
				return nil, err
			}
			return &v1.PromoteNodeResponse{ConfigurationIndex: index}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.PromoteNodeResponse, error) {
			return p.cluster.PromoteNode(ctx, r)
		},
		harmless: r.GetConfigurationIndex() == 0,
	})
}

func (s *clusterService) DemoteNode(ctx context.Context, r *v1.DemoteNodeRequest) (*v1.DemoteNodeResponse, error) {
	if err := checkNodeID(r.GetNodeId()); err != nil {
		return nil, err
	}
	return atLeader(ctx, s.server, leaderCall[v1.DemoteNodeResponse]{
		local: func(ctx context.Context) (*v1.DemoteNodeResponse, error) {
			index, err := s.node.DemoteNode(ctx, r.GetNodeId(), r.GetConfigurationIndex())
			if err != nil {
				return nil, err
			}
			return &v1.DemoteNodeResponse{ConfigurationIndex: index}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.DemoteNodeResponse, error) {
			return p.cluster.DemoteNode(ctx, r)
		},
		harmless: r.GetConfigurationIndex() == 0,
	})
}

// TransferLeadership is never sent twice: the second one would hand it over once more.
func (s *clusterService) TransferLeadership(ctx context.Context, r *v1.TransferLeadershipRequest) (*v1.TransferLeadershipResponse, error) {
	if r.GetNodeId() != "" {
		if err := checkNodeID(r.GetNodeId()); err != nil {
			return nil, err
		}
	}
	return atLeader(ctx, s.server, leaderCall[v1.TransferLeadershipResponse]{
		local: func(ctx context.Context) (*v1.TransferLeadershipResponse, error) {
			leader, err := s.node.TransferLeadership(ctx, r.GetNodeId())
			if err != nil {
				return nil, err
			}
			return &v1.TransferLeadershipResponse{LeaderId: leader}, nil
		},
		remote: func(ctx context.Context, p *peer) (*v1.TransferLeadershipResponse, error) {
			return p.cluster.TransferLeadership(ctx, r)
		},
	})
}

// Leave is about this node and never forwarded: it has itself removed, and ends once it is.
func (s *clusterService) Leave(ctx context.Context, _ *v1.LeaveRequest) (*v1.LeaveResponse, error) {
	s.node.Leaving(true)
	if _, err := s.RemoveNode(ctx, &v1.RemoveNodeRequest{NodeId: s.node.ID()}); err != nil {
		if reason, _, _ := ReasonOf(err); reason != UnknownOutcome {
			s.node.Leaving(false)
		}
		return nil, err
	}
	s.node.Expelled("it left")
	return &v1.LeaveResponse{}, nil
}

func checkNodeID(id string) error {
	var f fields
	f.requiredText("node_id", id, maxTextBytes, "it names the node for its whole life")
	return f.result()
}

// memberProblem translates what refused a change of the members; nil: it is something else.
func memberProblem(err error) error {
	var unknown *cluster.UnknownNodeError
	var stale *cluster.ConfigurationError
	var unsafe *cluster.UnsafeChangeError
	var removed *cluster.RemovedError
	var transfer *cluster.TransferError
	switch {
	case errors.As(err, &unknown):
		return problem(UnknownNode, "node_id", unknown.ID)
	case errors.As(err, &stale):
		return problem(StaleConfiguration, "now", number(stale.Now), "expected", number(stale.Expected))
	case errors.As(err, &unsafe):
		return problem(UnsafeChange, "change", unsafe.Change, "node_id", unsafe.ID, "why", unsafe.Why, "todo", unsafe.Todo)
	case errors.As(err, &removed):
		return problem(NodeRemoved, "node_id", removed.ID)
	case errors.As(err, &transfer):
		values := []string{"why", transfer.Why}
		if transfer.ID != "" {
			values = append(values, "node_id", transfer.ID)
		}
		return problem(TransferFailed, values...)
	}
	return nil
}
