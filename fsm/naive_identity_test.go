package fsm_test

import (
	"fmt"
	"slices"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// identityCommand runs what rules 4 add, and the nodes.
func (n *naive) identityCommand(c *logv1.Command) (text string, ok bool) {
	switch op := c.GetOp().(type) {
	case *logv1.Command_SetClock:
		if op.SetClock.GetNowMs() > n.wall {
			return "refused invalid", true
		}
		n.wall = op.SetClock.GetNowMs()
	case *logv1.Command_NameCluster:
		id, name := op.NameCluster.GetId(), op.NameCluster.GetName()
		if id == "" || name == "" || n.clusterID != "" && (id != n.clusterID || name != n.clusterName) {
			return "refused invalid", true
		}
		n.clusterID, n.clusterName = id, name
	case *logv1.Command_ForgetNode:
		id := op.ForgetNode.GetId()
		if id == "" {
			return "refused invalid", true
		}
		delete(n.nodes, id)
		if !slices.Contains(n.removed, id) {
			n.removed = append(n.removed, id)
		}
	case *logv1.Command_SetNode:
		switch id := op.SetNode.GetId(); {
		case id == "":
			return "refused invalid", true
		case slices.Contains(n.removed, id):
			return "refused node_removed", true
		default:
			n.nodes[id] = op.SetNode.GetRaftAddress()
		}
	default:
		return "", false
	}
	return "done", true
}

// sameIdentity compares clocks, name, nodes and removed nodes, after a batch.
func sameIdentity(m *fsm.Machine, n *naive) error {
	id, name := m.ClusterID()
	if wall, lease := m.Clocks(); id != n.clusterID || name != n.clusterName || !slices.Equal(m.RemovedNodes(), n.removed) || wall != n.wall || lease != n.lease {
		return fmt.Errorf("cluster %q %q, removed %v, clocks %d %d; should be %q %q, %v, %d %d", id, name, m.RemovedNodes(), wall, lease,
			n.clusterID, n.clusterName, n.removed, n.wall, n.lease)
	}
	for _, node := range m.Nodes() {
		if address, known := n.nodes[node.GetId()]; !known || address != node.GetRaftAddress() {
			return fmt.Errorf("node %v, should be at %q, %v", node, address, known)
		}
	}
	if len(m.Nodes()) != len(n.nodes) {
		return fmt.Errorf("%d nodes, should be %d", len(m.Nodes()), len(n.nodes))
	}
	return nil
}
