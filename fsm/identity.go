package fsm

import (
	"fmt"
	"slices"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// mostRemoved is how many removed nodes are remembered; beyond it the one that was removed first is forgotten. It belongs to Rules.
const mostRemoved = 1024

// nameCluster gives the cluster its identity, once. The same one again changes nothing: two leaders may have sent it.
func (m *Machine) nameCluster(n *logv1.NameCluster, res *logv1.Result) {
	if res.Refusal = checkIdentity(n.GetId(), n.GetName()); res.Refusal != nil {
		return
	}
	switch {
	case m.clusterID == "":
		m.clusterID, m.clusterName = n.GetId(), n.GetName()
		m.event(Event{Kind: SettingsChanged})
	case n.GetId() != m.clusterID:
		res.Refusal = invalid("id", n.GetId(), m.clusterID)
	case n.GetName() != m.clusterName:
		res.Refusal = invalid("name", n.GetName(), m.clusterName)
	}
}

func checkIdentity(id, name string) *logv1.Refusal {
	return firstOf(checkText("id", id, 1, mostName), checkText("name", name, 1, mostName))
}

func (m *Machine) setNode(n *logv1.SetNode, res *logv1.Result) {
	if res.Refusal = checkNode(n); res.Refusal != nil {
		return
	}
	if m.Removed(n.GetId()) {
		res.Refusal = refuse(logv1.Reason_REASON_NODE_REMOVED, "node_id", n.GetId())
		return
	}
	if !has(m.nodes, n.GetId()) {
		if res.Refusal = full("nodes", int64(m.nodes.Len()), mostNodes); res.Refusal != nil {
			return
		}
	}
	m.nodes.Set(n.GetId(), n)
	m.event(Event{Kind: NodeChanged})
}

func checkNode(n *logv1.SetNode) *logv1.Refusal {
	return firstOf(checkText("id", n.GetId(), 1, mostName), checkText("raft_address", n.GetRaftAddress(), 0, mostText),
		checkText("api_address", n.GetApiAddress(), 0, mostText))
}

// forgetNode remembers also the id of a node that never had a record: it was a member of raft's configuration alone.
func (m *Machine) forgetNode(id string, res *logv1.Result) {
	if res.Refusal = checkText("id", id, 1, mostName); res.Refusal != nil {
		return
	}
	if m.Removed(id) {
		return
	}
	m.nodes.Delete(id)
	from := max(0, len(m.removed)+1-mostRemoved)
	m.removed = append(slices.Clone(m.removed[from:]), id) // a snapshot may hold the former list
	m.event(Event{Kind: NodeChanged})
}

// checkIdentity of a state: what was set came through the commands.
func (c *check) checkIdentity() error {
	m := c.m
	if (m.clusterID != "" || m.clusterName != "") && checkIdentity(m.clusterID, m.clusterName) != nil {
		return fmt.Errorf("the cluster has the id %q and the name %q", m.clusterID, m.clusterName)
	}
	if m.rules < 4 && (m.clusterID != "" || len(m.removed) > 0) {
		return fmt.Errorf("rules %d know no identity and no removed nodes", m.rules)
	}
	if len(m.removed) > mostRemoved {
		return fmt.Errorf("%d removed nodes", len(m.removed))
	}
	seen := map[string]bool{}
	for _, id := range m.removed {
		if seen[id] || checkText("id", id, 1, mostName) != nil || has(m.nodes, id) {
			return fmt.Errorf("the removed node %q is twice there, has a record, or is none", id)
		}
		seen[id] = true
	}
	return nil
}

// ClusterID is the identity of the cluster: a random id that no other has, and the name that its operator gave it. Both are empty until the first
// leader whose cluster knows rules 4 has named it; they never change after that.
func (m *Machine) ClusterID() (id, name string) { return m.clusterID, m.clusterName }

// Removed tells whether the node with this id was removed, and 1,024 others were not after it.
func (m *Machine) Removed(id string) bool { return slices.Contains(m.removed, id) }

// RemovedNodes lists the ids of removed nodes, oldest first, at most 1,024. The list must not be changed.
func (m *Machine) RemovedNodes() []string { return m.removed }
