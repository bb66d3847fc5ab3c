package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// The proposer waits for the callers that it has just answered to come back as long as the last batch took, within these bounds: longer than
	// an entry takes there is nothing to be saved. The least alone is too short where processors are busy (docs/decisions/0019-encoding.md).
	leastGather, mostGather = 300 * time.Microsecond, 1500 * time.Microsecond
	// Where fewer than half of the callers came back so many times in a row, the proposer waits for them only once in vainProbe times.
	vainMost, vainProbe = 4, 16
	// refusedPause follows a batch that raft did not take, while a transfer of leadership goes on.
	refusedPause = 20 * time.Millisecond
)

// Propose a command and wait for the machine's answer. Errors that say that this attempt did nothing: ErrNotLeader,
// ErrShutdown, *BusyError, and the error of ctx alone. ErrUnknownOutcome: it was done or not.
func (n *Node) Propose(ctx context.Context, command *logv1.Command) (*logv1.Result, error) {
	l, err := n.lead()
	if err != nil {
		return nil, err
	}
	p := newPending(command)
	if err := l.submit(ctx, p); err != nil {
		return nil, err
	}
	select {
	case <-p.answered:
		return p.outcome.result, p.outcome.err
	case <-ctx.Done():
		a := l.abandon(p, ctx.Err())
		return a.result, a.err
	}
}

// lead gives the leadership that takes commands now.
func (n *Node) lead() (*leadership, error) {
	if n.isClosing() {
		return nil, ErrShutdown
	}
	if l := n.leading.Load(); l != nil {
		return l, nil
	}
	return nil, ErrNotLeader
}

// propose is the proposer: one goroutine, one batch in flight, until ctx ends.
func (l *leadership) propose() {
	for l.waitWork() {
		b := l.pack()
		if b == nil {
			continue
		}
		began := time.Now()
		outcome, err := l.commit(b)
		if err != nil {
			l.refuse(b, err)
			l.pause(refusedPause)
			continue
		}
		answers, queued := l.settle(b, outcome)
		if answers > 1 || queued > 0 {
			l.gather(answers+queued, max(leastGather, min(mostGather, time.Since(began)), time.Duration(l.patience.Load())))
		}
	}
}

// waitWork waits until there is something to propose; false when the leadership ends.
func (l *leadership) waitWork() bool {
	if l.ctx.Err() != nil {
		return false
	}
	now, lazyWait := l.hasWork()
	if now {
		return true
	}
	timer := time.NewTimer(min(time.Until(l.nextTick), lazyWait))
	defer timer.Stop()
	select {
	case <-l.work:
	case <-timer.C:
	case <-l.ctx.Done():
		return false
	}
	return true
}

// gather waits until so many commands are queued, but not longer than patience. A caller with one call in flight comes back at once
// after its answer; then its next command shares a batch with those that queued meanwhile. Where callers come by a clock of their own
// nobody comes back, and who comes meanwhile would wait in vain: then it waits now and then only, to find out when that changes.
func (l *leadership) gather(count int, patience time.Duration) {
	l.gathers++
	if l.vain >= vainMost && l.gathers%vainProbe != 0 {
		return
	}
	if !l.wantQueued(count) {
		l.vain = 0
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.gathered:
	case <-timer.C:
	case <-l.ctx.Done():
	}
	if came := l.wantNone(); 2*came >= count {
		l.vain = 0
	} else {
		l.vain++
	}
}

func (l *leadership) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	}
}

// commit one batch: stamped, replicated and applied here. The error is one of this package.
func (l *leadership) commit(b *batch) (fsm.Outcome, error) {
	clock := l.node.config.Clock
	b.entry.Rules = l.rules.Load()
	b.entry.NowMs = clock.WallMillis()
	b.entry.MonotonicMs = clock.MonotonicMillis()
	b.entry.Leadership = l.id
	data, err := proto.Marshal(&b.entry)
	if err != nil { // nothing of it went anywhere
		return fsm.Outcome{}, fmt.Errorf("%w: a command cannot be written: %w", ErrNotLeader, err)
	}
	f := &flight{first: &data[0], done: make(chan fsm.Outcome, 1)}
	l.node.machine.flight.Store(f)
	answered := make(chan error, 1)
	go func() { answered <- l.node.raft.Apply(data, 0).Error() }()
	select {
	case outcome := <-f.done:
		afterCommit(&b.entry)
		return outcome, nil
	case err = <-answered:
	case <-l.ctx.Done():
		err = l.ctx.Err()
	}
	select { // both may have come
	case outcome := <-f.done:
		afterCommit(&b.entry)
		return outcome, nil
	default:
	}
	if err == nil {
		err = errors.New("the batch was committed, but its answers are lost")
	}
	return fsm.Outcome{}, proposalError(err)
}

// refuse answers a batch of which nothing is known, or that raft did not take.
func (l *leadership) refuse(b *batch, err error) {
	l.mu.Lock()
	defer l.unlock()
	for _, p := range b.pending {
		l.answer(p, answer{err: err})
	}
	for _, r := range b.readers {
		r <- read{err: ErrNotLeader} // a read did nothing, whatever became of its batch
	}
	l.rescanAll() // if this leadership goes on, others get what these claims were woken for
	l.noteRefusal(err)
	l.nextTick = time.Now().Add(refusedPause)
}

// settle answers a batch that was applied, and parks and wakes claims after it. It returns the number of answers, and of
// the commands that queued while it was in flight.
func (l *leadership) settle(b *batch, outcome fsm.Outcome) (answers, queued int) {
	l.mu.Lock()
	defer l.unlock()
	queued = l.queued()
	l.inHandOff = false
	l.node.View(func(m *fsm.Machine) {
		var missed []wish
		var granted map[wish]bool
		for i, p := range b.pending {
			result := outcome.Results[i]
			switch {
			case p.wish.count > 0 && !p.wish.grantedBy(result):
				missed = append(missed, p.wish)
			case p.wish.count > 0:
				if granted == nil {
					granted = make(map[wish]bool)
				}
				granted[p.wish] = true
			case p.first:
				l.ajar = append(l.ajar, p.lane())
			}
			if l.keepsWaiting(p, result) {
				l.park(m, p)
				continue
			}
			l.answer(p, answer{result: result, parked: p.parked})
			l.hurryRepeats(p)
			if i >= b.riders { // who streams does not come back at once: nobody gathers for him
				answers++
			}
		}
		l.wakeAfter(m, &outcome, missed, granted)
		l.watchTicks(&outcome)
		l.schedule(m, outcome.More)
	})
	for _, r := range b.readers {
		r <- read{index: outcome.Index}
	}
	return answers, queued
}

// idleTick is the longest time between two batches while a session exists.
const idleTick = 500 * time.Millisecond

// noTick is the time to the next batch that nobody asks for, when nothing needs one.
const noTick = time.Hour

// schedule when the next batch must go out even if nobody asks for one. The caller holds mu.
func (l *leadership) schedule(m *fsm.Machine, more bool) {
	wait := noTick
	if m.HasSessions() {
		wait = time.Duration(l.idle.Load())
	}
	due, _, hasWall, hasLease := m.NextTimers()
	if hasLease {
		wait = min(wait, time.Duration(l.idle.Load()))
	}
	if hasWall {
		left := time.Duration(due-l.node.config.Clock.WallMillis()) * time.Millisecond
		wait = min(wait, max(left, time.Millisecond))
	}
	if more {
		wait = 0
	}
	l.nextTick = time.Now().Add(wait)
}
