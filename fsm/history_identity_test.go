package fsm_test

import (
	"fmt"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

var drawsSince4 = []func(*history) *logv1.Command{(*history).setClock, (*history).nameCluster, (*history).forgetNode, (*history).setNode}

// setClock is most often what an operator does after a leader's clock was wrong: the time that follows is that of the command.
func (h *history) setClock() *logv1.Command {
	if !h.one(3) {
		return nil
	}
	now := h.clock - int64(h.below(60_000))
	switch h.below(6) {
	case 0:
		now = h.clock + int64(h.below(3))
	case 1:
		now = h.clock
	default:
		h.wall = now
	}
	return &logv1.Command{Op: &logv1.Command_SetClock{SetClock: &logv1.SetClock{NowMs: now}}}
}

func (h *history) nameCluster() *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_NameCluster{NameCluster: &logv1.NameCluster{
		Id: fmt.Sprint("id-", h.below(2)), Name: pick(&h.dice, "fairlane", "fairlane", "other", "")}}}
}

func (h *history) nodeID() string {
	return pick(&h.dice, "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "")
}

func (h *history) forgetNode() *logv1.Command {
	if !h.one(4) {
		return nil
	}
	return h.numbered(h.session(), &logv1.Command{Op: &logv1.Command_ForgetNode{ForgetNode: &logv1.ForgetNode{Id: h.nodeID()}}})
}

func (h *history) setNode() *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_SetNode{SetNode: &logv1.SetNode{Id: h.nodeID(), RaftAddress: fmt.Sprint("a:", h.below(9)), Rules: h.now}}}
}
