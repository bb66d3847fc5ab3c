package cluster

import (
	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// silentRules are those of a node that never said what it can apply: of the last version that did not say so.
const silentRules = 2

// A leader proposes under the highest rules that every member can apply, so a node of a former version is never sent what it does not know. Once
// a batch had them they stay: the log cannot be taken back (docs/design.md §3).

// raiseRules of this leadership as far as the members allow. They never fall: while a node of an old version is a member it cannot have been
// added after they rose, see checkRules.
func (l *leadership) raiseRules() {
	rules, _ := l.node.commonRules()
	before := l.rules.Load()
	if rules <= before {
		return
	}
	l.rules.Store(rules)
	if before > 0 {
		l.node.log.Info("every node can apply newer log entries", "rules", rules, "before", before)
	}
}

// tooOld answers a command that needs higher rules.
func (l *leadership) tooOld(needs uint32) error {
	_, lowest := l.node.commonRules()
	return &RulesError{Needs: needs, Rules: l.rules.Load(), Node: lowest}
}

// commonRules are the highest that all members can apply, but at least those of the log; lowest is a member that keeps them down.
func (n *Node) commonRules() (rules uint32, lowest string) {
	var nodes []*logv1.SetNode
	var logged uint32
	n.View(func(m *fsm.Machine) { nodes, logged = m.Nodes(), m.Rules() })
	rules = fsm.Rules
	for _, server := range n.servers() {
		if can := n.rulesOf(nodes, string(server.ID)); can < rules {
			rules, lowest = can, string(server.ID)
		}
	}
	return max(rules, logged), lowest
}

// ownRules are the highest that this node can apply.
func (n *Node) ownRules() uint32 {
	if n.config.rules != 0 {
		return n.config.rules
	}
	return fsm.Rules
}

func (n *Node) rulesOf(nodes []*logv1.SetNode, id string) uint32 {
	if id == n.id {
		return n.ownRules()
	}
	if said := nodeOf(nodes, id).GetRules(); said > 0 {
		return said
	}
	return silentRules
}

// checkRules refuses a new member, or one that was started in a former version, that could not apply the log: it would stop at once, and count
// as a voter that is down.
func (n *Node) checkRules(id string, rules uint32) error {
	var logged uint32
	n.View(func(m *fsm.Machine) { logged = m.Rules() })
	if l := n.leading.Load(); l != nil {
		logged = max(logged, l.rules.Load()) // of the next batch
	}
	if rules == 0 {
		rules = silentRules
	}
	if rules < logged {
		return &RulesError{Needs: logged, Rules: rules, Node: id}
	}
	return nil
}

// Announced tells whether the replicated state says what this node can apply. Until it does, the node asks to be recorded again. It is true of a
// node that is no member.
func (n *Node) Announced() bool {
	member := false
	for _, server := range n.servers() {
		member = member || server.ID == raft.ServerID(n.id)
	}
	said := uint32(0)
	n.View(func(m *fsm.Machine) { said = nodeOf(m.Nodes(), n.id).GetRules() })
	return !member || said == n.ownRules()
}
