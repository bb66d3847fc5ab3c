package cluster

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// WatchKind says what a watch looks at. Each kind has a budget of messages, shared by its watches.
type WatchKind uint8

// The kinds of watches.
const (
	WatchEvents WatchKind = iota
	WatchJobs
	WatchQueues

	watchKinds = iota
)

// budgets are the messages per second that a node makes for all watches of a kind together (docs/decisions/0010-event-ring.md).
var budgets = [watchKinds]int64{WatchEvents: 20_000, WatchJobs: 20_000, WatchQueues: 3_000}

// leastGap below which a watch does not wait at all.
const leastGap = time.Millisecond

// Topic of a watch: one job, one queue, or, when both are empty, everything.
type Topic struct {
	Job   fsm.JobID
	Queue string
}

// Watch signals that something changed in its topic. It is used by one goroutine, which reads what changed from the node: a signal
// carries nothing, and several changes may come as one.
type Watch struct {
	node    *Node
	name    Topic
	topic   *topic
	kind    WatchKind
	at      int // in topic.watches; guarded by feed.mu
	changed chan struct{}
	// soonest is when the pace of the watch allows its next message.
	soonest time.Time
}

// Watch a topic from now on. What happened before is to be read after this returns. Errors: *BusyError when this node has too many
// watches, ErrShutdown. Stop must be called.
func (n *Node) Watch(name Topic, kind WatchKind) (*Watch, error) {
	if n.isClosing() {
		return nil, ErrShutdown
	}
	f := n.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watches.Load() >= n.config.MaxWatches {
		return nil, &BusyError{RetryAfter: time.Second}
	}
	if f.watches.Load() == 0 { // the dispatcher slept: nobody waits for what happened meanwhile
		f.seen, f.dispatched = f.ring.tail()
		_, f.restores = f.ring.now()
	}
	f.watches.Add(1)
	f.kinds[kind].Add(1)
	w := &Watch{node: n, name: name, kind: kind, changed: make(chan struct{}, 1)}
	switch {
	case name.Job != 0:
		w.topic = topicOf(f.jobs, name.Job, "")
	case name.Queue != "":
		w.topic = topicOf(f.queues, name.Queue, name.Queue)
	default:
		w.topic = f.all
	}
	w.topic.add(w)
	return w, nil
}

func topicOf[K comparable](topics map[K]*topic, key K, queue string) *topic {
	if topics[key] == nil {
		topics[key] = &topic{queue: queue}
	}
	return topics[key]
}

// Stop the watch; once.
func (w *Watch) Stop() {
	f := w.node.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches.Add(-1)
	f.kinds[w.kind].Add(-1)
	if !w.topic.remove(w) {
		return
	}
	switch {
	case w.name.Job != 0:
		delete(f.jobs, w.name.Job)
	case w.name.Queue != "":
		delete(f.queues, w.name.Queue)
	}
}

// gap between two messages of one watch: the budget of its kind, shared by all of them.
func (w *Watch) gap() time.Duration {
	gap := time.Duration(w.node.feed.kinds[w.kind].Load()) * time.Second / time.Duration(budgets[w.kind])
	if gap < leastGap {
		return 0
	}
	return gap
}

// spread a gap by a quarter in both directions, so that watches which were signalled together do not send together for ever.
func spread(gap time.Duration) time.Duration {
	if gap == 0 {
		return 0
	}
	return gap*3/4 + rand.N(gap/2)
}

// Wait until something changed and the pace allows another message, at least least after the former. tick ends it too, with
// changed = false. Errors: ErrShutdown and that of ctx.
func (w *Watch) Wait(ctx context.Context, least time.Duration, tick <-chan time.Time) (changed bool, err error) {
	select {
	case <-w.changed:
	case <-tick:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-w.node.closing:
		return false, ErrShutdown
	}
	now := time.Now()
	if pause := w.soonest.Sub(now); pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
			now = now.Add(pause)
		case <-tick:
			poke(w.changed)
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case <-w.node.closing:
			return false, ErrShutdown
		}
		select {
		case <-w.changed: // what is read now holds that too
		default:
		}
	}
	if gap := max(spread(w.gap()), least); gap > 0 {
		w.soonest = now.Add(gap)
	}
	return true, nil
}

// Idle gives the position up to which nothing more happened in the topic than what was read after the last Wait. False when a
// signal waits.
func (w *Watch) Idle() (Position, bool) {
	f := w.node.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dispatched, len(w.changed) == 0
}

// Events after a position for which match holds, at most most, and the position to read on from. match runs under a lock and must be
// quick. The error is a *ResetError.
func (n *Node) Events(after Position, most int, match func(*Event) bool) (events []Event, to Position, err error) {
	return n.feed.ring.read(after, most, match)
}

// Newest position of the events of this node, and how often a snapshot replaced its state: then more changed than the events say.
func (n *Node) Newest() (end Position, restores uint64) { return n.feed.ring.now() }

// OldestEvents is the position after which every event is kept here.
func (n *Node) OldestEvents() Position { return n.feed.ring.oldest() }

// ViewAt is View with the position of the events that the state holds.
func (n *Node) ViewAt(read func(*fsm.Machine, Position)) {
	n.machine.mu.RLock()
	defer n.machine.mu.RUnlock()
	read(n.machine.state, n.machine.end)
}

// QueueView is a queue at one position.
type QueueView struct {
	fsm.QueueStatus
	At Position
	// Version rises when more changed than how long the oldest job waits.
	Version uint64
	// Gone: there is no such queue.
	Gone bool
}

// Queue gives the watched queue as it is now. All watches of it share the view, which is made once for each log index. It
// must not be changed.
func (w *Watch) Queue() *QueueView { return w.node.queueView(w.topic) }

func (n *Node) queueView(t *topic) *QueueView {
	t.viewing.Lock()
	defer t.viewing.Unlock()
	if t.view != nil && t.view.At.Index == n.machine.applied() {
		return t.view
	}
	fresh := &QueueView{}
	n.ViewAt(func(m *fsm.Machine, at Position) {
		var known bool
		fresh.QueueStatus, known = m.QueueStatus(t.queue)
		fresh.At, fresh.Gone = at, !known
	})
	if old := t.view; old != nil {
		fresh.Version = old.Version
		if !fresh.equal(old) {
			fresh.Version++
		}
	} else {
		fresh.Version = 1
	}
	t.view = fresh
	return fresh
}

// lookAt a watched queue; true when it changed.
func (n *Node) lookAt(t *topic) (changed bool) {
	t.viewing.Lock()
	var former uint64
	if t.view != nil {
		former = t.view.Version
	}
	t.viewing.Unlock()
	return n.queueView(t).Version != former
}

// equal but for how long the oldest job waits.
func (v *QueueView) equal(o *QueueView) bool {
	return v.Gone == o.Gone && v.Users == o.Users && v.LiveClaims == o.LiveClaims && v.HasWork == o.HasWork && proto.Equal(v.QueueStatus.Queue, o.QueueStatus.Queue)
}
