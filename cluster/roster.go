package cluster

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// healthyAge is how old the last answer of a voter may be that counts as healthy when the members change.
	healthyAge = 3 * time.Second
	// memberRules are those since which the state remembers who was removed, demoted and succeeded.
	memberRules = 4
)

// membership is what a node knows of changes to the members, beside raft's configuration.
type membership struct {
	changing chan struct{} // has room for the one change under way
	leaving  atomic.Bool   // this node asked to be removed
	left     chan struct{} // closed when it was
	once     sync.Once     // of the removal of this node
}

func newMembership() *membership {
	return &membership{changing: make(chan struct{}, 1), left: make(chan struct{})}
}

// hold lets nobody else change the members until release is called.
func (m *membership) hold(ctx context.Context) (release func(), err error) {
	select {
	case m.changing <- struct{}{}:
		return func() { <-m.changing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tryHold is hold for duties that come again: false when another change is under way.
func (m *membership) tryHold() (release func(), ok bool) {
	select {
	case m.changing <- struct{}{}:
		return func() { <-m.changing }, true
	default:
		return nil, false
	}
}

// configuration is the newest committed configuration of raft. It implements raft.ConfigurationStore for the machine.
type configuration struct {
	self  raft.ServerID
	index atomic.Uint64
	// expelled is told when this node was a member and is none any longer; has room for one signal.
	expelled chan struct{}
	member   bool // raft's goroutine alone
}

func newConfiguration() *configuration { return &configuration{expelled: make(chan struct{}, 1)} }

// StoreConfiguration is called by raft when a configuration is committed.
func (c *configuration) StoreConfiguration(index uint64, servers raft.Configuration) {
	c.seen(index)
	switch _, in := serverOf(servers.Servers, c.self); {
	case in:
		c.member = true
	case c.member:
		c.member = false
		poke(c.expelled)
	}
}

// seen a configuration at this index. It only rises.
func (c *configuration) seen(index uint64) {
	for {
		now := c.index.Load()
		if index <= now || c.index.CompareAndSwap(now, index) {
			return
		}
	}
}

// openedSnapshots notes the configuration of every snapshot from which raft begins: the log before it is never applied here.
type openedSnapshots struct {
	raft.SnapshotStore
	configuration *configuration
}

func (s openedSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, content, err := s.SnapshotStore.Open(id)
	if err == nil {
		s.configuration.seen(meta.ConfigurationIndex)
	}
	return meta, content, err
}

// roster is the members as one change sees them.
type roster struct {
	index   uint64 // of the configuration
	servers []raft.Server
}

// roster of now. The index is read first: when the members change in between, raft refuses what was made from the older one.
func (n *Node) roster() roster {
	index := n.machine.configuration.index.Load()
	return roster{index, n.servers()}
}

func serverOf(servers []raft.Server, id raft.ServerID) (raft.Server, bool) {
	at := slices.IndexFunc(servers, func(s raft.Server) bool { return s.ID == id })
	if at < 0 {
		return raft.Server{}, false
	}
	return servers[at], true
}

// without a server.
func (r roster) without(id raft.ServerID) []raft.Server {
	return slices.DeleteFunc(slices.Clone(r.servers), func(s raft.Server) bool { return s.ID == id })
}

// with a server as a voter, or as a non-voter.
func (r roster) with(id raft.ServerID, suffrage raft.ServerSuffrage) []raft.Server {
	servers := slices.Clone(r.servers)
	for i := range servers {
		if servers[i].ID == id {
			servers[i].Suffrage = suffrage
		}
	}
	return servers
}

// answers tells whether a node answered this leader a short while ago.
func (n *Node) answers(id raft.ServerID) bool {
	return string(id) == n.id || time.Since(n.wire.contact(id).answered) <= healthyAge
}

// record of a node in the replicated state; nil: none.
func (n *Node) record(id string) (node *logv1.SetNode) {
	n.View(func(m *fsm.Machine) { node = nodeOf(m.Nodes(), id) })
	return node
}

// mark changes the record of a node. Leader only, under rules 4.
func (n *Node) mark(ctx context.Context, server raft.Server, change func(*logv1.SetNode)) error {
	node := &logv1.SetNode{Id: string(server.ID), RaftAddress: string(server.Address)}
	if known := n.record(node.GetId()); known != nil {
		node = proto.CloneOf(known)
	}
	change(node)
	return n.setNode(ctx, node)
}

// rulesInForce of this leadership; 0: this node does not lead.
func (n *Node) rulesInForce() uint32 {
	if l := n.leading.Load(); l != nil {
		return l.rules.Load()
	}
	return 0
}
