package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	fairlane "github.com/fairlane-scheduler/fairlane/client"
	"github.com/fairlane-scheduler/fairlane/e2e/harness"
)

// startSDK gives a client of all nodes and runs a worker of it until the test ends.
func startSDK(ctx context.Context, t *testing.T, cluster *harness.Cluster, lanes string, kind string, handle fairlane.RawHandler) *fairlane.Client {
	t.Helper()
	client, err := fairlane.Connect(cluster.Addresses()...)
	if err != nil {
		t.Fatal(err)
	}
	worker := fairlane.NewWorker(client, fairlane.Lanes(lanes), fairlane.WorkerName("sdk"))
	worker.HandleFunc(kind, handle)
	life, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- worker.Run(life) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
		if err := client.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return client
}

// TestWorkerCutOff: a worker of the SDK that reaches no node for longer than three quarters of its lease cancels its
// handler, and afterwards gives the claim back: the job runs again, and no attempt was charged (A6).
func TestWorkerCutOff(t *testing.T) {
	t.Parallel()
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	started := make(chan struct{}, 1)
	type end struct {
		at    time.Time
		cause error
	}
	cut := make(chan end, 1)
	client := startSDK(ctx, t, cluster, "cut:1", "cut", func(ctx context.Context, job *fairlane.RawJob) ([]byte, error) {
		if job.Attempt > 1 {
			return []byte("again"), nil
		}
		started <- struct{}{}
		<-ctx.Done()
		cut <- end{time.Now(), context.Cause(ctx)}
		return nil, ctx.Err()
	})
	handle, err := client.Enqueue(ctx, "cut", nil, fairlane.To("cut"), fairlane.Lease(shortLease, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	<-started
	if err := sleep(ctx, shortLease+500*time.Millisecond); err != nil { // heartbeats keep it beyond its lease
		t.Fatal(err)
	}
	select {
	case e := <-cut:
		t.Fatalf("cancelled before the cut: %v", e.cause)
	default:
	}
	begin := time.Now()
	for _, node := range cluster.Nodes {
		if err := node.Freeze(); err != nil {
			t.Fatal(err)
		}
	}
	var e end
	select {
	case e = <-cut:
	case <-time.After(2 * shortLease):
		t.Error("the handler still runs two leases after the cut")
	}
	for _, node := range cluster.Nodes {
		if err := node.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	if t.Failed() {
		return
	}
	// The last heartbeat was answered up to a second before the cut.
	if after, most := e.at.Sub(begin), shortLease*3/4; after > most+300*time.Millisecond || after < most-1500*time.Millisecond {
		t.Errorf("cancelled %v after the cut, want at most %v and little less", after, most)
	}
	if !errors.Is(e.cause, fairlane.ErrClaimLost) {
		t.Errorf("the cause is %v", e.cause)
	}
	job, err := handle.Wait(ctx)
	if err != nil || string(job.GetResult()) != "again" {
		t.Fatalf("the job after the cut: %v %v", job, err)
	}
	// A lost lease would have been charged; what was given back is not, and neither is success.
	if job.GetAttempt() != 2 || job.GetCharged() != 0 {
		t.Errorf("attempt %d, %d charged; the first should have been given back", job.GetAttempt(), job.GetCharged())
	}
}

// TestSDKThroughKill: producers and a worker of the SDK while the leader is killed: every job succeeds with its own
// result, and none runs twice, for no lease can end.
func TestSDKThroughKill(t *testing.T) {
	t.Parallel()
	jobs := 150
	if *full {
		jobs = 2000
	}
	cluster := harness.Start(t, harness.Options{LogStore: harness.LogStores[1]})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	var runs atomic.Int64
	client := startSDK(ctx, t, cluster, "sdk:4 *:4", "square", func(_ context.Context, job *fairlane.RawJob) ([]byte, error) {
		runs.Add(1)
		var n int
		if _, err := fmt.Sscan(string(job.Payload), &n); err != nil {
			return nil, fairlane.Discard(err)
		}
		return fmt.Append(nil, n*n), nil
	})
	var handles []*fairlane.Handle
	var killed *harness.Node
	for i := range jobs {
		if i == jobs/3 {
			leader, _, err := cluster.Leader(ctx)
			if err != nil {
				t.Fatal(err)
			}
			killed = leader
			killed.Kill()
		}
		handle, err := client.Enqueue(ctx, "square", i, fairlane.To([]string{"sdk", "other"}[i%2]), fairlane.AsUser(fmt.Sprint(i%3)))
		if err != nil {
			t.Fatal(err)
		}
		handles = append(handles, handle)
	}
	for i, handle := range handles {
		job, err := handle.Wait(ctx)
		if err != nil || string(job.GetResult()) != fmt.Sprint(i*i) {
			t.Fatalf("job %d: %v %v", i, job, err)
		}
	}
	if int(runs.Load()) != jobs {
		t.Errorf("%d runs of %d jobs", runs.Load(), jobs)
	}
	if err := cluster.Restart(ctx, killed); err != nil {
		t.Fatal(err)
	}
	cluster.CheckDigests(t)
}
