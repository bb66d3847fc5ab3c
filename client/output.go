package fairlane

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"time"
	"unicode/utf8"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// What was written is sent when it holds one of flushMarks or more than flushChars characters, or is flushAfter old.
	flushMarks = "\n.?!,"
	flushChars = 100
	flushAfter = 250 * time.Millisecond
	// outputBytes of one run that the cluster has not acknowledged; a Write waits when there are that many.
	outputBytes = 1 << 20
	// finishBytes of result and output together in one finish. The cluster takes 2 MiB with everything around them.
	finishBytes = 2<<20 - 64<<10
	// progressGap between two reports of one run that are sent.
	progressGap = 250 * time.Millisecond
	// messageBytes of a progress message; the cluster takes no more.
	messageBytes = 1 << 10
)

// errReturned is what Write gives when the handler to which the output belonged has returned.
var errReturned = errors.New("fairlane: the handler has returned, its output is closed")

// Output of this run, which readers see while it is made: see [Client.Stream]. Text is sent as soon as it holds a newline or one
// of . ? ! , or more than 100 characters, and after 250 ms at the latest; what is left when the handler returns goes with its
// outcome. A new attempt begins with an empty output. The cluster keeps the last part of a long one (by default 1 MiB).
//
// Write waits when 1 MiB is not acknowledged by the cluster yet. It fails with ErrClaimLost or ErrCancelled when the run is over, with the
// cause of the handler's context when that ends while it waits, and after the handler has returned. Safe for many goroutines; a Write that had
// to wait may have others in between. A job that was made by hand, for a test, discards its output.
func (m JobMeta) Output() io.Writer {
	if m.output == nil {
		return io.Discard
	}
	return m.output
}

// Token writes a piece of text to Output, for example one token of a language model.
func (m JobMeta) Token(s string) error {
	_, err := io.WriteString(m.Output(), s)
	return err
}

// Progress says how far the run is: a fraction from 0 to 1, and a message of at most 1 KiB (more is cut off). It never waits. The latest
// report wins, at most four in a second are sent, and one made just before the handler returns may not be seen.
func (m JobMeta) Progress(fraction float64, message string) {
	if m.output != nil {
		m.output.report(fraction, message)
	}
}

// output is what one run has written and the cluster has not acknowledged. sender.mu guards everything below it.
//
// base + len(kept) is all that was written; 0 <= ready <= len(kept) <= outputBytes.
type output struct {
	sender *sender
	claim  *claim

	base  uint64 // offset of kept[0]: acknowledged up to here
	kept  []byte // never changed in place: a call in flight may hold a part of it
	ready int    // bytes of kept that are to be sent now
	chars int    // characters in kept[ready:]
	due   time.Time

	progress     *fairlanev1.Progress // to be sent; nil: nothing new
	nextProgress time.Time            // not before

	queued   bool          // in the sender's queue
	returned bool          // the handler has: nothing more is taken
	err      error         // nothing more is taken or sent
	room     chan struct{} // closed when kept became shorter or err was set; nil: nobody waits for that
}

// Write takes all of p, or fails.
func (o *output) Write(p []byte) (int, error) {
	s, taken := o.sender, 0
	for {
		s.mu.Lock()
		if err := o.refusal(); err != nil {
			s.mu.Unlock()
			return taken, err
		}
		n := cutRunes(p[taken:], outputBytes-len(o.kept))
		o.take(p[taken : taken+n])
		if taken += n; taken == len(p) {
			s.mu.Unlock()
			return taken, nil
		}
		o.flush()
		room := o.awaited()
		s.mu.Unlock()
		select {
		case <-room:
		case <-o.claim.ctx.Done():
			return taken, context.Cause(o.claim.ctx)
		}
	}
}

// refusal is why the output takes nothing; nil: it does. While the worker drains, a handler may still write.
func (o *output) refusal() error {
	switch {
	case o.err != nil:
		return o.err
	case o.returned:
		return errReturned
	}
	return o.over()
}

// over is why nobody wants the output of this run any more; nil: it is wanted.
func (o *output) over() error {
	if o.claim.ctx.Err() != nil {
		if cause := context.Cause(o.claim.ctx); errors.Is(cause, ErrClaimLost) || errors.Is(cause, ErrCancelled) {
			return cause
		}
	}
	if o.sender.life.ctx.Err() != nil {
		return ErrClaimLost
	}
	return nil
}

