package cluster

import (
	"fmt"
	"sort"
	"sync"

	"github.com/fairlane-scheduler/fairlane/fsm"
)

const (
	// defaultEvents and defaultEventBytes bound what a node keeps of the past.
	defaultEvents     = 65_536
	defaultEventBytes = 64 << 20
	// eventBytes is the room of one event without its texts.
	eventBytes = 136
	// tickBytes is what an event of a fire time holds besides.
	tickBytes = 176
	// chunkEvents are allocated at a time and used again, so that appending never copies what is there.
	chunkEvents = 256
	// scanEvents bounds how many events a reader looks at while it holds the lock.
	scanEvents = 1024
)

// Event is one event of the log with its position.
type Event struct {
	fsm.Event
	Position
	// WallMs is the machine's wall clock in Unix milliseconds when it happened.
	WallMs int64
}

// ResetError says that events between the asked position and To are not kept here, and why. A reader goes on from To.
type ResetError struct {
	To  Position
	Why string
	// Slow: nothing but the reader's own speed is the reason: it was there when the events came.
	Slow bool
}

func (e *ResetError) Error() string { return "events were lost: " + e.Why }

// ring keeps the newest events of this node in the order of the log, bounded in number and bytes. Readers name a position, so
// a ring owes them nothing: it forgets the oldest whatever they do.
//
//	floor < position of every kept event <= end;  no event between floor and the first kept one was ever left out
type ring struct {
	most, mostBytes int

	mu     sync.RWMutex
	chunks [][]Event // event number n lies in chunks[n/chunkEvents % len(chunks)]
	first  uint64    // number of the oldest kept event
	next   uint64    // number of the next event; first <= next
	bytes  int
	floor  Position // of the newest event that is not kept
	end    Position // up to which all events were appended
	// restored is the position of the newest snapshot that replaced the state; events up to it never came here.
	restored Position
	restores uint64
}

func newRing(most, mostBytes int, start Position) *ring {
	set(&most, defaultEvents)
	set(&mostBytes, defaultEventBytes)
	chunks := (most+chunkEvents-1)/chunkEvents + 1 // the oldest and the newest may share none
	return &ring{most: most, mostBytes: mostBytes, chunks: make([][]Event, chunks), floor: start, end: start, restored: start}
}

func (r *ring) at(number uint64) *Event {
	return &r.chunks[number/chunkEvents%uint64(len(r.chunks))][number%chunkEvents]
}

// append the events of one applied batch. It costs the events of the batch and nothing else.
func (r *ring) append(o *fsm.Outcome) {
	if len(o.Events) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range o.Events {
		e := &o.Events[i]
		if r.next-r.first >= uint64(r.most) {
			r.drop()
		}
		chunk := &r.chunks[r.next/chunkEvents%uint64(len(r.chunks))]
		if *chunk == nil {
			*chunk = make([]Event, chunkEvents)
		}
		kept := Event{Event: *e, Position: Position{o.Epoch, o.Index, e.Place}, WallMs: o.WallMs}
		(*chunk)[r.next%chunkEvents] = kept
		r.next++
		r.bytes += sizeOf(&kept)
		r.end = kept.Position
	}
	for r.bytes > r.mostBytes && r.first < r.next {
		r.drop()
	}
}

// drop the oldest event. The caller holds mu.
func (r *ring) drop() {
	e := r.at(r.first)
	r.floor = e.Position
	r.bytes -= sizeOf(e)
	*e = Event{}
	r.first++
}

func sizeOf(e *Event) int {
	bytes := eventBytes + len(e.Queue) + len(e.User) + len(e.Worker) + len(e.Schedule)
	if e.Tick != nil {
		bytes += tickBytes
	}
	return bytes
}

// restore empties the ring: the state is that of a snapshot now, which says nothing of how it came to be.
func (r *ring) restore(at Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.first < r.next {
		r.drop()
	}
	r.floor, r.end, r.restored = at, at, at
	r.restores++
}

// now is the position of the newest event, and how often a snapshot replaced the state.
func (r *ring) now() (end Position, restores uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.end, r.restores
}

// oldest position after which every event is kept.
func (r *ring) oldest() Position {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.floor
}

// read gives at most most events after a position for which match holds, in order, and the position up to which everything
// was looked at: read on from there. A position that this node has not reached yet gives nothing and itself.
func (r *ring) read(after Position, most int, match func(*Event) bool) (events []Event, to Position, err error) {
	for to = after; ; {
		var done bool
		events, to, done, err = r.scan(events, to, most, match)
		if err != nil && len(events) > 0 {
			err = nil // what was found is given; the next read fails
			done = true
		}
		if done || err != nil {
			return events, to, err
		}
	}
}

// scan a bounded number of events, so that Apply waits for no reader longer than that takes.
func (r *ring) scan(events []Event, after Position, most int, match func(*Event) bool) (_ []Event, to Position, done bool, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if err := r.reset(after); err != nil {
		return events, after, true, err
	}
	count := int(r.next - r.first)
	skip := sort.Search(count, func(i int) bool { return after.Before(r.at(r.first + uint64(i)).Position) })
	for n := r.first + uint64(skip); ; n++ {
		switch {
		case n == r.next:
			return events, after, true, nil
		case len(events) == most:
			return events, after, true, nil
		case n == r.first+uint64(skip)+scanEvents:
			return events, after, false, nil
		}
		e := r.at(n)
		after = e.Position
		if match(e) {
			events = append(events, *e)
		}
	}
}

// reset tells whether events after this position are lost. The caller holds mu.
func (r *ring) reset(after Position) error {
	switch {
	case after.Epoch != r.end.Epoch:
		return &ResetError{To: r.end, Why: fmt.Sprintf("the id is of epoch %d, the cluster is in epoch %d: it was restored from a backup",
			after.Epoch, r.end.Epoch)}
	case !after.Before(r.floor):
		return nil
	case after.Before(r.restored) && r.restores > 0:
		return &ResetError{To: r.end, Why: fmt.Sprintf("this node's state was replaced by a snapshot of index %d", r.restored.Index)}
	}
	return &ResetError{To: r.end, Slow: true, Why: fmt.Sprintf("the oldest event that this node keeps comes after %v", r.floor)}
}

// touched calls note for each event from a number on, at most most, and gives the number to go on from. lost: some are gone.
func (r *ring) touched(from uint64, most int, note func(*Event)) (next uint64, to Position, lost, more bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if from < r.first {
		return r.next, r.end, true, false
	}
	to = r.end
	for next = from; next < r.next && most > 0; next, most = next+1, most-1 {
		e := r.at(next)
		to = e.Position
		note(e)
	}
	return next, to, false, next < r.next
}

// tail is the number that the next event gets.
func (r *ring) tail() (uint64, Position) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.next, r.end
}
