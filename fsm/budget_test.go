package fsm_test

import (
	"fmt"
	"testing"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// TestApplyAllocations holds what Apply allocates for a numbered command that is alone in its batch: its results, what it stores, and what the batch
// itself needs (its results and events). Nodes of the trees that split now and then are rounded away. A budget is what was reached and at most one more.
func TestApplyAllocations(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates too")
	}
	s := newSpender(t, 1_000, 10, 1)
	var results []*logv1.Result
	measure := func(name string, budget float64, one func(i int) *logv1.Command) []*logv1.Result {
		const runs = 5*benchWorkers - 1 // and one before them
		batches := make([]*logv1.Batch, 0, runs+1)
		for i := range runs + 1 {
			batches = append(batches, s.batch(one(i)))
		}
		results = make([]*logv1.Result, 0, runs+1)
		got := testing.AllocsPerRun(runs, func() {
			s.index++
			results = append(results, s.m.Apply(s.index, batches[len(results)]).Results[0])
		})
		t.Logf("%s: %v", name, got)
		if got > budget || got < 1 {
			t.Errorf("%s allocates %v times, the budget is %v", name, got, budget)
		}
		return results
	}
	worker := func(i int) uint64 { return uint64(2 + i%benchWorkers) }
	measure("enqueue", 8, func(int) *logv1.Command { return s.repeat(1, s.enqueueCommand(1)) })
	var fences []uint64
	for _, res := range measure("claim", 7, func(i int) *logv1.Command { return s.repeat(worker(i), claimBy(worker(i))) }) {
		fences = append(fences, res.GetClaim().GetFence())
	}
	next := measure("finish with the next claim", 10, func(i int) *logv1.Command { return s.repeat(worker(i), finishBy(worker(i), fences[i], true)) })
	for i, res := range next {
		if fences[i] = res.GetFinish().GetNext().GetFence(); fences[i] == 0 {
			t.Fatalf("no job: %v", res)
		}
	}
	measure("heartbeat of 5 claims", 2, func(i int) *logv1.Command {
		return s.heartbeatCommand(i%benchWorkers, fences)
	})
	for _, res := range measure("finish", 7, func(i int) *logv1.Command { return s.repeat(worker(i), finishBy(worker(i), fences[i], false)) }) {
		if res.GetFinish().GetState() != logv1.State_STATE_SUCCEEDED {
			t.Fatalf("not finished: %v", res)
		}
	}
}

// TestPauseReadsNoUsers: what a pause costs does not depend on how many users wait in the queue.
func TestPauseReadsNoUsers(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates too")
	}
	cost := func(users int) float64 {
		m, index := fsm.New(), uint64(0)
		apply := func(c *logv1.Command) *logv1.Result {
			index++
			return m.Apply(index, &logv1.Batch{Rules: fsm.Rules, NowMs: 1000, MonotonicMs: 1, Leadership: 1, Commands: []*logv1.Command{c}}).Results[0]
		}
		for i := range users {
			job := &logv1.NewJob{Kind: "kind", Queue: "queue", User: fmt.Sprint("user", i)}
			if res := apply(&logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: &logv1.Enqueue{Jobs: []*logv1.NewJob{job}}}}); res.GetEnqueue().GetOutcomes()[0].GetJob() == 0 {
				t.Fatal(res)
			}
		}
		paused := false
		return testing.AllocsPerRun(10, func() {
			paused = !paused
			if res := apply(&logv1.Command{Op: &logv1.Command_SetQueue{SetQueue: &logv1.SetQueue{Name: "queue", Paused: &paused}}}); res.Refusal != nil {
				t.Fatal(res.Refusal)
			}
		})
	}
	if few, many := cost(1), cost(1000); few != many {
		t.Errorf("a pause allocates %v times with one user, %v with 1000", few, many)
	}
}
