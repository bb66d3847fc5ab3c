package cluster

import (
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Status is what a node knows of itself and of the cluster, without asking anybody.
type Status struct {
	ID          string
	Role        string // leader, follower, candidate or shutdown
	LeaderID    string
	RaftAddress string
	APIAddress  string
	LogStore    string
	Term        uint64
	// LastIndex of the log, CommitIndex and AppliedIndex; the last is that of the last batch in the state.
	LastIndex, CommitIndex, AppliedIndex uint64
	Members                              []Member
	// Rules that this node can apply, and those of the newest batch.
	Rules, ClusterRules uint32
	// Parked claims and queued commands on this node; zero unless it leads.
	Parked, Queued int
	// NotReady says why this node does not serve; empty: it does.
	NotReady string
}

// Member is one node of raft's latest configuration.
type Member struct {
	ID          string
	RaftAddress string
	APIAddress  string
	Voter       bool
	Leader      bool
	// Rules that the node can apply, as far as this one knows.
	Rules uint32
}

// Status of this node.
func (n *Node) Status() Status {
	_, leader := n.raft.LeaderWithID()
	s := Status{
		ID: n.id, Role: strings.ToLower(n.raft.State().String()), LeaderID: string(leader),
		RaftAddress: string(n.wire.LocalAddr()), APIAddress: n.config.APIAdvertise, LogStore: n.config.LogStore,
		Term: n.raft.CurrentTerm(), LastIndex: n.raft.LastIndex(), CommitIndex: n.raft.CommitIndex(), AppliedIndex: n.machine.applied(),
	}
	var nodes []*logv1.SetNode
	n.View(func(m *fsm.Machine) { nodes, s.ClusterRules = m.Nodes(), m.Rules() })
	s.Rules = n.ownRules()
	for _, server := range n.servers() {
		s.Members = append(s.Members, Member{
			ID: string(server.ID), RaftAddress: string(server.Address), APIAddress: nodeOf(nodes, string(server.ID)).GetApiAddress(),
			Voter: isVoter(server), Leader: server.ID == leader,
			Rules: n.rulesOf(nodes, string(server.ID)),
		})
	}
	if l := n.leading.Load(); l != nil {
		s.Parked, s.Queued = l.counts()
	}
	switch fault := n.fault.Load(); {
	case fault != nil:
		s.NotReady = "this node has stopped: " + (*fault).Error()
	case n.isClosing():
		s.NotReady = "this node is shutting down"
	case len(s.Members) == 0:
		s.NotReady = "this node belongs to no cluster yet: start it with --bootstrap or --join"
	}
	return s
}

func (n *Node) isClosing() bool {
	select {
	case <-n.closing:
		return true
	default:
		return false
	}
}