// take appends, and decides whether that is to be sent now.
func (o *output) take(p []byte) {
	if len(p) == 0 {
		return
	}
	first := o.ready == len(o.kept)
	o.kept = append(o.kept, p...)
	for _, b := range p {
		if utf8.RuneStart(b) {
			o.chars++
		}
	}
	if o.chars > flushChars || bytes.ContainsAny(p, flushMarks) {
		o.flush()
	} else if first {
		o.due = time.Now().Add(flushAfter)
		o.sender.wait(o)
	}
}

// flush makes everything ready.
func (o *output) flush() {
	o.ready, o.chars, o.due = len(o.kept), 0, time.Time{}
	if o.ready > 0 {
		o.sender.enqueue(o)
	}
}

// report keeps the latest progress.
func (o *output) report(fraction float64, message string) {
	if math.IsNaN(fraction) {
		fraction = 0
	}
	p := &fairlanev1.Progress{Fraction: min(max(fraction, 0), 1), Message: cut(message, messageBytes)}
	s := o.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.refusal() != nil {
		return
	}
	o.progress = p
	s.wait(o)
}

// ripen queues what is due and gives how long until the rest is; 0: nothing is left that waits.
func (o *output) ripen(now time.Time) (wait time.Duration) {
	if !o.due.IsZero() {
		if wait = o.due.Sub(now); wait <= 0 {
			o.flush()
			wait = 0
		}
	}
	if o.progress != nil {
		if until := o.nextProgress.Sub(now); until <= 0 {
			o.sender.enqueue(o)
		} else if wait == 0 || until < wait {
			wait = until
		}
	}
	return wait
}

// part gives what is to be sent now, at most that many bytes; nil: nothing.
func (o *output) part(most int, now time.Time) *fairlanev1.OutputPart {
	n := cutRunes(o.kept[:o.ready], most)
	p := &fairlanev1.OutputPart{Fence: o.claim.fence, Offset: o.base, Data: o.kept[:n:n]}
	if o.progress != nil && !now.Before(o.nextProgress) {
		p.Progress = o.progress
		o.nextProgress = now.Add(progressGap)
	}
	if n == 0 && p.Progress == nil {
		return nil
	}
	return p
}

// acknowledge says that the cluster has everything below end, and this progress. It reports false when the cluster has less than
// it acknowledged before, which cannot be made good.
func (o *output) acknowledge(end uint64, p *fairlanev1.Progress) bool {
	if o.progress == p {
		o.progress = nil
	}
	if end < o.base {
		return false
	}
	if n := min(int(end-o.base), len(o.kept)); n > 0 {
		o.kept, o.base, o.ready = o.kept[n:], o.base+uint64(n), max(o.ready-n, 0)
		o.changed()
	}
	return true
}

// fail ends the output; a repetition has no effect.
func (o *output) fail(err error) {
	if o.err == nil {
		o.err, o.kept, o.ready, o.progress = err, nil, 0, nil
		o.changed()
	}
}

func (o *output) changed() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// awaited gives the channel that the next change closes.
func (o *output) awaited() <-chan struct{} {
	if o.room == nil {
		o.room = make(chan struct{})
	}
	return o.room
}

// end closes the output of a run that has no outcome, or whose outcome is settled.
func (o *output) end() {
	o.sender.mu.Lock()
	defer o.sender.mu.Unlock()
	o.fail(errReturned)
}

// rest ends the output of a handler that has returned and gives all that is not acknowledged, to go with the outcome; nil:
// nothing. If that is more than most, it waits until enough has been sent, or ctx ends.
func (o *output) rest(ctx context.Context, most int) *fairlanev1.OutputRest {
	s := o.sender
	for {
		s.mu.Lock()
		o.returned = true
		if err := o.over(); err != nil {
			o.fail(err) // the outcome will not be stored either
		}
		if len(o.kept) <= most || o.err != nil {
			var rest *fairlanev1.OutputRest
			if len(o.kept) > 0 {
				rest = &fairlanev1.OutputRest{Offset: o.base, Data: o.kept}
			}
			o.fail(errReturned)
			s.mu.Unlock()
			return rest
		}
		o.flush()
		room := o.awaited()
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return nil
		}
	}
}

// cutRunes gives how many bytes of p, at most so many, can be taken without splitting a character that p has whole.
func cutRunes(p []byte, most int) int {
	if len(p) <= most {
		return len(p)
	}
	for i := most; i >= 0 && i > most-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			return i
		}
	}
	return most // not UTF-8
}
