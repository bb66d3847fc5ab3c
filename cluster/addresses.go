package cluster

import (
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// finder gives the present address of a node whose address in the configuration is the given one. It fails when that address is another node's
// now: raft does not say whom it talks to, and the other's answers would be taken for the node's.
type finder func(id raft.ServerID, configured raft.ServerAddress) (raft.ServerAddress, error)

// find a node by what gossip says of those that live; without a word of it the configuration counts. So nodes that all came back at new addresses
// elect a leader, who then corrects the configuration. other is a node that gossip knows at the configured address instead; empty: none.
func (g *gossip) find(id raft.ServerID, configured raft.ServerAddress) (at raft.ServerAddress, other string) {
	if g == nil {
		return configured, ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if m, ok := g.alive[string(id)]; ok && !g.moved[string(id)] && m.RaftAddress != "" {
		return raft.ServerAddress(m.RaftAddress), ""
	}
	for _, m := range g.alive {
		if m.RaftAddress == string(configured) && m.ID != string(id) {
			return configured, m.ID
		}
	}
	return configured, ""
}

// find is the finder of this node; raft, which asks it, starts after gossip. A node that was removed has ended, whatever gossip still says: its successor may have its address.
func (n *Node) find(id raft.ServerID, configured raft.ServerAddress) (raft.ServerAddress, error) {
	at, other := n.gossip.find(id, configured)
	if other != "" && !n.WasRemoved(other) {
		return "", fmt.Errorf("cluster: node %s is not at %s any more: node %s is", id, configured, other)
	}
	return at, nil
}

// The methods of raft's transport that name a node look for it first. AppendEntries is in transport.go.

func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, request *raft.RequestVoteRequest, answer *raft.RequestVoteResponse) error {
	at, err := t.where(id, target)
	if err != nil {
		return err
	}
	return t.NetworkTransport.RequestVote(id, at, request, answer)
}

// RequestPreVote makes the transport one that raft asks for its vote before the vote.
func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, request *raft.RequestPreVoteRequest, answer *raft.RequestPreVoteResponse) error {
	at, err := t.where(id, target)
	if err != nil {
		return err
	}
	return t.NetworkTransport.RequestPreVote(id, at, request, answer)
}

// InstallSnapshot sends a snapshot, and remembers that the node answered.
func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, request *raft.InstallSnapshotRequest, answer *raft.InstallSnapshotResponse, data io.Reader) error {
	at, err := t.where(id, target)
	if err != nil {
		return err
	}
	err = t.NetworkTransport.InstallSnapshot(id, at, request, answer, data)
	if err == nil {
		t.heard(id)
	}
	return err
}

// TimeoutNow hands leadership over.
func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, request *raft.TimeoutNowRequest, answer *raft.TimeoutNowResponse) error {
	at, err := t.where(id, target)
	if err != nil {
		return err
	}
	return t.NetworkTransport.TimeoutNow(id, at, request, answer)
}

// AppendEntriesPipeline is refused by the transport anyway: see MaxRPCsInFlight.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	at, err := t.where(id, target)
	if err != nil {
		return nil, err
	}
	return t.NetworkTransport.AppendEntriesPipeline(id, at)
}
