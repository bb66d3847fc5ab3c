package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// memberLook is how often the leader looks whether a node can be promoted.
	memberLook = 100 * time.Millisecond
	// promoteBehind is how many log entries a node may lack to count as caught up.
	promoteBehind = 256
	// promoteLooks is how many looks in a row must find it so.
	promoteLooks = 3
	// contactAge is how old the last good answer of a healthy node may be.
	contactAge = time.Second
)

// AddNode makes a node a member, or changes the addresses of one. A new node gets the log first and becomes a voter when it
// has caught up and answers; AddNode does not wait for that. Leader only; may be repeated.
// rules are the highest that the node can apply; 0: it does not say.
func (n *Node) AddNode(ctx context.Context, id, raftAddress, apiAddress string, rules uint32) error {
	if id == "" || raftAddress == "" {
		return errors.New("cluster: a node needs an id and a raft address")
	}
	if !n.IsLeader() {
		return ErrNotLeader
	}
	if err := n.checkRules(id, rules); err != nil {
		return err
	}
	known := false
	for _, server := range n.servers() {
		switch {
		case string(server.ID) == id && string(server.Address) == raftAddress:
			known = true
		case string(server.ID) == id:
			n.log.Info("node moves", "id", id, "from", server.Address, "to", raftAddress)
		case string(server.Address) == raftAddress:
			return fmt.Errorf("cluster: node %s has the raft address %s: remove it before another node takes its address", server.ID, raftAddress)
		}
	}
	if !known {
		// For a voter this changes the address and nothing else.
		err := await(ctx, n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(raftAddress), 0, 0))
		if err != nil {
			return membershipError(ctx, err)
		}
	}
	return n.recordNode(ctx, &logv1.SetNode{Id: id, RaftAddress: raftAddress, ApiAddress: apiAddress, Rules: rules})
}

func membershipError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrRaftShutdown),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return proposalError(err)
	default:
		return fmt.Errorf("cluster: change of the members: %w", err)
	}
}

// recordNode writes a node's addresses and rules into the replicated state, unless they are there.
func (n *Node) recordNode(ctx context.Context, node *logv1.SetNode) error {
	var same bool
	n.View(func(m *fsm.Machine) {
		known := nodeOf(m.Nodes(), node.GetId())
		same = known != nil && known.GetRaftAddress() == node.GetRaftAddress() && known.GetApiAddress() == node.GetApiAddress() &&
			known.GetRules() == node.GetRules()
	})
	if same {
		return nil
	}
	result, err := n.Propose(ctx, &logv1.Command{Op: &logv1.Command_SetNode{SetNode: node}})
	if err == nil && result.GetRefusal() != nil {
		err = fmt.Errorf("cluster: the addresses of node %s were refused: %v", node.GetId(), result.GetRefusal())
	}
	return err
}

// servers of raft's latest configuration.
func (n *Node) servers() []raft.Server {
	future := n.raft.GetConfiguration() // answered at once, from memory
	if future.Error() != nil {
		return nil
	}
	return future.Configuration().Servers
}

func isVoter(server raft.Server) bool { return server.Suffrage == raft.Voter }

// keepMembers records the leader's own addresses and promotes nodes that have caught up, until the leadership ends.
func (l *leadership) keepMembers() {
	n := l.node
	own := &logv1.SetNode{Id: n.id, RaftAddress: string(n.wire.LocalAddr()), ApiAddress: n.config.APIAdvertise, Rules: n.ownRules()}
	recorded := false
	n.wire.forget()
	looks := make(map[raft.ServerID]int)
	timer := time.NewTicker(memberLook)
	defer timer.Stop()
	for {
		if !recorded {
			recorded = n.recordNode(l.ctx, own) == nil
		}
		l.raiseRules()
		for _, server := range n.servers() {
			if string(server.ID) == n.id {
				l.moveSelf(server)
			} else {
				l.promote(server, looks)
			}
		}
		select {
		case <-timer.C:
		case <-l.ctx.Done():
			return
		}
	}
}

// moveSelf corrects this leader's own address after a restart elsewhere: there is no leader that it could ask.
func (l *leadership) moveSelf(server raft.Server) {
	here := l.node.wire.LocalAddr()
	if server.Address == here {
		return
	}
	if err := await(l.ctx, l.node.raft.AddVoter(server.ID, here, 0, 0)); err != nil && l.ctx.Err() == nil {
		l.node.log.Warn("own address was not corrected", "error", err)
	}
}

// promote a node that was caught up and healthy at several looks.
func (l *leadership) promote(server raft.Server, looks map[raft.ServerID]int) {
	n := l.node
	if isVoter(server) {
		delete(looks, server.ID)
		return
	}
	contact := n.wire.contact(server.ID)
	if time.Since(contact.at) > contactAge || contact.lastIndex+promoteBehind < n.raft.LastIndex() {
		looks[server.ID] = 0
		return
	}
	if looks[server.ID]++; looks[server.ID] < promoteLooks {
		return
	}
	looks[server.ID] = 0
	if err := await(l.ctx, n.raft.AddVoter(server.ID, server.Address, 0, 0)); err != nil && l.ctx.Err() == nil {
		n.log.Warn("promotion failed", "node", server.ID, "error", err)
	}
}
