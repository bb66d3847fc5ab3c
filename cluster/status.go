package cluster

import (
	"strconv"
	"strings"
	"time"

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
	// ClusterID is empty until the cluster has one (rules 4).
	ClusterID, ClusterName string
	GossipAddress          string
	GossipKeys             []string // fingerprints, the one that encrypts first
	Voter                  bool
	// ClockOffset of this node from the median of the voters that answer, if ClockKnown.
	ClockOffset time.Duration
	ClockKnown  bool
	Disk        DiskStatus
	Started     time.Time
	// NotLeading says what keeps this node from leading; empty: nothing.
	NotLeading string
	// LeaderContact is how long ago the leader was last heard of; 0 on the leader, negative if it never was.
	LeaderContact time.Duration
	// ConfigurationIndex of raft's latest configuration, SnapshotIndex of the newest snapshot; 0: none.
	ConfigurationIndex, SnapshotIndex uint64
}

// DiskStatus is how long the last writes of the log took, fsync included, and how much room there is.
type DiskStatus struct {
	Writes             int64
	P50, P99, Max      time.Duration
	FreeBytes, OfBytes uint64
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
		Started: n.started, SnapshotIndex: n.snapshotIndex(),
		Term: n.raft.CurrentTerm(), LastIndex: n.raft.LastIndex(), CommitIndex: n.raft.CommitIndex(), AppliedIndex: n.machine.applied(),
	}
	s.GossipAddress = n.GossipAddress()
	if n.gossip != nil {
		s.GossipKeys = n.gossip.keys.fingerprints()
	}
	var nodes []*logv1.SetNode
	n.View(func(m *fsm.Machine) {
		nodes, s.ClusterRules = m.Nodes(), m.Rules()
		s.ClusterID, s.ClusterName = m.ClusterID()
	})
	if s.ClusterID == "" {
		s.ClusterName = n.config.ClusterName
	}
	s.Rules = n.ownRules()
	s.ConfigurationIndex = n.machine.configuration.index.Load()
	for _, server := range n.servers() {
		s.Voter = s.Voter || isVoter(server) && string(server.ID) == n.id
		s.Members = append(s.Members, Member{
			ID: string(server.ID), RaftAddress: string(server.Address), APIAddress: nodeOf(nodes, string(server.ID)).GetApiAddress(),
			Voter: isVoter(server), Leader: server.ID == leader,
			Rules: n.rulesOf(nodes, string(server.ID)),
		})
	}
	if contact := n.raft.LastContact(); s.LeaderID == n.id {
		s.LeaderContact = 0
	} else if s.LeaderContact = -1; !contact.IsZero() {
		s.LeaderContact = time.Since(contact)
	}
	s.Disk, s.NotLeading = n.disk.status(), n.NotLeading()
	n.health.mu.Lock()
	s.ClockOffset, s.ClockKnown = n.health.clock.offset, n.health.clock.known
	n.health.mu.Unlock()
	if l := n.leading.Load(); l != nil {
		s.Parked, s.Queued = l.counts()
	}
	s.NotReady = n.notReady(len(s.Members) > 0)
	return s
}

// notReady says why this node does not serve, as far as it can tell by itself.
func (n *Node) notReady(member bool) string {
	switch fault := n.fault.Load(); {
	case fault != nil:
		return "this node has stopped: " + (*fault).Error()
	case n.isClosing():
		return "this node is shutting down"
	case !member && n.forming() != "":
		return n.forming()
	case !member:
		return "this node belongs to no cluster yet: start it with --bootstrap, --bootstrap-expect or --join"
	case n.gossip != nil:
		return n.gossip.notReady()
	}
	return ""
}

// snapshotIndex of the newest snapshot; 0: none. raft tells it as text only.
func (n *Node) snapshotIndex() uint64 {
	index, _ := strconv.ParseUint(n.raft.Stats()["last_snapshot_index"], 10, 64)
	return index
}

func (n *Node) isClosing() bool {
	select {
	case <-n.closing:
		return true
	default:
		return false
	}
}
