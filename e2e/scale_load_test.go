package e2e

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// scaleFull turns on the sizes that `make scale` measures: a million jobs, ten thousand workers. The short form, which is part of
// `make test`, goes the same way with a few thousand and claims nothing about speed.
var scaleFull = flag.Bool("scale.full", false, "measure at full size: 1,000,000 waiting jobs of 100,000 users, 10,000 workers")

// scalePayload is what each job of these tests carries: 256 bytes.
var scalePayload = func() []byte {
	payload := make([]byte, 256)
	for i := range payload {
		payload[i] = byte('a' + i%26)
	}
	return payload
}()

// scaleJob is the n-th job of a backlog of so many users, who take turns.
func scaleJob(n, users int) *fairlanev1.NewJob {
	return &fairlanev1.NewJob{Kind: "scale", Queue: "scale", User: fmt.Sprintf("user-%06d", n%users), Payload: &fairlanev1.NewJob_Data{Data: scalePayload}}
}

// backlog is a cluster in which many jobs wait.
type backlog struct {
	*harness.Cluster
	jobs, users int
	next        int // number of the next job that is enqueued
	leader      *harness.Node
	worker      *harness.Worker
	session     *harness.Session // of the filling: what is sent again is done once
}

// keepFew jobs that have ended, so that what is measured is what waits.
func keepFew(ctx context.Context, t *testing.T, cluster *harness.Cluster) {
	t.Helper()
	err := cluster.Any(ctx, func(ctx context.Context, api harness.API) error {
		_, err := api.Cluster.SetSettings(ctx, &fairlanev1.SetSettingsRequest{Settings: &fairlanev1.Settings{RetentionJobs: proto.Int64(1000)}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// startBacklog forms a cluster and fills it. The default limits of a cluster hold a million such jobs.
func startBacklog(ctx context.Context, t *testing.T, o harness.Options, jobs, users int) *backlog {
	t.Helper()
	o.Patience = time.Minute
	b := &backlog{Cluster: harness.Start(t, o), jobs: jobs, users: users}
	keepFew(ctx, t, b.Cluster)
	var err error
	if b.leader, _, err = b.Leader(ctx); err != nil {
		t.Fatal(err)
	}
	if b.worker, err = b.Register(ctx, "scale", "scale:64"); err != nil {
		t.Fatal(err)
	}
	if b.session, err = b.OpenSession(ctx, 1); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := b.fill(ctx, jobs); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d jobs of %d users enqueued in %v", jobs, users, time.Since(begin).Round(10*time.Millisecond))
	return b
}

// fill enqueues more jobs, 500 in a call, four calls at a time.
func (b *backlog) fill(ctx context.Context, jobs int) error {
	const inCall = 500
	var starts []int
	for at := 0; at < jobs; at += inCall {
		starts = append(starts, at)
	}
	first := b.next
	b.next += jobs
	return each(ctx, 4, starts, func(ctx context.Context, at int) error {
		number := b.session.Begin()
		defer b.session.End(number)
		request := &fairlanev1.EnqueueManyRequest{AllOrNothing: true, Repeat: b.session.Repeat(number)}
		for n := at; n < min(at+inCall, jobs); n++ {
			request.Jobs = append(request.Jobs, scaleJob(first+n, b.users))
		}
		var answer *fairlanev1.EnqueueManyResponse
		err := b.AnyFrom(ctx, b.leader.Number, 0, func(ctx context.Context, api harness.API) (err error) {
			answer, err = api.Jobs.EnqueueMany(ctx, request)
			return err
		})
		for _, result := range answer.GetResults() {
			if result.GetId() == 0 {
				return fmt.Errorf("a job was refused: %v", result.GetError())
			}
		}
		return err
	})
}

// cycle claims, finishes and enqueues one job, unary calls one after the other, and gives what each took. As many jobs wait as before.
func (b *backlog) cycle(ctx context.Context) (claim, finish, enqueue time.Duration, err error) {
	api := b.leader.Dial()
	number := b.worker.Begin()
	defer b.worker.End(number)
	begin := time.Now()
	answer, err := api.Workers.Claim(ctx, &fairlanev1.ClaimRequest{Session: b.worker.ID, Number: number, Lowest: number})
	claim = time.Since(begin)
	if err != nil || answer.GetClaim() == nil {
		return 0, 0, 0, fmt.Errorf("a claim found nothing: %v, %w", answer, err)
	}
	number = b.worker.Begin()
	defer b.worker.End(number)
	begin = time.Now()
	_, err = api.Workers.Finish(ctx, &fairlanev1.FinishRequest{Session: b.worker.ID, Fence: answer.GetClaim().GetFence(), Outcome: harness.Succeeded("done"),
		Number: number, Lowest: number})
	finish = time.Since(begin)
	if err != nil {
		return 0, 0, 0, err
	}
	begin = time.Now()
	_, err = api.Jobs.Enqueue(ctx, &fairlanev1.EnqueueRequest{Job: scaleJob(b.next, b.users)})
	enqueue = time.Since(begin)
	b.next++
	return claim, finish, enqueue, err
}

// resident is the memory of all nodes of a cluster, now and at most, in MB, and written out.
func resident(t *testing.T, cluster *harness.Cluster) (megabytes int64, text string) {
	t.Helper()
	var now, most []int64
	for _, n := range cluster.Nodes {
		usage, err := n.Usage()
		if err != nil {
			t.Fatal(err)
		}
		peak, err := n.PeakResident()
		if err != nil {
			t.Fatal(err)
		}
		now, most = append(now, usage.Resident/1e6), append(most, peak/1e6)
		megabytes += usage.Resident / 1e6
	}
	return megabytes, fmt.Sprintf("resident %v MB, together %d MB; at most %v MB", now, megabytes, most)
}

// cpuOf all nodes so far.
func cpuOf(t *testing.T, cluster *harness.Cluster) (total time.Duration) {
	t.Helper()
	for _, n := range cluster.Nodes {
		usage, err := n.Usage()
		if err != nil {
			t.Fatal(err)
		}
		total += usage.CPU
	}
	return total
}

// spans collects latencies. Safe for many goroutines.
type spans struct {
	mu  sync.Mutex
	all []time.Duration
}

func (s *spans) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, d)
}

// cut gives what was collected since the last cut, sorted.
func (s *spans) cut() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.all
	s.all = nil
	slices.Sort(out)
	return out
}

// percentiles written out; all must be sorted.
func percentiles(all []time.Duration) string {
	return fmt.Sprintf("p50 %v p99 %v worst %v (%d)", quantile(all, 50), quantile(all, 99), quantile(all, 100), len(all))
}
