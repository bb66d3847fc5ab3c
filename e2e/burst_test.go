package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	burstConnections = 50
	burstClaims      = 200
)

// burst is many connections, spread over the nodes, from which claims of one worker arrive at the same time.
type burst struct {
	cluster *harness.Cluster
	apis    []harness.API
}

func newBurst(t *testing.T, cluster *harness.Cluster) *burst {
	b := &burst{cluster: cluster}
	for i := range burstConnections {
		api, done := cluster.Nodes[i%len(cluster.Nodes)].DialApart()
		t.Cleanup(done)
		b.apis = append(b.apis, api)
	}
	return b
}

// fire sends claims for the lanes, in turn, all at the same time, and gives the fences that came for each lane. A claim
// whose outcome is unknown is sent again under its number.
func (b *burst) fire(ctx context.Context, worker *harness.Worker, lanes ...uint32) (map[uint32][]uint64, error) {
	fences := make(map[uint32][]uint64)
	var mu sync.Mutex
	var claims sync.WaitGroup
	var failure error
	gun := make(chan struct{})
	lowest := worker.Lowest() // none of this burst's numbers is answered before all are sent
	for i := range burstClaims {
		number := worker.Begin()
		claims.Go(func() {
			defer worker.End(number)
			<-gun
			answer, err := b.claim(ctx, i, &fairlanev1.ClaimRequest{Session: worker.ID, Lane: lanes[i%len(lanes)], Number: number, Lowest: lowest})
			mu.Lock()
			defer mu.Unlock()
			switch claim := answer.GetClaim(); {
			case err != nil:
				failure = err
			case claim != nil:
				fences[claim.GetLane()] = append(fences[claim.GetLane()], claim.GetFence())
			case answer.GetReason() != fairlanev1.EmptyReason_EMPTY_REASON_AT_CAPACITY:
				failure = fmt.Errorf("an empty claim says %v, want AT_CAPACITY", answer.GetReason())
			}
		})
	}
	close(gun)
	claims.Wait()
	return fences, failure
}

// claim sends one claim over the connections, from the given one on, until its outcome is known.
func (b *burst) claim(ctx context.Context, connection int, request *fairlanev1.ClaimRequest) (*fairlanev1.ClaimResponse, error) {
	for attempt := connection; ; attempt++ {
		try, cancel := context.WithTimeout(ctx, harness.DefaultPatience)
		answer, err := b.apis[attempt%len(b.apis)].Workers.Claim(try, request)
		cancel()
		if err == nil || !harness.Passing(err) {
			return answer, err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// TestCapacityOne: of 200 simultaneous claims on 50 connections over three nodes for one free slot exactly one gets a
// job, in every round, also in those through which the leader is killed (A3).
func TestCapacityOne(t *testing.T) {
	rounds, killEvery := 30, 15
	if !*full {
		t.Parallel()
	} else {
		rounds, killEvery = 1000, 50
	}
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	worker := fill(ctx, t, cluster, "*:1", rounds+burstClaims)
	b := newBurst(t, cluster)
	kills, begin := 0, time.Now()
	for round := range rounds {
		var killed *harness.Node
		var killer sync.WaitGroup
		if round%killEvery == killEvery/2 {
			leader, _, err := cluster.Leader(ctx)
			if err != nil {
				t.Fatal(err)
			}
			killed = leader
			kills++
			killer.Go(func() {
				_ = sleep(ctx, time.Duration(rand.IntN(20_000))*time.Microsecond)
				leader.Kill()
			})
		}
		fences, err := b.fire(ctx, worker, 0)
		killer.Wait()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if len(fences[0]) != 1 {
			t.Fatalf("round %d (leader killed: %v): %d jobs handed out to one slot: %v", round, killed != nil, len(fences[0]), fences[0])
		}
		if answer, err := worker.Succeed(ctx, fences[0][0], ""); err != nil || answer.GetError() != nil {
			t.Fatalf("round %d: finish: %v %v", round, answer, err)
		}
		if killed != nil {
			if err := cluster.Restart(ctx, killed); err != nil {
				t.Fatal(err)
			}
		}
	}
	took := time.Since(begin)
	t.Logf("%d rounds of %d claims on %d connections, %d through a leader kill: 1 job each; %v, %.0f claims/s",
		rounds, burstClaims, burstConnections, kills, took.Round(time.Millisecond), float64(rounds*burstClaims)/took.Seconds())
	cluster.CheckDigests(t)
}

// TestCapacityN: bursts of claims for lanes with room for k jobs get exactly k, lane by lane.
func TestCapacityN(t *testing.T) {
	t.Parallel()
	rounds := 5
	if *full {
		rounds = 100
	}
	cluster := harness.Start(t, harness.Options{LogStore: harness.LogStores[1]})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	worker := fill(ctx, t, cluster, "*:7 work>*:1 *:23", 31*rounds+burstClaims)
	b := newBurst(t, cluster)
	want := map[uint32]int{0: 7, 1: 1, 2: 23}
	for round := range rounds {
		fences, err := b.fire(ctx, worker, 0, 1, 2)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for lane, slots := range want {
			if len(fences[lane]) != slots {
				t.Fatalf("round %d: lane %d with %d slots got %d jobs", round, lane, slots, len(fences[lane]))
			}
			for _, fence := range fences[lane] {
				if answer, err := worker.Succeed(ctx, fence, ""); err != nil || answer.GetError() != nil {
					t.Fatalf("round %d: finish: %v %v", round, answer, err)
				}
			}
		}
	}
	cluster.CheckDigests(t)
}

// fill registers a worker and enqueues that many jobs.
func fill(ctx context.Context, t *testing.T, cluster *harness.Cluster, lanes string, jobs int) *harness.Worker {
	t.Helper()
	worker, err := cluster.Register(ctx, "burst", lanes)
	if err != nil {
		t.Fatal(err)
	}
	session, err := cluster.OpenSession(ctx, rand.Uint64()|1)
	if err != nil {
		t.Fatal(err)
	}
	for jobs > 0 {
		request := &fairlanev1.EnqueueManyRequest{AllOrNothing: true, Repeat: session.Repeat(session.Begin())}
		for ; jobs > 0 && len(request.Jobs) < 1000; jobs-- {
			request.Jobs = append(request.Jobs, &fairlanev1.NewJob{Kind: "burst", Queue: "work"})
		}
		err := cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
			_, err := api.Jobs.EnqueueMany(ctx, request)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		session.End(request.Repeat.GetNumber())
	}
	return worker
}
