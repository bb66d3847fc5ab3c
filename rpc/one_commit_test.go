package rpc

import (
	"context"
	"testing"
	"time"

	v1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// A job starts in the log entry that enqueues it when a claim waits for it, whichever nodes the two came through.
func TestStartsInTheEntryOfItsEnqueue(t *testing.T) {
	nodes := startThree(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	leader := nodes[0]
	worker, err := leader.workers().Register(ctx, &v1.RegisterRequest{Name: "w", Nonce: 2, Lanes: "*:1"})
	if err != nil {
		t.Fatal(err)
	}
	number := uint64(0)
	for _, through := range nodes {
		for _, enqueuedAt := range nodes {
			number++
			claimed := make(chan *v1.ClaimResponse, 1)
			go func() {
				claim, err := through.workers().Claim(ctx, &v1.ClaimRequest{Session: worker.Session, WaitMs: 20_000, Number: number, Lowest: number})
				if err != nil {
					t.Error(err)
				}
				claimed <- claim
			}()
			waitUntil(t, ctx, "the claim is parked on the leader", func() bool { return leader.Status().Parked == 1 })
			made, err := enqueuedAt.jobs().Enqueue(ctx, &v1.EnqueueRequest{Job: &v1.NewJob{Kind: "k"}})
			if err != nil {
				t.Fatal(err)
			}
			claim := <-claimed
			if claim.GetClaim().GetJob().GetId() != made.GetId() || claim.GetPosition().GetIndex() != made.GetPosition().GetIndex() {
				t.Fatalf("enqueued as %v, claimed %v", made, claim)
			}
			number++
			if _, err := leader.workers().Finish(ctx, &v1.FinishRequest{
				Session: worker.Session, Fence: claim.GetClaim().GetFence(), Number: number, Lowest: number,
				Outcome: &v1.FinishRequest_Success{Success: &v1.Success{}},
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
