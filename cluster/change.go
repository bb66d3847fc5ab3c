package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Changes of the members by an operator. One at a time, each compared with the configuration from which it was made, and none that leaves the
// voters without a majority that answers. Only the leader makes them; its own removal or demotion it leaves to the next one.

const (
	// successorWait is how long a former leader waits to hear who leads.
	successorWait = 5 * time.Second
	// quorumPatience is how long a change waits for answers that make it safe.
	quorumPatience = time.Second
)

// TransferError says that leadership was not handed over.
type TransferError struct {
	ID  string // to whom; empty: to any
	Why string
}

func (e *TransferError) Error() string {
	return fmt.Sprintf("leadership was not handed over: %s", e.Why)
}

// RemoveNode takes a node out of the cluster for good. expected is the index of the configuration that the caller saw; 0: any. It gives the new
// index; again for a node that was removed already. Errors: *UnknownNodeError, *ConfigurationError, *UnsafeChangeError: nothing was done. Removing the leader hands leadership over first and
// answers ErrNotLeader: the next leader is to be asked.
func (n *Node) RemoveNode(ctx context.Context, id string, expected uint64) (uint64, error) {
	index, err := n.change(ctx, "removal", id, expected, func(r roster, server raft.Server) error {
		if isVoter(server) {
			if err := n.waitQuorum(ctx, "removal", id, r.without(server.ID)); err != nil {
				return err
			}
			if err := n.yieldIfSelf(ctx, id, r); err != nil {
				return err
			}
		}
		return n.remove(ctx, r, server, "an operator asked for it")
	})
	var unknown *UnknownNodeError
	if errors.As(err, &unknown) && n.wasRemoved(id) {
		return n.machine.configuration.index.Load(), nil // a repeated call: it is done
	}
	return index, err
}

// PromoteNode makes a non-voter a voter, at once. A voter it leaves as it is. Otherwise like RemoveNode.
func (n *Node) PromoteNode(ctx context.Context, id string, expected uint64) (uint64, error) {
	return n.change(ctx, "promotion", id, expected, func(r roster, server raft.Server) error {
		if isVoter(server) {
			return nil
		}
		if contact := n.wire.contact(server.ID); !n.answers(server.ID) || contact.lastIndex+promoteBehind < n.raft.LastIndex() {
			why := fmt.Sprintf("it answered last %s ago and its log reaches %d of %d", ago(contact.answered), contact.lastIndex, n.raft.LastIndex())
			return &UnsafeChangeError{Change: "promotion", ID: id, Why: why, Todo: "Wait until it has caught up; fairlane cluster status shows how far it is."}
		}
		if err := n.waitQuorum(ctx, "promotion", id, r.with(server.ID, raft.Voter)); err != nil {
			return err
		}
		if n.record(id).GetDemoted() {
			if err := n.mark(ctx, server, func(node *logv1.SetNode) { node.Demoted = false }); err != nil {
				return err
			}
		}
		n.log.Info("an operator promotes a node", "node", id)
		return n.reconfigure(ctx, r, n.raft.AddVoter(server.ID, server.Address, r.index, 0))
	})
}

// DemoteNode makes a voter a non-voter, which stays one until it is promoted by hand. A non-voter it only keeps from being promoted. Otherwise
// like RemoveNode. It needs rules 4.
func (n *Node) DemoteNode(ctx context.Context, id string, expected uint64) (uint64, error) {
	return n.change(ctx, "demotion", id, expected, func(r roster, server raft.Server) error {
		l, err := n.lead()
		if err != nil {
			return err
		}
		if l.rules.Load() < memberRules {
			return l.tooOld(memberRules)
		}
		if isVoter(server) {
			if err := n.waitQuorum(ctx, "demotion", id, r.with(server.ID, raft.Nonvoter)); err != nil {
				return err
			}
			if err := n.yieldIfSelf(ctx, id, r); err != nil {
				return err
			}
		}
		// Before it votes no longer: else this leader could promote it in between.
		if err := n.mark(ctx, server, func(node *logv1.SetNode) { node.Demoted = true }); err != nil || !isVoter(server) {
			return err
		}
		n.log.Info("an operator demotes a node", "node", id)
		return n.reconfigure(ctx, r, n.raft.DemoteVoter(server.ID, r.index, 0))
	})
}

