package cluster

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

func watch(t testing.TB, n *Node, name Topic, kind WatchKind) *Watch {
	t.Helper()
	w, err := n.Watch(name, kind)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// next waits for a signal.
func (w *world) next(watch *Watch) {
	w.t.Helper()
	if _, err := watch.Wait(w.limit(10*time.Second), 0, nil); err != nil {
		w.t.Fatal(err)
	}
}

// TestWatchTopics: each watch is told of its own topic, and reads the state that holds what it was told of.
func TestWatchTopics(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	session := w.worker(n, "worker", 1)
	job := w.propose(n, enqueue(1)).GetEnqueue().GetOutcomes()[0].GetJob()
	mine, other := watch(t, n, Topic{Job: fsm.JobID(job)}, WatchJobs), watch(t, n, Topic{Job: 999}, WatchJobs)
	queue, otherQueue := watch(t, n, Topic{Queue: "default"}, WatchQueues), watch(t, n, Topic{Queue: "other"}, WatchQueues)
	all := watch(t, n, Topic{}, WatchEvents)
	for _, watch := range []*Watch{mine, other, queue, otherQueue, all} {
		defer watch.Stop()
	}
	before, _ := n.Newest()
	fence := w.propose(n, claim(session)).GetClaim().GetFence()
	for _, watch := range []*Watch{mine, queue, all} {
		w.next(watch)
	}
	if state := w.stateOf(n, job); state != logv1.State_STATE_RUNNING {
		t.Errorf("told of a change, the job is %v", state)
	}
	events, to, err := n.Events(before, 10, anything)
	if err != nil || len(events) != 1 || events[0].Kind != fsm.JobClaimed || events[0].Fence != fsm.Fence(fence) || to != events[0].Position || events[0].WallMs == 0 {
		t.Errorf("events %+v to %v, %v", events, to, err)
	}
	w.propose(n, finish(session, fence))
	w.next(mine)
	w.until("the queue to be seen empty", func() bool { v := queue.Queue(); return !v.Gone && v.QueueStatus.Queue.GetCounts().GetSucceeded() == 1 })
	if at, idle := other.Idle(); len(other.changed) > 0 || !idle || before == at {
		t.Errorf("the watch of another job: idle %v at %v", idle, at)
	}
	if !otherQueue.Queue().Gone {
		t.Error("there is a queue that nobody made")
	}
	w.close(n)
	if _, err := mine.Wait(t.Context(), 0, nil); err != nil && !errors.Is(err, ErrShutdown) {
		t.Error(err)
	}
	if _, err := other.Wait(t.Context(), 0, nil); !errors.Is(err, ErrShutdown) {
		t.Errorf("after the shutdown: %v", err)
	}
	if _, err := n.Watch(Topic{}, WatchEvents); !errors.Is(err, ErrShutdown) {
		t.Errorf("a new watch after the shutdown: %v", err)
	}
}

// TestWatchOutputs: output is no event, and wakes the watches of its job.
func TestWatchOutputs(t *testing.T) {
	f := newFeed(newRing(100, 0, Position{Epoch: 1}))
	n := &Node{feed: f, closing: make(chan struct{}), config: Config{MaxWatches: 3}}
	mine, other, all := watch(t, n, Topic{Job: 5}, WatchJobs), watch(t, n, Topic{Job: 6}, WatchJobs), watch(t, n, Topic{}, WatchEvents)
	if _, err := n.Watch(Topic{}, WatchEvents); !errors.As(err, new(*BusyError)) {
		t.Errorf("a fourth watch of three: %v", err)
	}
	f.publish(&fsm.Outcome{Epoch: 1, Index: 3, Outputs: []fsm.JobID{5}})
	f.dispatchRound()
	if len(mine.changed) != 1 || len(other.changed) != 0 || len(all.changed) != 0 {
		t.Errorf("told: %d %d %d", len(mine.changed), len(other.changed), len(all.changed))
	}
	// More jobs than are kept by name: every job is told.
	many := make([]fsm.JobID, maxTouched+1)
	for i := range many {
		many[i] = fsm.JobID(1000 + i)
	}
	f.publish(&fsm.Outcome{Epoch: 1, Index: 4, Outputs: many})
	f.dispatchRound()
	if len(other.changed) != 1 || len(all.changed) != 0 {
		t.Errorf("told of too many: %d %d", len(other.changed), len(all.changed))
	}
	<-mine.changed
	f.restored(Position{1, 9, lastPlace})
	f.dispatchRound()
	if len(mine.changed) != 1 || len(all.changed) != 1 {
		t.Errorf("told of a snapshot: %d %d", len(mine.changed), len(all.changed))
	}
	for _, w := range []*Watch{mine, other, all} {
		w.Stop()
	}
	if len(f.jobs) != 0 || len(f.all.watches) != 0 || f.watches.Load() != 0 {
		t.Error("stopped watches are kept")
	}
}

// TestDispatcherFallsBehind: the ring went on without it, so everybody looks.
func TestDispatcherFallsBehind(t *testing.T) {
	f := newFeed(newRing(4, 0, Position{Epoch: 1}))
	n := &Node{feed: f, closing: make(chan struct{}), config: Config{MaxWatches: 10}}
	job, queue := watch(t, n, Topic{Job: 5}, WatchJobs), watch(t, n, Topic{Queue: "none"}, WatchQueues)
	for index := range uint64(9) {
		f.publish(outcomeOf(1, index+1, 1))
	}
	f.dispatchRound()
	if len(job.changed) != 1 || len(queue.changed) != 1 {
		t.Errorf("told: %d %d", len(job.changed), len(queue.changed))
	}
	if at, _ := job.Idle(); at != (Position{1, 9, 0}) {
		t.Errorf("dispatched up to %v", at)
	}
}

// TestPace: one watch is told at once, many share the budget.
func TestPace(t *testing.T) {
	f := newFeed(newRing(4, 0, Position{Epoch: 1}))
	n := &Node{feed: f, closing: make(chan struct{}), config: Config{MaxWatches: maxWatches}}
	one := watch(t, n, Topic{Queue: "q"}, WatchQueues)
	if one.gap() != 0 {
		t.Errorf("one watch waits %v", one.gap())
	}
	for range 9_999 {
		watch(t, n, Topic{Queue: "q"}, WatchQueues)
	}
	if want := 10_000 * time.Second / time.Duration(budgets[WatchQueues]); one.gap() != want {
		t.Errorf("each of 10,000 watches waits %v, want %v", one.gap(), want)
	}
	for range 100 {
		if got := spread(one.gap()); got < one.gap()*3/4 || got >= one.gap()*5/4 {
			t.Errorf("a gap of %v is spread to %v", one.gap(), got)
		}
	}
	if job := watch(t, n, Topic{Job: 1}, WatchJobs); job.gap() != 0 {
		t.Error("watches of another kind pay for them")
	}
}

// TestQueueViewIsShared: all watches of a queue get the same view at the same index.
func TestQueueViewIsShared(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, nil)
	n := w.nodes[0]
	w.propose(n, enqueue(1))
	a, b := watch(t, n, Topic{Queue: "default"}, WatchQueues), watch(t, n, Topic{Queue: "default"}, WatchQueues)
	defer a.Stop()
	defer b.Stop()
	first := a.Queue()
	if b.Queue() != first || first.Version != 1 {
		t.Errorf("two views of one index: %p %p", first, b.Queue())
	}
	w.propose(n, checkpoint())
	if second := a.Queue(); second == first || second.Version != first.Version {
		t.Errorf("nothing of the queue changed: %+v", second)
	}
	w.propose(n, enqueue(1))
	if third := b.Queue(); third.Version != first.Version+1 || third.QueueStatus.Queue.GetCounts().GetPending() != 2 {
		t.Errorf("the queue changed: %+v", third)
	}
}

