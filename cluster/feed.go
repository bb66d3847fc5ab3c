package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

const (
	// maxWatches of one node; further ones are told to come back later.
	maxWatches = 50_000
	// maxTouched jobs whose output grew wait for the dispatcher by name; when they are more, every watch of a job is told.
	maxTouched = 65_536
	// dispatchStep is how many events the dispatcher looks at in one round.
	dispatchStep = 4096
	// dispatchRest is how much longer the dispatcher rests than it worked: it never takes more than a tenth of one processor.
	dispatchRest = 9
	// maxRest of the dispatcher between two rounds.
	maxRest = 250 * time.Millisecond
	// lookAgain is how often watched queues are looked at without an event: the user limits of a queue are freed in others too.
	lookAgain = time.Second
)

// feed tells watchers what changed.
//
// Apply appends the events of a batch to the ring and pokes one goroutine, the dispatcher; that is all that it does, however many
// watches there are. The dispatcher looks at each event once, finds the topics that it touches, and pokes their watches. A watch has room
// for one signal: who is slow gets several changes at once, and nobody waits for him.
type feed struct {
	ring *ring
	poke chan struct{} // to the dispatcher

	// watches is the number of them all; Apply pokes nobody while it is 0.
	watches atomic.Int64
	// kinds counts them by kind, for their pace.
	kinds [watchKinds]atomic.Int64

	// outputs are the jobs whose output grew since the dispatcher looked.
	outputs struct {
		sync.Mutex
		jobs map[fsm.JobID]struct{}
		all  bool
	}

	mu         sync.Mutex
	all        *topic
	jobs       map[fsm.JobID]*topic
	queues     map[string]*topic
	seen       uint64   // number of the first event that was not dispatched
	dispatched Position // of the last one that was
	restores   uint64
	round      uint64
}

func newFeed(r *ring) *feed {
	f := &feed{ring: r, poke: make(chan struct{}, 1), all: &topic{}, jobs: make(map[fsm.JobID]*topic), queues: make(map[string]*topic)}
	f.outputs.jobs = make(map[fsm.JobID]struct{})
	return f
}

// publish what a batch did. Called by Apply alone, after the state holds the batch.
func (f *feed) publish(o *fsm.Outcome) {
	f.ring.append(o)
	// A watch that is made after this look reads the ring and the state after it, and so finds what is published here.
	if f.watches.Load() == 0 {
		return
	}
	if len(o.Outputs) > 0 {
		f.outputs.Lock()
		for _, job := range o.Outputs {
			if len(f.outputs.jobs) >= maxTouched {
				f.outputs.all = true
				break
			}
			f.outputs.jobs[job] = struct{}{}
		}
		f.outputs.Unlock()
	}
	poke(f.poke)
}

// restored says that a snapshot replaced the state.
func (f *feed) restored(at Position) {
	f.ring.restore(at)
	poke(f.poke)
}

// dispatch until ctx ends.
func (f *feed) dispatch(ctx context.Context, look func(*topic) bool) {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-f.poke:
		case <-again.C:
			f.lookAtQueues(look)
			continue
		case <-ctx.Done():
			return
		}
		began := time.Now()
		if f.dispatchRound() {
			poke(f.poke)
		}
		if pause := min(dispatchRest*time.Since(began), maxRest); pause > 100*time.Microsecond {
			rest.Reset(pause)
			select {
			case <-rest.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

// dispatchRound pokes the watches of what happened since the last round. more: events are left for another one.
func (f *feed) dispatchRound() (more bool) {
	f.outputs.Lock()
	var grown map[fsm.JobID]struct{}
	if len(f.outputs.jobs) > 0 {
		grown, f.outputs.jobs = f.outputs.jobs, make(map[fsm.JobID]struct{})
	}
	everyJob := f.outputs.all
	f.outputs.all = false
	f.outputs.Unlock()

	f.mu.Lock()
	defer f.mu.Unlock()
	f.round++
	everyQueue := false
	next, to, lost, more := f.ring.touched(f.seen, dispatchStep, func(e *Event) {
		if t := f.jobs[e.Job]; t != nil {
			t.touch(f.round)
		}
		if t := f.queues[e.Queue]; t != nil && e.Queue != "" {
			t.touch(f.round)
		}
		everyQueue = everyQueue || e.Kind == fsm.SettingsChanged
	})
	if _, restores := f.ring.now(); restores != f.restores {
		f.restores, lost = restores, true
	}
	if next != f.seen || lost {
		f.all.touch(f.round)
	}
	f.seen, f.dispatched = next, to
	if lost || everyJob {
		for _, t := range f.jobs {
			t.touch(f.round)
		}
	} else {
		for job := range grown {
			if t := f.jobs[job]; t != nil {
				t.touch(f.round)
			}
		}
	}
	if lost || everyQueue {
		for _, t := range f.queues {
			t.touch(f.round)
		}
	}
	return more
}

// lookAtQueues pokes the watches of queues that changed without an event of their own.
func (f *feed) lookAtQueues(look func(*topic) bool) {
	f.mu.Lock()
	var watched []*topic
	for _, t := range f.queues {
		if t.views > 0 {
			watched = append(watched, t)
		}
	}
	f.mu.Unlock()
	for _, t := range watched {
		if !look(t) {
			continue
		}
		f.mu.Lock()
		f.round++
		t.touch(f.round)
		f.mu.Unlock()
	}
}

// topic is what a watch is about. Its watches share what is made for them. Guarded by feed.mu but for view.
type topic struct {
	queue   string
	watches []*Watch
	views   int    // watches that look at the queue
	round   uint64 // in which its watches were poked last

	viewing sync.Mutex
	view    *QueueView // guarded by viewing
}

// touch pokes every watch, once in a round. The caller holds feed.mu.
func (t *topic) touch(round uint64) {
	if t.round == round {
		return
	}
	t.round = round
	for _, w := range t.watches {
		poke(w.changed)
	}
}

func (t *topic) add(w *Watch) {
	w.at = len(t.watches)
	t.watches = append(t.watches, w)
	if w.kind == WatchQueues {
		t.views++
	}
}

func (t *topic) remove(w *Watch) (empty bool) {
	last := len(t.watches) - 1
	t.watches[w.at] = t.watches[last]
	t.watches[w.at].at = w.at
	t.watches[last] = nil
	t.watches = t.watches[:last]
	if w.kind == WatchQueues {
		t.views--
	}
	return last == 0
}

// poke a channel with room for one signal.
func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