// TransferLeadership hands leadership over to a voter; empty: to the one that answers and has most of the log. It gives who leads then. The error
// is a *TransferError, *UnknownNodeError, or ErrNotLeader.
func (n *Node) TransferLeadership(ctx context.Context, id string) (leader string, err error) {
	_, err = n.change(ctx, "transfer", cmp.Or(id, n.id), 0, func(r roster, server raft.Server) error {
		if id == n.id {
			return nil // it leads already
		}
		if id == "" {
			return n.yield(ctx, r)
		}
		if !isVoter(server) {
			return &TransferError{ID: id, Why: "it is no voter"}
		}
		if !n.answers(server.ID) {
			return &TransferError{ID: id, Why: fmt.Sprintf("it answered last %s ago", ago(n.wire.contact(server.ID).answered))}
		}
		return n.transfer(ctx, server)
	})
	if err != nil || id == n.id {
		return id, err
	}
	return n.nextLeader(ctx)
}

// nextLeader waits until another node leads.
func (n *Node) nextLeader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, successorWait)
	defer cancel()
	look := time.NewTicker(leaderLook)
	defer look.Stop()
	for {
		if leader, _, ok := n.Leader(); ok && !n.IsLeader() {
			return leader, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return "", &TransferError{Why: fmt.Sprintf("this node leads no longer, and does not know who does after %v", successorWait)}
		}
	}
}

// change holds the members, checks what every change needs, and gives the configuration's index after it.
func (n *Node) change(ctx context.Context, what, id string, expected uint64, do func(roster, raft.Server) error) (uint64, error) {
	if !n.IsLeader() {
		return 0, ErrNotLeader
	}
	release, err := n.membership.hold(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	r := n.roster()
	switch server, known := serverOf(r.servers, raft.ServerID(id)); {
	case !n.IsLeader() || r.index == 0:
		return 0, ErrNotLeader
	case expected != 0 && expected != r.index:
		return 0, &ConfigurationError{Expected: expected, Now: r.index}
	case !known:
		return 0, &UnknownNodeError{ID: id}
	default:
		if err := do(r, server); err != nil {
			n.log.Debug("a change of the members was not made", "change", what, "node", id, "error", err)
			return 0, err
		}
	}
	return n.machine.configuration.index.Load(), nil
}

// checkQuorum refuses a change after which no majority of the voters answers.
func (n *Node) checkQuorum(what, id string, after []raft.Server) error {
	voters, healthy := 0, 0
	var silent []string
	for _, server := range after {
		if !isVoter(server) {
			continue
		}
		if voters++; n.answers(server.ID) {
			healthy++
		} else {
			silent = append(silent, string(server.ID))
		}
	}
	switch {
	case voters == 0:
		return &UnsafeChangeError{Change: what, ID: id, Why: "it is the last voter", Todo: "Let another node join, and wait until it votes."}
	case healthy < voters/2+1:
		return &UnsafeChangeError{Change: what, ID: id,
			Why: fmt.Sprintf("%d of the %d voters after it have answered in the last %v, and a majority is %d; silent: %s",
				healthy, voters, healthyAge, voters/2+1, strings.Join(silent, ", ")),
			Todo: "Start the silent nodes, or remove them first."}
	}
	return nil
}

// waitQuorum is checkQuorum with a little patience: a leader that just began has not heard of everybody.
func (n *Node) waitQuorum(ctx context.Context, what, id string, after []raft.Server) error {
	ctx, cancel := context.WithTimeout(ctx, quorumPatience)
	defer cancel()
	look := time.NewTicker(leaderLook)
	defer look.Stop()
	for {
		err := n.checkQuorum(what, id, after)
		if err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return err
		}
	}
}

