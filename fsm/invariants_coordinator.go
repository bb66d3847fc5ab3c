package fsm

import (
	"fmt"
	"slices"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// coordinatorCheck is a coordinator counted anew.
type coordinatorCheck struct {
	coordination
	line []*logv1.Job // pending
}

func (c *check) coordinator(name string) *coordinatorCheck {
	if c.coordinators[name] == nil {
		c.coordinators[name] = &coordinatorCheck{}
	}
	return c.coordinators[name]
}

// coordinatedClaim notes a live claim: there is at most one of a coordinator (I10).
func (c *check) coordinatedClaim(fence uint64, j *logv1.Job) error {
	if j.Coordinator == "" {
		return nil
	}
	one := c.coordinator(j.Coordinator)
	if one.busy != 0 {
		return fmt.Errorf("coordinator %s has two live claims, %d and %d", j.Coordinator, one.busy, fence)
	}
	one.busy = fence
	return nil
}

// coordinatedJob notes a job that is not settled.
func (c *check) coordinatedJob(j *logv1.Job) {
	if j.Coordinator == "" {
		return
	}
	one := c.coordinator(j.Coordinator)
	one.jobs++
	if j.State == pending {
		one.line = append(one.line, j)
	}
}

// checkCoordinators compares what is kept, and the board's view, with the jobs, the claims and the members.
func (c *check) checkCoordinators() error {
	m := c.m
	m.members.Scan(func(x membership) bool { c.coordinator(x.coordinator).members++; return true })
	for _, name := range sortedKeys(c.coordinators) {
		want := c.coordinators[name]
		if have, _ := m.coordinators.Get(name); have != want.coordination {
			return fmt.Errorf("coordinator %s is %+v, should be %+v", name, have, want.coordination)
		}
		slices.SortFunc(want.line, func(a, b *logv1.Job) int {
			if a.FirstDueMs < b.FirstDueMs || a.FirstDueMs == b.FirstDueMs && a.Id < b.Id {
				return -1
			}
			return 1
		})
		if m.board.WaitingOf(name) != len(want.line) {
			return fmt.Errorf("coordinator %s: %d jobs wait, %d on the board", name, len(want.line), m.board.WaitingOf(name))
		}
		for i, j := range want.line {
			if stands := i == 0 && want.busy == 0; m.board.Stands(JobID(j.Id)) != stands {
				return fmt.Errorf("coordinator %s: job %d is number %d, busy with %d, and stands in the lines: %v", name, j.Id, i+1, want.busy, !stands)
			}
		}
		if head, stands, found := m.board.Head(name); found != (len(want.line) > 0) || found && (uint64(head) != want.line[0].Id || stands != (want.busy == 0)) {
			return fmt.Errorf("coordinator %s: the head is %d, %v", name, head, stands)
		}
	}
	if len(c.coordinators) != m.coordinators.Len() {
		return fmt.Errorf("%d coordinators, %d derived", len(c.coordinators), m.coordinators.Len())
	}
	return nil
}
