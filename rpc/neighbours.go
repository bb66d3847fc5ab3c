package rpc

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster"
	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// lookTime is how long a member may take to say who it is.
const lookTime = time.Second

// neighbours asks every other member, each second, how it is, and tells the node what they said, until ctx ends. A slow one does not hold up the
// others, and is asked again when it has answered or its time is over.
func (s *server) neighbours(ctx context.Context) {
	look := time.NewTicker(cluster.AskEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		self := s.node.Introduction()
		request := &v1.IntroduceRequest{NodeId: self.ID, Process: self.Process, ClusterName: self.ClusterName}
		var asking sync.WaitGroup
		for _, member := range s.node.Status().Members {
			if member.ID != self.ID {
				asking.Go(func() { s.ask(ctx, member, request) })
			}
		}
		asking.Wait()
	}
}

// ask one member. A node of a former version answers that it does not know the call: it is there, and nothing is known of it.
func (s *server) ask(ctx context.Context, member cluster.Member, request *v1.IntroduceRequest) {
	p := s.member(member)
	if p == nil {
		return // nobody knows its address yet
	}
	limit, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	began := time.Now()
	said, err := p.cluster.Introduce(limit, request)
	took := time.Since(began)
	switch {
	case ctx.Err() != nil:
	case err == nil && said.GetNodeId() == member.ID && said.GetRemoved():
		// A leader sends nothing to a node that it has removed: its own log may never say so.
		s.node.Expelled("node " + member.ID + " says so")
	case err == nil && said.GetNodeId() == member.ID:
		s.node.Heard(cluster.Neighbour{
			ID: member.ID, ClockMillis: said.GetClockMs(), RoundTrip: took, LeaderID: said.GetLeaderId(),
			LeaderUnreachable: time.Duration(said.GetLeaderUnreachableMs()) * time.Millisecond, NotLeading: said.GetNotLeading(),
		})
	case err != nil && connect.IsWireError(err):
		s.node.Reached(member.ID)
	default:
		s.node.Missed(member.ID)
	}
}

// member gives the other node for calls between nodes; nil while its address is not known.
func (s *server) member(m cluster.Member) *peer {
	if m.Rules >= cluster.InsideRules && m.RaftAddress != "" {
		return s.peers.inside(m.RaftAddress)
	}
	if m.APIAddress == "" {
		return nil
	}
	return s.peers.at(m.APIAddress)
}
