package cluster

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestRollingUpgrade: while one member cannot apply newer rules, what needs them is refused and says which node it is; when the last one is
// restarted in the newest version they rise, and after that no node that cannot apply them is taken in.
func TestRollingUpgrade(t *testing.T) {
	const former = memberRules - 1 // the last that do not know ForgetNode
	var rules atomic.Uint32
	rules.Store(former)
	w := newWorld(t, StoreWAL, 3, func(c *Config) { c.rules = rules.Load() })
	rules.Store(fsm.Rules)
	for left := 3; left > 0; left-- {
		leader := w.leader()
		err := proposeNew(w, leader)
		var refused *RulesError
		if !errors.As(err, &refused) || refused.Needs != memberRules || refused.Rules != former || refused.Node == "" {
			t.Fatalf("with %d old members: %v", left, err)
		}
		if status := leader.Status(); status.ClusterRules != former {
			t.Fatalf("with %d old members the log has rules %d", left, status.ClusterRules)
		}
		at := w.oldMember()
		dir := w.nodes[at].config.DataDir
		w.close(w.nodes[at])
		w.nodes[at] = w.open(dir, false)
		w.leader()
		w.until("the upgraded node is known", func() bool {
			s := w.nodes[at].Status()
			if err := w.leader().AddNode(w.limit(5*time.Second), s.ID, s.RaftAddress, s.APIAddress, s.Rules); err != nil {
				return false
			}
			return w.nodes[at].Announced()
		})
	}
	w.until("the rules rise", func() bool {
		l := w.leader().leading.Load()
		return l != nil && l.rules.Load() == fsm.Rules
	})
	if err := w.leader().AddNode(w.limit(5*time.Second), "old", "127.0.0.1:1", "", fsm.Rules-1); !isRules(err) {
		t.Errorf("a node of the former version is taken in: %v", err)
	}
	if err := w.leader().AddNode(w.limit(5*time.Second), "silent", "127.0.0.1:1", "", 0); !isRules(err) {
		t.Errorf("a node of a version before that is taken in: %v", err)
	}
	if err := proposeNew(w, w.leader()); err != nil {
		t.Error(err)
	}
}

func isRules(err error) bool {
	var refused *RulesError
	return errors.As(err, &refused)
}

func (w *world) oldMember() int {
	for i, n := range w.nodes {
		if n.ownRules() < fsm.Rules {
			return i
		}
	}
	w.t.Fatal("no old member is left")
	return 0
}

// proposeNew proposes something that the former rules do not know.
func proposeNew(w *world, n *Node) error {
	_, err := n.Propose(w.limit(10*time.Second), &logv1.Command{Op: &logv1.Command_ForgetNode{ForgetNode: &logv1.ForgetNode{Id: "nobody"}}})
	return err
}