// reconfigure waits for a change that raft was asked for. The caller holds the members.
func (n *Node) reconfigure(ctx context.Context, r roster, change raft.Future) error {
	err := await(ctx, change)
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "configuration changed since"): // raft has no name for it
		return &ConfigurationError{Expected: r.index, Now: n.machine.configuration.index.Load()}
	default:
		return membershipError(ctx, err)
	}
}

// remove a server and remember that it was. The caller holds the members and has checked that it is safe.
func (n *Node) remove(ctx context.Context, r roster, server raft.Server, why string) error {
	n.log.Warn("a node is removed from the cluster", "node", server.ID, "address", server.Address, "voter", isVoter(server), "reason", why)
	if err := n.reconfigure(ctx, r, n.raft.RemoveServer(server.ID, r.index, 0)); err != nil {
		return err
	}
	if err := n.forget(ctx, string(server.ID)); err != nil {
		n.log.Warn("a node was removed, and this is not recorded yet: the leader will", "node", server.ID, "error", err)
	}
	return nil
}

// forget the record of a removed node, and remember its id. Should this leader end in between, the next one does it: see forgetRemoved.
func (n *Node) forget(ctx context.Context, id string) error {
	if n.rulesInForce() < memberRules {
		return nil // the state cannot remember it: the id may come back
	}
	result, err := n.Propose(ctx, &logv1.Command{Op: &logv1.Command_ForgetNode{ForgetNode: &logv1.ForgetNode{Id: id}}})
	if err == nil && result.GetRefusal() != nil {
		err = fmt.Errorf("cluster: the removal of node %s was not recorded: %v", id, result.GetRefusal())
	}
	return err
}

// wasRemoved tells whether the state remembers that a node was removed.
func (n *Node) wasRemoved(id string) (removed bool) {
	n.View(func(m *fsm.Machine) { removed = m.Removed(id) })
	return removed
}

// yieldIfSelf hands leadership over when the change is about this leader, and says so with ErrNotLeader: the next one makes the change.
func (n *Node) yieldIfSelf(ctx context.Context, id string, r roster) error {
	if id != n.id {
		return nil
	}
	if err := n.yield(ctx, r); err != nil {
		return err
	}
	return fmt.Errorf("%w: it handed leadership over, so that another one makes the change", ErrNotLeader)
}

// yield leadership to a voter that answers and is fit to lead, if one is known; of these the one with most of the log.
func (n *Node) yield(ctx context.Context, r roster) error {
	if to, found := n.heir(false); found && n.answers(to.ID) {
		return n.transfer(ctx, to)
	}
	// Nobody has said yet that it is fit.
	voters := slices.DeleteFunc(slices.Clone(r.servers), func(s raft.Server) bool {
		return !isVoter(s) || string(s.ID) == n.id || !n.answers(s.ID)
	})
	if len(voters) == 0 {
		return &TransferError{Why: fmt.Sprintf("no other voter answered in the last %v", healthyAge)}
	}
	return n.transfer(ctx, slices.MaxFunc(voters, func(a, b raft.Server) int {
		return cmp.Or(cmp.Compare(n.wire.contact(a.ID).lastIndex, n.wire.contact(b.ID).lastIndex), cmp.Compare(a.ID, b.ID))
	}))
}

// transfer leadership to one voter, once.
func (n *Node) transfer(ctx context.Context, to raft.Server) error {
	limit, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	switch err := await(limit, n.raft.LeadershipTransferToServer(to.ID, to.Address)); {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrRaftShutdown):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	default:
		return &TransferError{ID: string(to.ID), Why: err.Error()}
	}
}

// ago says how long ago it was.
func ago(at time.Time) string {
	if at.IsZero() {
		return "more than " + healthyAge.String()
	}
	return time.Since(at).Round(time.Millisecond).String()
}
