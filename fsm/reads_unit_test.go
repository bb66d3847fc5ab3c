package fsm

import (
	"testing"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// A page ends after the jobs that it may look at, and says where to go on.
func TestPageLooksAtSoMany(t *testing.T) {
	m := New()
	enqueue := &logv1.Enqueue{}
	for range 7 {
		enqueue.Jobs = append(enqueue.Jobs, &logv1.NewJob{Kind: "k", User: "ana"})
	}
	m.Apply(1, &logv1.Batch{Rules: Rules, Commands: []*logv1.Command{{Op: &logv1.Command_Enqueue{Enqueue: enqueue}}}})
	for _, c := range []struct {
		before, next JobID
		most         int
	}{{0, 5, 3}, {5, 2, 3}, {2, 0, 3}, {0, 2, 6}, {0, 0, 7}} {
		if list, next := m.Insight().page(JobFilter{User: "nobody", Limit: 1, Before: c.before}, c.most); len(list) > 0 || next != c.next {
			t.Errorf("%+v: %d jobs, next %d", c, len(list), next)
		}
	}
}

// Pages of jobs go from the newest to the oldest, over waiting and final ones, without a gap or a repeat; the last one says so.
func TestPagesOfJobs(t *testing.T) {
	m := New()
	enqueue := &logv1.Enqueue{}
	for range 7 {
		enqueue.Jobs = append(enqueue.Jobs, &logv1.NewJob{Kind: "k", User: "ana"})
	}
	commands := []*logv1.Command{{Op: &logv1.Command_Enqueue{Enqueue: enqueue}}}
	for _, id := range []uint64{2, 3, 6} {
		commands = append(commands, &logv1.Command{Op: &logv1.Command_Cancel{Cancel: &logv1.Cancel{Job: id}}})
	}
	m.Apply(1, &logv1.Batch{Rules: Rules, Commands: commands})
	for _, c := range []struct {
		filter JobFilter
		want   []uint64
	}{
		{JobFilter{Limit: 3}, []uint64{7, 6, 5, 4, 3, 2, 1}},
		{JobFilter{Limit: 1}, []uint64{7, 6, 5, 4, 3, 2, 1}},
		{JobFilter{Limit: 7}, []uint64{7, 6, 5, 4, 3, 2, 1}},
		{JobFilter{Limit: 2, States: []logv1.State{cancelled}}, []uint64{6, 3, 2}},
		{JobFilter{Limit: 2, User: "ben"}, nil},
	} {
		var got []uint64
		for pages := 0; ; pages++ {
			list, next := m.Insight().Jobs(c.filter)
			for _, j := range list {
				got = append(got, j.Id)
			}
			if c.filter.Before = next; next == 0 {
				break
			}
			if len(list) > c.filter.Limit || pages > len(c.want) {
				t.Fatalf("%+v: page %d of %d jobs", c.filter, pages, len(list))
			}
		}
		if len(got) != len(c.want) {
			t.Fatalf("%+v: got %v, want %v", c.filter, got, c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Fatalf("%+v: got %v, want %v", c.filter, got, c.want)
			}
		}
	}
}
