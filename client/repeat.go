package fairlane

import (
	"context"
	"sync"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// bookWindow is how far numbers may run ahead of the lowest unanswered one. The cluster keeps the answers of that many.
const bookWindow = 1024

// book numbers the calls of one session and knows which of them are unanswered. Safe for many goroutines.
//
// lowest <= number < next <= lowest + bookWindow for every open number.
type book struct {
	session uint64

	mu     sync.Mutex
	next   uint64
	lowest uint64             // no open number is below it
	open   map[uint64]*ticket // unanswered
	moved  chan struct{}      // closed and replaced when lowest rises
}

// ticket is one numbered call, from before its first attempt until its answer or until nobody waits for it any more.
type ticket struct {
	book   *book
	number uint64
	// bringsClaim: the answer may hand out a job.
	bringsClaim bool
	// nudge asks a call that waits on the server to settle soon, because younger numbers need room. Closed at most once.
	nudge  chan struct{}
	nudged bool
}

func newBook(session uint64) *book {
	return &book{session: session, next: 1, lowest: 1, open: map[uint64]*ticket{}, moved: make(chan struct{})}
}

// begin draws the number of a new call. With bookWindow numbers from the lowest unanswered one on it waits for room, and
// asks the call that holds the others up to settle. The error is the context's.
func (b *book) begin(ctx context.Context, bringsClaim bool) (*ticket, error) {
	for {
		b.mu.Lock()
		ahead := b.next - b.lowest
		if ahead >= bookWindow/2 {
			b.nudgeLowest()
		}
		if ahead < bookWindow {
			t := &ticket{book: b, number: b.next, bringsClaim: bringsClaim, nudge: make(chan struct{})}
			b.open[b.next] = t
			b.next++
			b.mu.Unlock()
			return t, nil
		}
		moved := b.moved
		b.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// nudgeLowest wakes the oldest open call; b.mu is held.
func (b *book) nudgeLowest() {
	if t := b.open[b.lowest]; t != nil && !t.nudged {
		t.nudged = true
		close(t.nudge)
	}
}

// end says that the answer has arrived, or that nobody will ask for it again. A repetition has no effect.
func (t *ticket) end() {
	b := t.book
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[t.number] != t {
		return
	}
	delete(b.open, t.number)
	before := b.lowest
	for b.lowest < b.next && b.open[b.lowest] == nil {
		b.lowest++
	}
	if b.lowest != before {
		close(b.moved)
		b.moved = make(chan struct{})
	}
}

// horizon is the number that the next call will get.
func (b *book) horizon() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.next
}

// claimOpenBelow reports whether an unanswered call with a number below the horizon may still hand out a job.
func (b *book) claimOpenBelow(horizon uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for number, t := range b.open {
		if t.bringsClaim && number < horizon {
			return true
		}
	}
	return false
}

// low is the lowest number still unanswered, as each attempt reports it.
func (b *book) low() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lowest
}

// repeat is what an attempt of this call carries.
func (t *ticket) repeat() *fairlanev1.Repeat {
	return &fairlanev1.Repeat{Session: t.book.session, Number: t.number, Lowest: t.book.low()}
}
