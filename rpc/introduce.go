package rpc

import (
	"context"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// Introduce answers for this node alone and at once, whether or not there is a leader.
func (s *clusterService) Introduce(_ context.Context, r *v1.IntroduceRequest) (*v1.IntroduceResponse, error) {
	if err := checkIntroduce(r); err != nil {
		return nil, err
	}
	self := s.node.Introduction()
	return &v1.IntroduceResponse{
		NodeId: self.ID, Process: self.Process, ClusterName: self.ClusterName, ClusterId: self.ClusterID,
		Fresh: self.Fresh, BootstrapExpect: uint32(self.BootstrapExpect),
		RaftAddress: self.RaftAddress, ApiAddress: self.APIAddress, GossipAddress: self.GossipAddress,
		ClockMs: self.ClockMillis, LeaderId: self.LeaderID, Rules: self.Rules, AppliedIndex: self.AppliedIndex,
		LeaderUnreachableMs: s.node.LeaderUnreachable().Milliseconds(), NotLeading: s.node.NotLeading() != "",
		Removed: r.GetNodeId() != "" && s.node.WasRemoved(r.GetNodeId()),
	}, nil
}
