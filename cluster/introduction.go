package cluster

import "github.com/fairlane-scheduler/fairlane/fsm"

// Introduction is what a node says of itself to another one.
type Introduction struct {
	ID string
	// Process is a random number of this process: the same id under another number is a restart, or a copy of the data directory.
	Process                uint64
	ClusterID, ClusterName string // the id is empty until the node knows of one
	Fresh                  bool   // no log and no configuration
	BootstrapExpect        int
	RaftAddress            string
	APIAddress             string
	GossipAddress          string
	ClockMillis            int64
	LeaderID               string
	Rules                  uint32
	AppliedIndex           uint64
}

// Introduction of this node. It needs no leader and asks nobody.
func (n *Node) Introduction() Introduction {
	_, leader := n.raft.LeaderWithID()
	return Introduction{
		ID: n.id, Process: n.process, ClusterID: n.clusterID(), ClusterName: n.config.ClusterName,
		Fresh: n.Fresh(), BootstrapExpect: n.config.BootstrapExpect,
		RaftAddress: string(n.wire.LocalAddr()), APIAddress: n.config.APIAdvertise, GossipAddress: n.GossipAddress(),
		ClockMillis: n.config.Clock.WallMillis(), LeaderID: string(leader), Rules: n.ownRules(), AppliedIndex: n.machine.applied(),
	}
}

// Process is a random number of this process.
func (n *Node) Process() uint64 { return n.process }

// Fresh tells whether this node has neither a log nor a configuration: it belongs to no cluster.
func (n *Node) Fresh() bool { return n.raft.LastIndex() == 0 && len(n.servers()) == 0 }

// clusterID is empty until the cluster has one.
func (n *Node) clusterID() (id string) {
	n.View(func(m *fsm.Machine) { id, _ = m.ClusterID() })
	return id
}

// WasRemoved tells whether this node's own state remembers that the node was removed from the cluster.
func (n *Node) WasRemoved(id string) (removed bool) {
	n.View(func(m *fsm.Machine) { removed = m.Removed(id) })
	return removed
}
