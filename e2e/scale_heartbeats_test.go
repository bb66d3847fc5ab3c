package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// beatEvery is the interval that a cluster asks for by default.
const beatEvery = 20 * time.Second

// fleet is many workers with claims, whose heartbeats are sent at even distances, each worker's once in every interval.
type fleet struct {
	api     harness.API
	workers []*heldClaims
	every   time.Duration

	sent, failed, lost atomic.Int64
}

type heldClaims struct {
	session uint64
	fences  []uint64
}

// TestScaleHeartbeats: workers that hold five jobs each send their heartbeats at the default interval. It says what that costs in commands, log
// entries and CPU, and what a claim takes meanwhile and without, in turns.
func TestScaleHeartbeats(t *testing.T) {
	workers, every, spell, turns := 200, 2*time.Second, time.Second, 1
	if *scaleFull {
		workers, every, spell, turns = 10_000, beatEvery, 10*time.Second, 3
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	b := startBacklog(ctx, t, harness.Options{}, workers*5+2000, 1000)
	begin := time.Now()
	f := &fleet{api: b.leader.Dial(), every: every}
	f.hire(ctx, t, b, workers)
	t.Logf("%d workers registered and claimed 5 jobs each in %v", workers, time.Since(begin).Round(10*time.Millisecond))
	f.run(ctx, every) // all leases are fresh
	var quiet, busy phase
	for range turns {
		quiet.measure(ctx, t, b, func(ctx context.Context) { _ = sleep(ctx, spell) })
		busy.measure(ctx, t, b, func(ctx context.Context) { f.run(ctx, every) })
	}
	t.Logf("without heartbeats: %s", quiet.text())
	t.Logf("with heartbeats of %d workers with 5 jobs each, every %v: %s", workers, every, busy.text())
	t.Logf("heartbeats: %d sent, %d failed, %d claims lost", f.sent.Load(), f.failed.Load(), f.lost.Load())
	if f.failed.Load() > 0 || f.lost.Load() > 0 {
		t.Error("heartbeats failed, or claims were lost")
	}
	status, err := b.leader.Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
	if got := status.GetTotals().GetClaims(); err != nil || got != uint64(workers*5) {
		t.Errorf("%d claims live, want %d (%v)", got, workers*5, err)
	}
}

// hire registers the workers and claims five jobs for each.
func (f *fleet) hire(ctx context.Context, t *testing.T, b *backlog, workers int) {
	t.Helper()
	names := make([]string, workers)
	for i := range names {
		names[i] = fmt.Sprintf("fleet-%05d", i)
	}
	var mu sync.Mutex
	err := each(ctx, 64, names, func(ctx context.Context, name string) error {
		answer, err := f.api.Workers.Register(ctx, &fairlanev1.RegisterRequest{Name: name, Nonce: 1, Lanes: "scale:5"})
		if err != nil {
			return err
		}
		w := &heldClaims{session: answer.GetSession()}
		for n := range uint64(5) {
			claim, err := f.api.Workers.Claim(ctx, &fairlanev1.ClaimRequest{Session: w.session, Number: n + 1, Lowest: n + 1})
			if err != nil || claim.GetClaim() == nil {
				return fmt.Errorf("a claim found nothing: %v, %w", claim, err)
			}
			w.fences = append(w.fences, claim.GetClaim().GetFence())
		}
		mu.Lock()
		defer mu.Unlock()
		f.workers = append(f.workers, w)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.jobs -= workers * 5
}

// run sends heartbeats for so long.
func (f *fleet) run(ctx context.Context, spell time.Duration) {
	var open sync.WaitGroup
	defer open.Wait()
	begin, gap := time.Now(), f.every/time.Duration(len(f.workers))
	for n := range int(spell / gap) {
		if sleep(ctx, time.Until(begin.Add(time.Duration(n)*gap))) != nil {
			return
		}
		w := f.workers[n%len(f.workers)]
		open.Go(func() {
			answer, err := f.api.Workers.Heartbeat(ctx, &fairlanev1.HeartbeatRequest{Session: w.session, Fences: w.fences})
			f.sent.Add(1)
			if err != nil {
				f.failed.Add(1)
				return
			}
			for _, status := range answer.GetStatuses() {
				if status != fairlanev1.ClaimStatus_CLAIM_STATUS_OK {
					f.lost.Add(1)
				}
			}
		})
	}
}

// phase is what was measured in all spells of one kind.
type phase struct {
	claims  []time.Duration
	cpu     time.Duration // of all nodes
	lasted  time.Duration
	entries uint64
}

// measure claims one job after the other, about a hundred in a second, while meanwhile runs.
func (s *phase) measure(ctx context.Context, t *testing.T, b *backlog, meanwhile func(context.Context)) {
	t.Helper()
	begin, cpu, applied := time.Now(), cpuOf(t, b.Cluster), appliedIndex(ctx, t, b.Cluster)
	life, end := context.WithCancel(ctx)
	var other sync.WaitGroup
	other.Go(func() { defer end(); meanwhile(ctx) })
	for life.Err() == nil {
		next := time.Now().Add(10 * time.Millisecond)
		claim, _, _, err := b.cycle(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s.claims = append(s.claims, claim)
		_ = sleep(life, time.Until(next))
	}
	other.Wait()
	s.lasted += time.Since(begin)
	s.cpu += cpuOf(t, b.Cluster) - cpu
	s.entries += appliedIndex(ctx, t, b.Cluster) - applied
	slices.Sort(s.claims)
}

func (s *phase) text() string {
	return fmt.Sprintf("claim %s; %.0f log entries/s, CPU of the nodes %.1f %% of one core", percentiles(s.claims), float64(s.entries)/s.lasted.Seconds(),
		100*s.cpu.Seconds()/s.lasted.Seconds())
}
