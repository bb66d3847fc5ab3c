package cluster

import (
	"context"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	"github.com/fairlane-scheduler/fairlane/fsm"
)

// InsideRules are the lowest of a node that serves calls on the port between nodes; older ones serve them at their API only.
const InsideRules = 4

// insideTime is how long a connection to another node may take, the handshake included.
const insideTime = time.Second

// Calls gives the connections of other nodes that speak HTTP. They are closed by Shutdown.
func (n *Node) Calls() net.Listener { return n.wire.port.calls }

// Certs of this node; nil: no TLS.
func (n *Node) Certs() *certs.Bundle { return n.config.Certs }

// DialInside makes a connection to the port between nodes at an address, for calls over HTTP, with TLS if this node has it. It takes at most a second.
func (n *Node) DialInside(ctx context.Context, _, address string) (net.Conn, error) {
	limit := insideTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	return n.wire.stream.Dial(raft.ServerAddress(address), limit)
}

// LeaderInside gives the address of the leader's port between nodes. serves: it is another node and takes calls there.
func (n *Node) LeaderInside() (raftAddress string, serves bool) {
	at, id := n.raft.LeaderWithID()
	if id == "" || string(id) == n.id {
		return "", false
	}
	n.View(func(m *fsm.Machine) { serves = nodeOf(m.Nodes(), string(id)).GetRules() >= InsideRules })
	return string(at), serves
}
