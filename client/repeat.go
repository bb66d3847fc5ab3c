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
	lowest uint64              // no open number is below it
	open   [bookWindow]*ticket // unanswered: a number lies at its rest; nil: answered
	full   int                 // calls that wait for room
	moved  chan struct{}       // closed and replaced when lowest rises while calls wait
}

// ticket is one numbered call, from before its first attempt until its answer or until nobody waits for it any more.
type ticket struct {
	book   *book
	number uint64
	// bringsClaim: the answer may hand out a job.
	bringsClaim bool
	// nudged: a call that waits on the server is to settle soon, because younger numbers need room. book.mu guards it and those below, which are told.
	nudged bool
	closed chan struct{} // closed when nudged; nil: nobody listens
	errand *errand
}

func newBook(session uint64) *book {
	return &book{session: session, next: 1, lowest: 1, moved: make(chan struct{})}
}

// begin draws the number of a new call. With bookWindow numbers from the lowest unanswered one on it waits for room. A call whose number is half a
// window old is asked to settle, so that those that wait for long do not hold up the others. The error is the context's.
func (b *book) begin(ctx context.Context, bringsClaim bool) (*ticket, error) {
	for {
		b.mu.Lock()
		if b.next-b.lowest < bookWindow {
			t := &ticket{book: b, number: b.next, bringsClaim: bringsClaim}
			b.open[t.number%bookWindow] = t
			b.next++
			old := b.open[(t.number-bookWindow/2)%bookWindow]
			if old != nil {
				old.nudgeNow()
			}
			b.mu.Unlock()
			return t, nil
		}
		moved := b.moved
		b.full++
		b.mu.Unlock()
		var err error
		select {
		case <-moved:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		b.mu.Lock()
		b.full--
		b.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// nudgeNow asks the call to settle; book.mu is held.
func (t *ticket) nudgeNow() {
	if t.nudged {
		return
	}
	t.nudged = true
	if t.closed != nil {
		close(t.closed)
	}
	if t.errand != nil {
		t.errand.nudge()
	}
}

// nudge gives a channel that closes when the call is to settle.
func (t *ticket) nudge() <-chan struct{} {
	t.book.mu.Lock()
	defer t.book.mu.Unlock()
	if t.closed == nil {
		t.closed = make(chan struct{})
		if t.nudged {
			close(t.closed)
		}
	}
	return t.closed
}

// nudges makes a call on a stream settle when it is to.
func (t *ticket) nudges(e *errand) {
	t.book.mu.Lock()
	defer t.book.mu.Unlock()
	if t.errand = e; t.nudged {
		e.nudge()
	}
}

// end says that the answer has arrived, or that nobody will ask for it again. A repetition has no effect.
func (t *ticket) end() {
	b := t.book
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[t.number%bookWindow] != t {
		return
	}
	b.open[t.number%bookWindow], t.errand = nil, nil
	before := b.lowest
	for b.lowest < b.next && b.open[b.lowest%bookWindow] == nil {
		b.lowest++
	}
	if b.lowest != before && b.full > 0 {
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
	for number := b.lowest; number < min(horizon, b.next); number++ {
		if t := b.open[number%bookWindow]; t != nil && t.bringsClaim {
			return true
		}
	}
	return false
}

// settleBelow asks all calls below the horizon to settle.
func (b *book) settleBelow(horizon uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for number := b.lowest; number < min(horizon, b.next); number++ {
		if t := b.open[number%bookWindow]; t != nil {
			t.nudgeNow()
		}
	}
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
