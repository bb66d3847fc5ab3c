package cluster

import (
	"sync"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

// feed tells watchers which jobs changed. A watcher has room for one signal and reads the state itself, so a slow one
// misses no change and never holds up Apply.
type feed struct {
	mu     sync.Mutex
	jobs   map[fsm.JobID]map[chan struct{}]struct{}
	closed bool
}

func newFeed() *feed { return &feed{jobs: make(map[fsm.JobID]map[chan struct{}]struct{})} }

// WatchJob signals each change of a job, several changes perhaps once. The channel is closed when this node shuts down.
// stop ends the watch and may be repeated.
func (n *Node) WatchJob(id fsm.JobID) (changed <-chan struct{}, stop func()) { return n.feed.watch(id) }

func (f *feed) watch(id fsm.JobID) (<-chan struct{}, func()) {
	signal := make(chan struct{}, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		close(signal)
		return signal, func() {}
	}
	if f.jobs[id] == nil {
		f.jobs[id] = make(map[chan struct{}]struct{})
	}
	f.jobs[id][signal] = struct{}{}
	return signal, func() { f.stop(id, signal) }
}

func (f *feed) stop(id fsm.JobID, signal chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.jobs[id], signal)
	if len(f.jobs[id]) == 0 {
		delete(f.jobs, id)
	}
}

func (f *feed) publish(events []fsm.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.jobs) == 0 {
		return
	}
	for i := range events {
		if events[i].Job == 0 {
			continue
		}
		for signal := range f.jobs[events[i].Job] {
			poke(signal)
		}
	}
}

// everything may have changed: a snapshot was installed.
func (f *feed) everything() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, watchers := range f.jobs {
		for signal := range watchers {
			poke(signal)
		}
	}
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, watchers := range f.jobs {
		for signal := range watchers {
			close(signal)
		}
	}
	f.jobs = nil
}

// poke a channel with room for one signal.
func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
