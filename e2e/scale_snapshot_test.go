package e2e

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestScaleSnapshots: enqueues at a fixed rate while the leader of a large backlog writes snapshots, one after the other, with pauses. It says what
// an enqueue takes, from the instant at which it was due, while a snapshot is written and while none is; and at full size it holds that the log is cut
// behind the snapshots and that old ones go, so that the disk does not fill (B4).
func TestScaleSnapshots(t *testing.T) {
	jobs, users, rate, wanted, every := 12_000, 1200, 100, 3, 100 // too few batches for a cut of the log
	if *scaleFull {
		jobs, users, rate, wanted, every = 1_000_000, 100_000, 500, 6, 4000
	}
	for _, store := range harness.LogStores {
		t.Run(store, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
			defer cancel()
			b := startBacklog(ctx, t, harness.Options{LogStore: store, NodeEnv: func(node int) []string {
				if node == 0 || !*scaleFull { // it leads, and nobody else writes snapshots while figures are measured
					return []string{harness.SnapshotEvery(every)}
				}
				return nil
			}}, jobs, users)
			if *scaleFull && b.leader != b.Nodes[0] {
				t.Fatal("the run is invalid: another node leads than the one that makes snapshots")
			}
			load := b.openLoop(ctx, rate)
			watchSnapshot(ctx, t, b.leader) // those of the filling are no part of this
			load.forget()
			begin := time.Now()
			disk := newDiskWatch(t, b.leader)
			windows := watchWindows(ctx, t, b.leader, wanted, time.Second/time.Duration(rate), disk)
			during, without, failed := load.stop(windows)
			t.Logf("%d snapshots of %d jobs in %v, each of %v in the median, at %d enqueues/s: during %s; without %s; p99 ratio %.2f",
				len(windows), b.jobs, time.Since(begin).Round(time.Second), medianLength(windows).Round(time.Millisecond), rate, percentiles(during), percentiles(without),
				float64(quantile(during, 99))/float64(max(1, quantile(without, 99))))
			disk.look(t)
			t.Logf("disk of the leader: %s", disk.text())
			if err := disk.check(store); *scaleFull && err != nil {
				t.Error(err)
			}
			if len(during) == 0 || len(without) == 0 || failed > 0 {
				t.Errorf("the run is invalid: %d enqueues fell into a snapshot, %d did not, %d failed", len(during), len(without), failed)
			}
			b.CheckDigests(t)
		})
	}
}

// window in which a snapshot was written.
type window struct{ from, to time.Time }

func medianLength(windows []window) time.Duration {
	var all []time.Duration
	for _, w := range windows {
		all = append(all, w.to.Sub(w.from))
	}
	slices.Sort(all)
	return quantile(all, 50)
}

// leastWritten is during how many enqueues a snapshot has to be written, all windows together, so that some fall into them.
const leastWritten = 10

// watchWindows waits for so many snapshots of the node, and more if they were short for the gap between two enqueues, and gives when each was written.
func watchWindows(ctx context.Context, t *testing.T, n *harness.Node, wanted int, gap time.Duration, disk *diskWatch) (windows []window) {
	t.Helper()
	var open time.Time
	var written time.Duration
	looked := time.Now()
	for len(windows) < wanted || written < leastWritten*gap {
		switch now := writing(n); {
		case now && open.IsZero():
			open = time.Now()
		case !now && !open.IsZero():
			written += time.Since(open)
			windows, open = append(windows, window{open, time.Now()}), time.Time{}
		}
		if time.Since(looked) > 200*time.Millisecond {
			looked = time.Now()
			disk.look(t)
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			t.Fatalf("%d of %d snapshots: %v", len(windows), wanted, err)
		}
	}
	return windows
}

// openLoad enqueues at a fixed rate, whether or not the cluster keeps up.
type openLoad struct {
	end     context.CancelFunc
	parties sync.WaitGroup

	mu    sync.Mutex
	taken []dueSpan
}

// dueSpan is one enqueue: when it was due, and how long after that it was answered.
type dueSpan struct {
	due  time.Time
	took time.Duration
	err  error
}

// openLoop starts the load against the leader.
func (b *backlog) openLoop(ctx context.Context, rate int) *openLoad {
	life, end := context.WithCancel(ctx)
	l := &openLoad{end: end}
	api, users, next := b.leader.Dial(), b.users, b.next
	l.parties.Go(func() {
		begin := time.Now()
		for n := 0; ; n++ {
			due := begin.Add(time.Duration(n) * time.Second / time.Duration(rate))
			if sleep(life, time.Until(due)) != nil {
				return
			}
			l.parties.Go(func() {
				_, err := api.Jobs.Enqueue(life, &fairlanev1.EnqueueRequest{Job: scaleJob(next+n, users)})
				if life.Err() == nil {
					l.mu.Lock()
					l.taken = append(l.taken, dueSpan{due, time.Since(due), err})
					l.mu.Unlock()
				}
			})
		}
	})
	return l
}

// forget what was measured so far.
func (l *openLoad) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = nil
}

// stop the load, and give the latencies inside and outside of the windows, sorted, and how many enqueues failed.
func (l *openLoad) stop(windows []window) (inside, outside []time.Duration, failed int) {
	l.end()
	l.parties.Wait()
	for _, one := range l.taken {
		at := func(w window) bool { return !one.due.Before(w.from) && one.due.Before(w.to) }
		switch {
		case one.err != nil:
			failed++
		case slices.ContainsFunc(windows, at):
			inside = append(inside, one.took)
		default:
			outside = append(outside, one.took)
		}
	}
	slices.Sort(inside)
	slices.Sort(outside)
	return inside, outside, failed
}
