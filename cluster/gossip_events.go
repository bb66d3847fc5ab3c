package cluster

import (
	"fmt"
	"net"

	"github.com/hashicorp/memberlist"
)

// gossipDelegate says what this node is. Messages of its own gossip has none: what others send as such is dropped.
type gossipDelegate struct{ *gossip }

func (d gossipDelegate) NodeMeta(int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.own
}

func (gossipDelegate) NotifyMsg([]byte)                {}
func (gossipDelegate) GetBroadcasts(int, int) [][]byte { return nil }
func (gossipDelegate) LocalState(bool) []byte          { return nil }
func (gossipDelegate) MergeRemoteState([]byte, bool)   {}

// gossipEvents keeps the list of those that live. memberlist calls it while it holds its own lock, so nothing here may call memberlist.
type gossipEvents struct{ *gossip }

func (e gossipEvents) NotifyJoin(n *memberlist.Node)   { e.saw(n) }
func (e gossipEvents) NotifyUpdate(n *memberlist.Node) { e.saw(n) }

func (e gossipEvents) saw(n *memberlist.Node) {
	meta, err := decodeMeta(n.Meta)
	if n.Name == e.id || err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.alive[n.Name] = GossipMember{
		ID: meta.id, ClusterID: meta.cluster, Process: meta.process, Fresh: meta.fresh, Expect: meta.expect, Rules: meta.rules,
		RaftAddress: meta.raft, APIAddress: meta.api, GossipAddress: n.Address(),
	}
	delete(e.moved, n.Name)
	e.nudge()
}

func (e gossipEvents) NotifyLeave(n *memberlist.Node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.alive, n.Name)
	delete(e.moved, n.Name)
	e.nudge()
}

// NotifyAlive refuses nodes that do not belong here. The label keeps other names out; this keeps out another cluster with the same name.
func (e gossipEvents) NotifyAlive(n *memberlist.Node) error {
	meta, err := decodeMeta(n.Meta)
	if err == nil && meta.id != n.Name {
		err = fmt.Errorf("node %s says that it is %s", n.Name, meta.id)
	}
	if err == nil {
		e.mu.Lock()
		if own := e.cluster; own != "" && meta.cluster != "" && own != meta.cluster {
			err = fmt.Errorf("it is a node of cluster %s, this one is %s: give one of the clusters another --cluster-name", meta.cluster, own)
		}
		e.mu.Unlock()
	}
	if err != nil {
		e.refused.warn(source(n.Address()), "gossip node", "a node was refused", "error", err)
	}
	return err
}

// NotifyConflict is told of an id at two addresses: a node that came back elsewhere before it was found dead, or a copy of a data directory.
func (e gossipEvents) NotifyConflict(existing, other *memberlist.Node) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if existing.Name != e.id {
		e.moved[existing.Name] = true
		return
	}
	at := net.JoinHostPort(other.Addr.String(), fmt.Sprint(other.Port))
	if _, known := e.rivals[at]; !known && len(e.rivals) < peersKept {
		e.rivals[at] = 0
	}
}
