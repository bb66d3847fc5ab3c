package cluster

import (
	"time"

	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// What the leader does by itself about the members: it promotes nodes that have caught up, and removes a dead voter whose successor votes.
// One change at each look, each under the same checks as those of an operator.

// patience is when this leader last knew something good of the nodes. Its goroutine alone.
type patience struct {
	began   time.Time
	healthy map[raft.ServerID]time.Time // since when a non-voter is healthy and caught up
}

func newPatience() *patience {
	return &patience{began: time.Now(), healthy: make(map[raft.ServerID]time.Time)}
}

// silence of a node so far, as this leader has seen it.
func (p *patience) silence(c contact) time.Duration {
	if c.answered.After(p.began) {
		return time.Since(c.answered)
	}
	return time.Since(p.began)
}

// lookAfter the other members, until one change was made or tried.
func (l *leadership) lookAfter(p *patience) {
	n := l.node
	release, ok := n.membership.tryHold()
	if !ok {
		return // an operator's change is under way
	}
	defer release()
	r := n.roster()
	if r.index == 0 {
		return
	}
	if l.forgetRemoved(r) {
		return
	}
	for _, server := range r.servers {
		if string(server.ID) == n.id {
			if l.moveSelf(r, server) {
				return
			}
		} else if l.promote(r, server, p) || l.revive(r, server) || l.replace(r, server, p) {
			return
		}
	}
}

// moveSelf corrects this leader's own address after a restart elsewhere: there is no leader that it could ask.
func (l *leadership) moveSelf(r roster, server raft.Server) bool {
	here := l.node.wire.LocalAddr()
	if server.Address == here {
		return false
	}
	r, err := l.node.vacate(l.ctx, r, here, server.ID, true)
	if err == nil {
		err = l.node.reconfigure(l.ctx, r, l.node.raft.AddVoter(server.ID, here, r.index, 0))
	}
	if err != nil && l.ctx.Err() == nil {
		l.node.log.Warn("own address was not corrected", "error", err)
	}
	return true
}

// promote a node that was caught up and healthy for Timing.PromoteAfter, unless an operator demoted it.
func (l *leadership) promote(r roster, server raft.Server, p *patience) bool {
	n := l.node
	contact := n.wire.contact(server.ID)
	if isVoter(server) || time.Since(contact.at) > contactAge || contact.lastIndex+promoteBehind < n.raft.LastIndex() || n.record(string(server.ID)).GetDemoted() {
		delete(p.healthy, server.ID)
		return false
	}
	began, known := p.healthy[server.ID]
	if !known {
		p.healthy[server.ID] = time.Now()
		return false
	}
	if time.Since(began) < n.config.Timing.PromoteAfter {
		return false
	}
	delete(p.healthy, server.ID) // an attempt that fails is not repeated at once
	err := n.checkQuorum("promotion", string(server.ID), r.with(server.ID, raft.Voter))
	if err == nil {
		err = l.succeed(r, server, p)
	}
	if err == nil {
		n.log.Info("a node has caught up and becomes a voter", "node", server.ID, "address", server.Address)
		err = n.reconfigure(l.ctx, r, n.raft.AddVoter(server.ID, server.Address, r.index, 0))
	}
	if err != nil && l.ctx.Err() == nil {
		n.log.Warn("promotion failed", "node", server.ID, "error", err)
	}
	return true
}

// succeed notes, before a node becomes a voter, which silent voter it takes the place of: the one that is silent longest and has no successor.
// It is in the replicated state, so the next leader knows it too.
func (l *leadership) succeed(r roster, successor raft.Server, p *patience) error {
	n := l.node
	if l.rules.Load() < memberRules {
		return nil
	}
	var dead raft.Server
	longest := healthyAge
	for _, server := range r.servers {
		marked := n.record(string(server.ID)).GetSuccessor()
		if marked == string(successor.ID) {
			return nil // of a former attempt
		}
		if silence := p.silence(n.wire.contact(server.ID)); isVoter(server) && string(server.ID) != n.id && marked == "" && silence > longest {
			dead, longest = server, silence
		}
	}
	if dead.ID == "" {
		return nil
	}
	return n.mark(l.ctx, dead, func(node *logv1.SetNode) { node.Successor = string(successor.ID) })
}

// revive a voter that answers again: it needs no successor.
func (l *leadership) revive(_ roster, server raft.Server) bool {
	n := l.node
	if time.Since(n.wire.contact(server.ID).answered) > contactAge || n.record(string(server.ID)).GetSuccessor() == "" {
		return false
	}
	n.log.Info("a voter that was silent answers again and stays", "node", server.ID)
	if err := n.mark(l.ctx, server, func(node *logv1.SetNode) { node.Successor = "" }); err != nil && l.ctx.Err() == nil {
		n.log.Warn("a voter that answers again still counts as succeeded", "node", server.ID, "error", err)
	}
	return true
}

// replace a dead voter: remove it once its successor votes and answers.
func (l *leadership) replace(r roster, server raft.Server, p *patience) bool {
	n := l.node
	if !isVoter(server) || p.silence(n.wire.contact(server.ID)) < n.config.Timing.DeadAfter {
		return false
	}
	successor, known := serverOf(r.servers, raft.ServerID(n.record(string(server.ID)).GetSuccessor()))
	if !known || !isVoter(successor) || !n.answers(successor.ID) {
		return false
	}
	err := n.checkQuorum("removal", string(server.ID), r.without(server.ID))
	if err == nil {
		err = n.remove(l.ctx, r, server, "it did not answer for "+n.config.Timing.DeadAfter.String()+" and its successor "+string(successor.ID)+" votes")
	}
	if err != nil && l.ctx.Err() == nil {
		n.log.Warn("a dead voter was not removed", "node", server.ID, "error", err)
	}
	return true
}

// forgetRemoved finishes what a former leader began: a node that has a record and is no member was removed.
func (l *leadership) forgetRemoved(r roster) bool {
	n := l.node
	if l.rules.Load() < memberRules {
		return false
	}
	var nodes []*logv1.SetNode
	n.View(func(m *fsm.Machine) { nodes = m.Nodes() })
	for _, node := range nodes {
		if _, member := serverOf(r.servers, raft.ServerID(node.GetId())); member {
			continue
		}
		if err := n.forget(l.ctx, node.GetId()); err != nil && l.ctx.Err() == nil {
			n.log.Warn("a removed node was not forgotten", "node", node.GetId(), "error", err)
		}
		return true
	}
	return false
}
