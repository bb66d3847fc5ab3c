package cluster

import (
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Raft talks to no node at an address where gossip knows another one, unless that one was removed: its successor may be there.
func TestSuccessorAtTheAddressOfARemovedNode(t *testing.T) {
	n := &Node{
		machine: newMachine(Config{Logger: hclog.NewNullLogger()}, nil),
		gossip:  &gossip{alive: map[string]GossipMember{"former": {ID: "former", RaftAddress: "a:1"}}, moved: map[string]bool{}},
	}
	if at, err := n.find("successor", "a:1"); err == nil {
		t.Errorf("the successor is called at %s, where another node is", at)
	}
	forget := &logv1.Command{Op: &logv1.Command_ForgetNode{ForgetNode: &logv1.ForgetNode{Id: "former"}}}
	n.machine.state.Apply(1, &logv1.Batch{Rules: fsm.Rules, NowMs: 1, MonotonicMs: 1, Leadership: 1, Commands: []*logv1.Command{forget}})
	if at, err := n.find("successor", "a:1"); err != nil || at != "a:1" {
		t.Errorf("the successor is called at %q: %v", at, err)
	}
}
