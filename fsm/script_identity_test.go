package fsm_test

import (
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// identity prints what the machine knows of the cluster: its name, its nodes, the removed ones.
func (r *scriptRun) identity() {
	id, name := r.m.ClusterID()
	var nodes []string
	for _, n := range r.m.Nodes() {
		nodes = append(nodes, n.GetId()+"="+n.GetRaftAddress())
	}
	removed := r.m.RemovedNodes()
	if len(removed) > 6 {
		removed = append([]string{removed[0], "..."}, removed[len(removed)-2:]...)
	}
	r.printf("epoch=%d id=%q name=%q nodes %v removed %d %v", r.m.Epoch(), id, name, nodes, len(r.m.RemovedNodes()), removed)
}

// reopen replaces the machine and its twin, both in the same way.
func (r *scriptRun) reopen(w words) {
	o := fsm.Reopening{Epoch: uint32(mustUint(w.bare[0])), ClusterID: w.pair["id"], ClusterName: w.pair["name"]}
	for _, id := range w.bare[1:] {
		o.Nodes = append(o.Nodes, &logv1.SetNode{Id: id, RaftAddress: id + ":1", Rules: 4})
	}
	if list := w.pair["removed"]; list != "" {
		o.Removed = strings.Split(list, ",")
	}
	before := digest(r.t, r.m)
	m, err := fsm.Reopen(r.m, o)
	if digest(r.t, r.m) != before {
		r.t.Fatal("the machine changed")
	}
	if err != nil {
		r.printf("error: %v", err)
		return
	}
	twin, err := fsm.Reopen(r.twin, o)
	if err != nil || digest(r.t, twin) != digest(r.t, m) {
		r.t.Fatalf("the reopened machine and its twin differ: %v", err)
	}
	r.m, r.twin = m, twin
}
