package cluster

import (
	"context"
	"errors"
	"time"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Line is one caller's way to this node's leadership for many commands at the same time. Submit does not wait for answers; they gather on the
// line until Take. Nobody waits for who takes: the caller bounds them, by the number of commands that it submits before it has their answers.
// A line ends with the leadership, for all of its commands at once. The methods may be called at the same time.
type Line struct {
	l     *leadership
	ready chan<- struct{}

	// Guarded by leadership.mu.
	open     []*Ticket // submitted and not answered; Ticket.place is the position here
	answered []*Ticket
	err      error // why the line ended
	closed   bool
	told     bool // it is in leadership.told
}

// Ticket is one command on a line, and then its answer. From Submit until Take gives it back it belongs to the line.
type Ticket struct {
	Command *logv1.Command
	// Waits: a claim for which nothing is there waits until there is something, without a log entry and without limit of time.
	Waits bool
	// Owner is for the caller alone.
	Owner any

	// The answer. Err says that the command alone did nothing: *BusyError or *RulesError.
	Result *logv1.Result
	// Parked is how long a claim waited here.
	Parked time.Duration
	Err    error

	line  *Line
	place int
	pending
}

// Bytes of the command. Submit sets it.
func (t *Ticket) Bytes() int { return t.pending.bytes }

// OpenLine opens a line; Close it. ready is poked, never blocked on, when Take has something to give; it needs room for one. Errors: ErrNotLeader,
// ErrShutdown.
func (n *Node) OpenLine(ready chan<- struct{}) (*Line, error) {
	l, err := n.lead()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		return nil, l.closed
	}
	x := &Line{l: l, ready: ready}
	if l.lines == nil {
		l.lines = make(map[*Line]struct{})
	}
	l.lines[x] = struct{}{}
	return x, nil
}

// Submit commands, in this order, under one lock. It waits while the queue of urgent commands is full, until ctx ends; what is not submitted
// then is answered by Close alone. A line that has ended takes none: Take gives the end only once nothing of the line flies.
func (x *Line) Submit(ctx context.Context, tickets []*Ticket) {
	for _, t := range tickets {
		t.pending.describe(t.Command)
		t.pending.waits = t.Waits && t.pending.claim != nil
		t.pending.ticket = t
	}
	x.l.mu.Lock()
	defer x.l.unlock()
	for _, t := range tickets {
		if x.closed || x.err != nil {
			return
		}
		t.line, t.place = x, len(x.open)
		x.open = append(x.open, t)
		if err := x.l.admit(ctx, &t.pending); err != nil {
			x.l.answer(&t.pending, answer{err: err})
		}
	}
}

// Settle answers claims that wait, if need be with nothing. One that is on its way gets the answer of the log.
func (x *Line) Settle(tickets []*Ticket) {
	x.l.mu.Lock()
	defer x.l.unlock()
	for _, t := range tickets {
		if t.line == x && t.where != isAnswered {
			x.l.waitNoLonger(&t.pending)
		}
	}
}

// SettleAll claims of the line.
func (x *Line) SettleAll() {
	x.l.mu.Lock()
	defer x.l.unlock()
	for i := len(x.open) - 1; i >= 0; i-- { // an answer puts the last one, which was seen, into the gap
		x.l.waitNoLonger(&x.open[i].pending)
	}
}

// Take what was answered, appended to into. err: the line has ended, and what is unanswered stays so. ErrNotLeader, ErrShutdown,
// ErrUnknownOutcome, or the error of a ctx of Submit.
func (x *Line) Take(into []*Ticket) (answered []*Ticket, err error) {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	answered = append(into, x.answered...)
	clear(x.answered)
	x.answered = x.answered[:0]
	if x.err == nil || x.flies() {
		return answered, nil
	}
	if errors.Is(x.err, ErrNotLeader) && x.l.node.isClosing() {
		return answered, ErrShutdown
	}
	return answered, x.err
}

// flies tells whether a command of the line is in a batch whose outcome will be known. The caller holds mu.
func (x *Line) flies() bool {
	for _, t := range x.open {
		if t.where == inFlight {
			return true
		}
	}
	return false
}

// Close abandons everything that is unanswered: parked claims leave, what was not proposed is not. It may be repeated.
func (x *Line) Close() {
	x.l.mu.Lock()
	defer x.l.unlock()
	open := x.open
	x.open, x.answered, x.closed = nil, nil, true
	delete(x.l.lines, x)
	for _, t := range open {
		x.l.drop(&t.pending, context.Canceled)
	}
}

// deliver the answer of a command. What only the whole line can be told ends it. The caller holds mu.
func (x *Line) deliver(t *Ticket, a answer) {
	if x.closed {
		return
	}
	last := len(x.open) - 1
	x.open[t.place] = x.open[last]
	x.open[t.place].place = t.place
	x.open[last] = nil
	x.open = x.open[:last]
	var busy *BusyError
	var rules *RulesError
	if a.err != nil && !errors.As(a.err, &busy) && !errors.As(a.err, &rules) {
		x.end(a.err)
		return
	}
	t.Result, t.Parked, t.Err = a.result, a.parked, a.err
	x.answered = append(x.answered, t)
	x.tell()
}

// end the line. An outcome that is not known says more than the other reasons. The caller holds mu.
func (x *Line) end(err error) {
	if x.err == nil || errors.Is(err, ErrUnknownOutcome) {
		x.err = err
	}
	x.tell()
}

// tell the line's caller, once mu is given up: then all answers of a batch are there. The caller holds mu.
func (x *Line) tell() {
	if !x.told {
		x.told = true
		x.l.told = append(x.l.told, x)
	}
}

// endLines ends all lines. The caller holds mu.
func (l *leadership) endLines(reason error) {
	for x := range l.lines {
		x.end(reason)
	}
}

// unlock gives up mu and tells the lines that have answers.
func (l *leadership) unlock() {
	for i, x := range l.told {
		x.told = false
		select {
		case x.ready <- struct{}{}:
		default:
		}
		l.told[i] = nil
	}
	l.told = l.told[:0]
	l.mu.Unlock()
}
