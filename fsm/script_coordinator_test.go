package fsm_test

import (
	"fmt"
	"strings"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// queryCoordinator prints coordinators, all if none is named: what runs, the line, and the schedules.
func (r *scriptRun) queryCoordinator(names []string) {
	if len(names) == 0 {
		list, _ := r.m.Coordinators("", 100)
		for _, v := range list {
			names = append(names, v.Name)
		}
		if len(names) == 0 {
			r.printf("no coordinator")
		}
	}
	for _, name := range names {
		v, line, members, ok := r.m.Coordinator(name, 100)
		if !ok {
			r.printf("no coordinator %s", name)
			continue
		}
		out := fmt.Sprintf("coordinator %s", v.Name)
		if v.Busy != 0 {
			out += fmt.Sprintf(" busy=%d", v.Busy)
		}
		if len(line) != v.Waiting || v.Waiting > 0 && line[0] != v.Head || v.Members != len(members) {
			bad("the view %+v does not fit the line %v and the members %v", v, line, members)
		}
		out += " line"
		for _, id := range line {
			out += fmt.Sprintf(" %d", id)
		}
		if len(members) > 0 {
			out += " schedules " + strings.Join(members, " ")
		}
		r.printf("%s", out)
	}
}

// order prints the jobs that a lane gets next.
func (r *scriptRun) order(worker string, lane uint32) {
	out := "order"
	list, ok := r.m.OrderOfLane(worker, lane, 100)
	if !ok {
		bad("no lane %d of %s", lane, worker)
	}
	for _, o := range list {
		out += fmt.Sprintf(" %d", fsm.JobID(o.Job.GetId()))
	}
	r.printf("%s", out)
}
