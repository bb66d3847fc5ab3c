package cluster

import (
	"slices"
	"time"
)

// tellEvery is how often a node looks whether what it says of itself in gossip is still true.
const tellEvery = 250 * time.Millisecond

// GossipAddress of this node; empty without gossip.
func (n *Node) GossipAddress() string {
	if n.gossip == nil {
		return ""
	}
	return n.gossip.address
}

// Gossiping gives the other nodes that gossip holds for alive.
func (n *Node) Gossiping() []GossipMember {
	if n.gossip == nil {
		return nil
	}
	return n.gossip.members()
}

// Discovered gossip addresses of other nodes are asked for more from now on.
func (n *Node) Discovered(addresses []string) {
	if n.gossip != nil {
		n.gossip.addSeeds(addresses)
	}
}

// ReloadGossipKeys reads the file of keys again; on an error the former keys stay.
func (n *Node) ReloadGossipKeys() error {
	if n.gossip == nil {
		return nil
	}
	return n.gossip.reloadKeys(true)
}

func (n *Node) startGossip() (err error) {
	if n.config.Gossip.Listen == "" {
		return nil
	}
	n.gossip, err = openGossip(n.config, n.gossipMeta("", false), n.log.Named("gossip"))
	return err
}

func (n *Node) closeGossip() error {
	if n.gossip == nil {
		return nil
	}
	return n.gossip.close()
}

func (n *Node) gossipMeta(cluster string, fresh bool) gossipMeta {
	return gossipMeta{
		id: n.id, cluster: cluster, process: n.process, fresh: fresh, expect: uint32(n.config.BootstrapExpect), rules: n.ownRules(),
		raft: string(n.wire.LocalAddr()), api: n.config.APIAdvertise,
	}
}

// tellGossip keeps what the others hear of this node true.
func (n *Node) tellGossip() {
	if n.gossip == nil {
		return
	}
	look := time.NewTicker(tellEvery)
	defer look.Stop()
	for {
		if err := n.gossip.tell(n.gossipMeta(n.clusterID(), n.Fresh())); err != nil {
			n.log.Debug("the others were not told at once what this node is", "error", err)
		}
		select {
		case <-n.life.Done():
			return
		case <-look.C:
		}
	}
}

// Located tells whether the configuration and the replicated state have this node's present addresses. It is true of a node that is no member.
func (n *Node) Located() bool {
	status := n.Status()
	i := slices.IndexFunc(status.Members, func(m Member) bool { return m.ID == n.id })
	return i < 0 || status.Members[i].RaftAddress == status.RaftAddress && status.Members[i].APIAddress == status.APIAddress
}