// BenchmarkPublish: what Apply pays for watches. The count of them must not show.
func BenchmarkPublish(b *testing.B) {
	for _, watches := range []int{0, 1, 10_000} {
		b.Run(fmt.Sprint(watches), func(b *testing.B) {
			f := newFeed(newRing(0, 0, Position{Epoch: 1}))
			n := &Node{feed: f, closing: make(chan struct{}), config: Config{MaxWatches: maxWatches}}
			ctx := b.Context()
			done := make(chan struct{})
			go func() {
				defer close(done)
				f.dispatch(ctx, func(*topic) bool { return false })
			}()
			for range watches {
				watch(b, n, Topic{Queue: "default"}, WatchEvents)
			}
			o := outcomeOf(1, 0, 16)
			for b.Loop() {
				o.Index++
				f.publish(o)
			}
		})
	}
}

// BenchmarkWatchQueue: 10,000 watchers of one queue, each in a goroutine of its own as in a stream, while jobs come.
func BenchmarkWatchQueue(b *testing.B) {
	for _, watches := range []int{0, 10_000} {
		b.Run(fmt.Sprint(watches), func(b *testing.B) {
			w := newWorld(b, StoreWAL, 1, nil)
			n := w.nodes[0]
			w.propose(n, enqueue(1))
			var frames atomic.Int64
			ctx := b.Context()
			heap := heapBytes()
			for range watches {
				watch := watch(b, n, Topic{Queue: "default"}, WatchQueues)
				go func() {
					defer watch.Stop()
					for {
						watch.Queue()
						frames.Add(1)
						if _, err := watch.Wait(ctx, 0, nil); err != nil {
							return
						}
					}
				}()
			}
			heap = heapBytes() - heap
			began, busy := time.Now(), cpuTime()
			frames.Store(0)
			for b.Loop() {
				w.propose(n, enqueue(1))
			}
			seconds := time.Since(began).Seconds()
			if watches > 0 {
				b.ReportMetric(float64(heap)/float64(watches), "bytes/watch")
			}
			b.ReportMetric(float64(frames.Load())/seconds, "frames/s")
			b.ReportMetric((cpuTime()-busy).Seconds()/seconds*100, "%cpu")
		})
	}
}
