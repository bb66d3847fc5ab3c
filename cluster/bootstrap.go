package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/raft"
)

// FreshSet is what a node that forms a cluster with others sees.
type FreshSet struct {
	// IDs of the fresh nodes that expect as many as this one, itself included, sorted.
	IDs []string
	// Members by gossip: the others of the set, and those of a cluster that exists.
	Others, Cluster []GossipMember
}

// FreshSet of this node, by gossip.
func (n *Node) FreshSet() FreshSet {
	set := FreshSet{IDs: []string{n.id}}
	if n.gossip == nil {
		return set
	}
	for _, m := range n.gossip.members() {
		switch {
		case !m.Fresh:
			set.Cluster = append(set.Cluster, m)
		case int(m.Expect) == n.config.BootstrapExpect:
			set.IDs, set.Others = append(set.IDs, m.ID), append(set.Others, m)
		}
	}
	slices.Sort(set.IDs)
	return set
}

// ConfirmBootstrap binds this node to a set of fresh nodes, if it sees the same; else it says why not. What it is bound to it stays bound to until
// the process ends, so two sets that share a node never both get all confirmations.
func (n *Node) ConfirmBootstrap(ids []string, clusterName string) (why string) {
	seen := n.FreshSet()
	n.bound.Lock()
	defer n.bound.Unlock()
	switch {
	case clusterName != n.config.ClusterName:
		return fmt.Sprintf("this node is of cluster %q", n.config.ClusterName)
	case !n.Fresh():
		return "this node belongs to a cluster already"
	case n.config.BootstrapExpect != len(ids):
		return fmt.Sprintf("this node expects %d nodes, not %d", n.config.BootstrapExpect, len(ids))
	case n.bound.ids != nil && !slices.Equal(n.bound.ids, ids):
		return "this node has confirmed another set: " + strings.Join(n.bound.ids, ", ")
	case len(seen.Cluster) > 0:
		return "a cluster exists: node " + seen.Cluster[0].ID + " belongs to it"
	case !slices.Equal(seen.IDs, ids):
		return "this node sees another set: " + strings.Join(seen.IDs, ", ")
	}
	n.bound.ids = slices.Clone(ids)
	return ""
}

// Forming says what keeps the cluster from being formed, for people.
func (n *Node) Forming(why string) {
	n.bound.Lock()
	defer n.bound.Unlock()
	if why != n.bound.why && why != "" {
		n.log.Warn("no cluster is formed yet", "why", why)
	}
	n.bound.why = why
}

// forming is the reason that was said last.
func (n *Node) forming() string {
	n.bound.Lock()
	defer n.bound.Unlock()
	return n.bound.why
}

// Form a cluster of this node and the others, all voters. All of them must have confirmed.
func (n *Node) Form(ctx context.Context, others []GossipMember) error {
	configuration := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(n.id), Address: n.wire.LocalAddr()}}}
	for _, m := range others {
		configuration.Servers = append(configuration.Servers, raft.Server{ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.RaftAddress)})
	}
	err := await(ctx, n.raft.BootstrapCluster(configuration))
	if errors.Is(err, raft.ErrCantBootstrap) {
		return nil // it is done already
	}
	if err != nil {
		return fmt.Errorf("cluster: bootstrap: %w", err)
	}
	n.log.Info("a cluster was formed", "nodes", len(configuration.Servers))
	return nil
}
