package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// memberLook is how often the leader looks whether a node can be promoted.
	memberLook = 100 * time.Millisecond
	// promoteBehind is how many log entries a node may lack to count as caught up.
	promoteBehind = 256
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
	release, err := n.membership.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	r := n.roster()
	if err := n.checkNew(ctx, r, id); err != nil {
		return err
	}
	known := false
	for _, server := range r.servers {
		switch {
		case string(server.ID) == id && string(server.Address) == raftAddress:
			known = true
		case string(server.ID) == id:
			n.log.Info("node moves", "id", id, "from", server.Address, "to", raftAddress)
		}
	}
	if !known {
		if r, err = n.vacate(ctx, r, raft.ServerAddress(raftAddress), raft.ServerID(id), false); err != nil {
			return err
		}
		// For a voter this changes the address and nothing else.
		if err := n.reconfigure(ctx, r, n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(raftAddress), r.index, 0)); err != nil {
			return err
		}
	}
	return n.recordNode(ctx, &logv1.SetNode{Id: id, RaftAddress: raftAddress, ApiAddress: apiAddress, Rules: rules})
}

// checkNew refuses a node that was removed: also one whose removal the leader of then did not come to record.
func (n *Node) checkNew(ctx context.Context, r roster, id string) error {
	if n.wasRemoved(id) {
		return &RemovedError{ID: id}
	}
	if _, member := serverOf(r.servers, raft.ServerID(id)); member || n.rulesInForce() < memberRules || n.record(id) == nil {
		return nil
	}
	if err := n.forget(ctx, id); err != nil {
		return err
	}
	return &RemovedError{ID: id}
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
	if known := n.record(node.GetId()); known != nil {
		if known.GetRaftAddress() == node.GetRaftAddress() && known.GetApiAddress() == node.GetApiAddress() && known.GetRules() == node.GetRules() {
			return nil
		}
		node.Demoted, node.Successor = known.GetDemoted(), known.GetSuccessor()
	}
	return n.setNode(ctx, node)
}

func (n *Node) setNode(ctx context.Context, node *logv1.SetNode) error {
	result, err := n.Propose(ctx, &logv1.Command{Op: &logv1.Command_SetNode{SetNode: node}})
	if err == nil && result.GetRefusal() != nil {
		err = fmt.Errorf("cluster: the record of node %s was refused: %v", node.GetId(), result.GetRefusal())
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

// keepMembers records the leader's own addresses and looks after the other members, until the leadership ends.
func (l *leadership) keepMembers() {
	n := l.node
	own := &logv1.SetNode{Id: n.id, RaftAddress: string(n.wire.LocalAddr()), ApiAddress: n.config.APIAdvertise, Rules: n.ownRules()}
	recorded := false
	n.wire.forget()
	p := newPatience()
	timer := time.NewTicker(memberLook)
	defer timer.Stop()
	for {
		if !recorded {
			recorded = n.recordNode(l.ctx, own) == nil
		}
		l.raiseRules()
		l.lookAfter(p)
		select {
		case <-timer.C:
		case <-l.ctx.Done():
			return
		}
	}
}
