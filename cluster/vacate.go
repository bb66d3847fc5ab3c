package cluster

import (
	"context"

	"github.com/hashicorp/raft"
)

// nowhereOf gives the address of a node in the configuration between that somebody else was found at its former one and that its own is corrected: raft
// wants every address once, and nodes may have changed places in a circle. Meanwhile raft calls the node where gossip says it is.
func nowhereOf(id raft.ServerID) raft.ServerAddress {
	return raft.ServerAddress(string(id) + ".moved:0")
}

// vacate the address for the node that is there now, and give the members as they are then. sure: nobody else can be there. Else the former holder
// must live elsewhere, as gossip knows. The caller holds the members.
func (n *Node) vacate(ctx context.Context, r roster, address raft.ServerAddress, id raft.ServerID, sure bool) (roster, error) {
	for _, holder := range r.servers {
		if holder.Address != address || holder.ID == id {
			continue
		}
		if !sure && !n.livesElsewhere(holder) {
			return r, &UnsafeChangeError{
				Change: "joining", ID: string(id), Why: "in the configuration node " + string(holder.ID) + " has its raft address " + string(address),
				Todo: "Remove that node first, or start it at its new address.",
			}
		}
		n.log.Info("a node is no longer where another one is now", "node", holder.ID, "address", address, "other", id)
		// For a voter this changes the address and nothing else.
		if err := n.reconfigure(ctx, r, n.raft.AddNonvoter(holder.ID, nowhereOf(holder.ID), r.index, 0)); err != nil {
			return r, err
		}
		return n.roster(), nil
	}
	return r, nil
}

// livesElsewhere tells whether a member is known to run at another address than that of the configuration.
func (n *Node) livesElsewhere(server raft.Server) bool {
	at, err := n.find(server.ID, server.Address)
	return err == nil && at != server.Address
}
