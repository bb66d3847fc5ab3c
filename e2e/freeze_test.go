package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
)

// frozenPatience keeps a call from waiting long for a frozen node.
const frozenPatience = time.Second

// TestLeaderFrozen: the leader stands still (SIGSTOP) for 5 s, longer than the leases of 3 s. Workers that go on beating
// at the other nodes keep every claim; the claims of a silent one end, not before their length (A6).
func TestLeaderFrozen(t *testing.T) {
	t.Parallel()
	b := newLeaseBench(t, harness.Options{Patience: frozenPatience})
	const jobs = 10
	beating, silent, other := b.worker("beating", "kept:10"), b.worker("mute", "given:10"), b.worker("heir", "given:10")
	for range jobs {
		b.enqueue("kept", nil)
		b.enqueue("given", nil)
	}
	var kept []uint64
	given := make(map[uint64]claimed)
	for range jobs {
		kept = append(kept, b.claim(beating, 0).GetFence())
		claim := b.claim(silent, 0)
		given[claim.job()] = claim
	}
	leader, _, err := b.cluster.Leader(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Freeze(); err != nil {
		t.Fatal(err)
	}
	thawed := make(chan struct{})
	time.AfterFunc(5*time.Second, func() {
		_ = leader.Thaw()
		close(thawed)
	})
	var heirs sync.WaitGroup
	heirs.Go(func() {
		for range jobs {
			answer, err := other.Claim(b.ctx, 0, 20*time.Second)
			if err != nil || answer.GetClaim() == nil {
				t.Errorf("claim what the silent worker had: %v %v", answer, err)
				return
			}
			was := given[answer.GetClaim().GetJob().GetId()]
			if length := time.Since(was.call); length < shortLease {
				t.Errorf("the lease of %v of job %d was over after %v", shortLease, was.job(), length)
			}
		}
	})
	for frozen := true; frozen; {
		answer, err := beating.Heartbeat(b.ctx, kept...)
		if err != nil {
			t.Fatal(err)
		}
		for i, status := range answer.GetStatuses() {
			if status != statusOK {
				t.Fatalf("claim %d of a worker that beats is %v", i, status)
			}
		}
		select {
		case <-thawed:
			frozen = false
		case <-time.After(500 * time.Millisecond):
		}
	}
	for _, fence := range kept {
		if answer := b.succeed(beating, fence); answer.GetError() != nil || answer.GetState() != stateSucceeded {
			t.Errorf("finish after the thaw: %v", answer)
		}
	}
	heirs.Wait()
	b.cluster.CheckDigests(t)
}

// TestAllFrozen: all nodes stand still for 10 s. To the leases next to no time has passed: a heartbeat and a finish after
// the thaw are accepted, though three leases would have fitted into the pause (A6). Three nodes elect a leader anew, and a
// cluster of one goes on under the same one.
func TestAllFrozen(t *testing.T) {
	t.Parallel()
	for _, store := range harness.LogStores {
		for _, nodes := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", store, nodes), func(t *testing.T) {
				t.Parallel()
				freezeAll(newLeaseBench(t, harness.Options{LogStore: store, Nodes: nodes, Patience: frozenPatience}))
			})
		}
	}
}

func freezeAll(b *leaseBench) {
	const jobs = 5
	worker := b.worker("w", fmt.Sprintf("q:%d", 2*jobs))
	var beaten, unbeaten []uint64
	for range jobs {
		b.enqueue("q", nil)
		b.enqueue("q", nil)
		beaten = append(beaten, b.claim(worker, 0).GetFence())
		unbeaten = append(unbeaten, b.claim(worker, 0).GetFence())
	}
	for _, node := range b.cluster.Nodes {
		if err := node.Freeze(); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := sleep(b.ctx, 10*time.Second); err != nil {
		b.t.Fatal(err)
	}
	for _, node := range b.cluster.Nodes {
		if err := node.Thaw(); err != nil {
			b.t.Fatal(err)
		}
	}
	for i, fence := range unbeaten {
		if answer := b.succeed(worker, fence); answer.GetError() != nil || answer.GetState() != stateSucceeded {
			b.t.Errorf("finish %d after the thaw: %v", i, answer)
		}
	}
	answer, err := worker.Heartbeat(b.ctx, beaten...)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, status := range answer.GetStatuses() {
		if status != statusOK {
			b.t.Errorf("claim %d is %v after the thaw", i, status)
		}
	}
	if len(b.cluster.Nodes) > 1 {
		b.cluster.CheckDigests(b.t)
	}
}
