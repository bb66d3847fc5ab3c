package cluster

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// packCommands bounds a batch; each job of an enqueue counts as one.
	packCommands = 1024
	// packBytes bounds a batch too; a larger command goes alone.
	packBytes = 256 << 10
	// maxQueued commands and maxQueuedBytes wait on the leader; then callers are told to come back later.
	maxQueued      = 16_384
	maxQueuedBytes = 64 << 20
	// maxUrgent heartbeats, finishes, releases and cancels wait; then their callers wait for room. They are never shed.
	maxUrgent = 65_536
	// Output is lazy: it makes no entry of its own until the oldest of it has waited for coalesceTime or coalesceBytes wait, and
	// rides in every entry that goes out before. So any number of streams makes at most a hundred entries per second.
	coalesceTime  = 10 * time.Millisecond
	coalesceBytes = 64 << 10
	// lazyWeight and lazyBytes are the part of an entry that riding output may take.
	lazyWeight = packCommands / 2
	lazyBytes  = packBytes / 2
	// maxLazyBytes of output wait on the leader; then callers are told to come back later. maxQueued bounds the commands.
	maxLazyBytes = 16 << 20
	// partsPerWeight: so many parts of output cost what one command costs.
	partsPerWeight = 16
	// busyRetry is what a caller is told when the queue is full.
	busyRetry = 200 * time.Millisecond
)

// where a pending command is. Guarded by leadership.mu.
type where uint8

const (
	inQueue where = iota
	inFlight
	isParked
	isWoken
	isAnswered
)

// pending is one caller's command on its way.
type pending struct {
	command *logv1.Command
	bytes   int
	weight  int
	urgent  bool
	lazy    bool
	claim   *logv1.Claim // nil for other commands
	since   time.Time    // of submit; lazy commands only
	// templates of the jobs that a fire probably makes.
	templates []*logv1.NewJob

	// Guarded by leadership.mu from submit on.
	where where
	// waits: an empty answer parks the claim.
	waits bool
	claimSpot

	// One of them takes the answer.
	answered chan struct{} // of a caller that blocks: told once, when outcome is there
	outcome  answer
	ticket   *Ticket // of a line
}

type answer struct {
	result *logv1.Result
	parked time.Duration
	err    error
}

// newPending is the command of a caller that blocks.
func newPending(command *logv1.Command) *pending {
	p := &pending{answered: make(chan struct{}, 1)}
	p.describe(command)
	return p
}

// describe a command as the queues see it.
func (p *pending) describe(command *logv1.Command) {
	p.command, p.bytes, p.weight = command, proto.Size(command), 1
	switch op := command.GetOp().(type) {
	case *logv1.Command_Heartbeat, *logv1.Command_Finish, *logv1.Command_Release, *logv1.Command_Cancel:
		p.urgent = true
	case *logv1.Command_Enqueue:
		p.weight = max(1, len(op.Enqueue.GetJobs()))
	case *logv1.Command_Claim:
		p.claim = op.Claim
	case *logv1.Command_Output:
		p.lazy = true
		p.weight = max(1, len(op.Output.GetParts())/partsPerWeight)
	case *logv1.Command_CancelMany:
		p.weight = max(1, len(op.CancelMany.GetJobs()))
	case *logv1.Command_RetryMany:
		p.weight = max(1, len(op.RetryMany.GetJobs()))
	case *logv1.Command_BackfillSchedule:
		p.weight = 1 + len(op.BackfillSchedule.GetTimesMs())/timesPerWeight
	case *logv1.Command_Fire:
		p.weight = 0
		for _, due := range op.Fire.GetDues() {
			p.weight += weightOf(due)
		}
		p.weight = max(1, p.weight)
	}
}

// makes lists the jobs that the command probably makes, for waking claims in the same batch.
func (p *pending) makes() []*logv1.NewJob {
	if enqueue := p.command.GetEnqueue(); enqueue != nil {
		return enqueue.GetJobs()
	}
	return p.templates
}

// queue of pending commands, first in first out. Abandoned ones are skipped when they come to the front.
type queue struct {
	list  []*pending
	bytes int
}

func (q *queue) push(p *pending) {
	q.list = append(q.list, p)
	q.bytes += p.bytes
}

// pop the first; the caller has looked at list[0].
func (q *queue) pop() {
	q.bytes -= q.list[0].bytes
	q.list[0] = nil
	q.list = q.list[1:]
	if len(q.list) == 0 {
		q.list = nil
	}
}

// submit puts a command into its queue.
func (l *leadership) submit(ctx context.Context, p *pending) error {
	l.mu.Lock()
	defer l.unlock()
	return l.admit(ctx, p)
}

// admit a command into its queue. The caller holds mu, which is given up while there is no room for an urgent command.
func (l *leadership) admit(ctx context.Context, p *pending) error {
	for p.urgent && l.closed == nil && len(l.urgent.list) >= maxUrgent {
		if l.room == nil {
			l.room = make(chan struct{})
		}
		room := l.room
		l.unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		l.mu.Lock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	switch {
	case l.closed != nil:
		return l.closed
	case fsm.Needs(p.command) > l.rules.Load():
		return l.tooOld(fsm.Needs(p.command))
	case p.urgent:
		l.urgent.push(p)
	case p.lazy:
		return l.submitLazy(p)
	case len(l.normal.list) >= maxQueued, l.normal.bytes > maxQueuedBytes:
		return &BusyError{RetryAfter: busyRetry}
	default:
		l.normal.push(p)
	}
	poke(l.work)
	if l.want > 0 && l.queued() >= l.want {
		poke(l.gathered)
	}
	return nil
}

// submitLazy queues output. The proposer is told of the first, for its clock, and when enough waits. The caller holds mu.
func (l *leadership) submitLazy(p *pending) error {
	if l.lazy.bytes > maxLazyBytes || len(l.lazy.list) >= maxQueued {
		return &BusyError{RetryAfter: busyRetry}
	}
	p.since = time.Now()
	l.lazy.push(p)
	if len(l.lazy.list) == 1 || l.lazy.bytes >= coalesceBytes {
		poke(l.work)
	}
	return nil
}

// queued commands that do not wait for others. The caller holds mu.
func (l *leadership) queued() int { return len(l.urgent.list) + len(l.normal.list) }

// wantQueued asks for a signal when so many commands are queued; false if they are already. wantNone takes it back.
func (l *leadership) wantQueued(count int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want = count
	select {
	case <-l.gathered:
	default:
	}
	return l.queued() < count
}

// wantNone wants no signal any more, and gives the number of commands that are queued.
func (l *leadership) wantNone() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want = 0
	return l.queued()
}

// hasWork tells whether an entry is to be made now, and how long the output that waits may wait on; noTick: none waits.
func (l *leadership) hasWork() (now bool, lazyWait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lazyWait = l.lazyWait()
	return l.hasOther() || lazyWait <= 0, lazyWait
}

// hasOther work than output. The caller holds mu.
func (l *leadership) hasOther() bool {
	return l.queued() > 0 || l.fires.next != nil || len(l.readers) > 0 || l.hasWakes()
}

// lazyWait is how long the oldest output may wait on for others to ride with. The caller holds mu.
func (l *leadership) lazyWait() time.Duration {
	for len(l.lazy.list) > 0 && l.lazy.list[0].where == isAnswered {
		l.lazy.pop()
	}
	switch {
	case len(l.lazy.list) == 0:
		return noTick
	case l.lazy.bytes >= coalesceBytes:
		return 0
	}
	return coalesceTime - time.Since(l.lazy.list[0].since)
}

// batch is what goes into one log entry, and who waits for it.
type batch struct {
	entry   logv1.Batch
	pending []*pending
	readers []chan read

	weight, bytes int
	riders        int // commands at the front for which nobody gathers: output, and a fire
	// coordinated: one new job of these coordinators can be claimed in this batch.
	coordinated map[string]bool
}

// takes tells whether a command still fits; a large one goes alone, but for what rides.
func (b *batch) takes(p *pending) bool {
	return len(b.pending) == b.riders || b.weight+p.weight <= packCommands && b.bytes+p.bytes <= packBytes
}

func (b *batch) add(p *pending) {
	p.where = inFlight
	b.pending = append(b.pending, p)
	b.weight += p.weight
	b.bytes += p.bytes
}

// pack the next batch: output, a fire, urgent commands, then others with enqueues before claims, then the parked claims that the new jobs
// wake. nil if nothing is to be proposed now.
func (l *leadership) pack() *batch {
	l.mu.Lock()
	defer l.unlock()
	b := &batch{}
	l.takeLazy(b, l.hasOther() || !time.Now().Before(l.nextTick))
	l.node.View(func(m *fsm.Machine) {
		l.look(m)
		l.takeFire(b)
		l.takeUrgent(b)
		claims := l.takeWoken(b)
		claims = append(claims, l.takeNormal(m, b)...)
		for _, p := range b.pending {
			claims = append(claims, l.wakeFor(m, b, p.makes())...)
		}
		b.pending = append(b.pending, claims...)
	})
	b.readers, l.readers = l.readers, nil
	if len(b.pending) == 0 && len(b.readers) == 0 && time.Now().Before(l.nextTick) {
		return nil
	}
	b.entry.Commands = make([]*logv1.Command, len(b.pending))
	for i, p := range b.pending {
		b.entry.Commands[i] = p.command
	}
	return b
}

// takeLazy adds output when it is due, or when something else goes out anyway. It stands before the finishes: what was given before one
// belongs to the run. What would crowd out the rest waits until it is due; then it goes, if need be alone.
func (l *leadership) takeLazy(b *batch, ride bool) {
	due := l.lazyWait() <= 0
	if !due && !ride {
		return
	}
	for len(l.lazy.list) > 0 {
		p := l.lazy.list[0]
		if p.where == isAnswered {
			l.lazy.pop()
			continue
		}
		fits := b.weight+p.weight <= lazyWeight && b.bytes+p.bytes <= lazyBytes
		if !fits && (len(b.pending) > 0 || !due) {
			return
		}
		b.add(p)
		b.riders++
		l.lazy.pop()
	}
}

func (l *leadership) takeUrgent(b *batch) {
	for len(l.urgent.list) > 0 {
		p := l.urgent.list[0]
		if p.where == isAnswered {
			l.urgent.pop()
			continue
		}
		if !b.takes(p) {
			break
		}
		b.add(p)
		l.urgent.pop()
	}
	if l.room != nil && len(l.urgent.list) < maxUrgent {
		close(l.room)
		l.room = nil
	}
}

// takeNormal adds commands and returns claims, which go behind them. A claim for which nothing is there is parked.
func (l *leadership) takeNormal(m *fsm.Machine, b *batch) (claims []*pending) {
	for len(l.normal.list) > 0 {
		p := l.normal.list[0]
		if p.where == isAnswered {
			l.normal.pop()
			continue
		}
		if p.claim != nil && p.waits && mayPark(m, p) {
			l.normal.pop()
			l.park(m, p)
			continue
		}
		if len(claims) > 0 && b.weight+p.weight > packCommands || !b.takes(p) {
			break
		}
		l.normal.pop()
		if p.claim != nil {
			l.fly(b, p)
			claims = append(claims, p)
			continue
		}
		b.add(p)
	}
	return claims
}

// mayPark: the claim would find nothing, and it is not the repeat of one that was answered. A stored answer comes from the log.
func mayPark(m *fsm.Machine, p *pending) bool {
	return !hasAnswer(m, p) && m.Peek(fsm.SessionID(p.claim.GetSession()), p.claim.GetLane()) == fsm.PeekNothing
}

// hasAnswer: the log holds an answer to this call already.
func hasAnswer(m *fsm.Machine, p *pending) bool {
	r := p.command.GetRepeat()
	return r != nil && m.Answered(fsm.SessionID(r.GetSession()), r.GetNumber())
}

// fly counts a claim into the batch; the caller puts it behind the other commands.
func (l *leadership) fly(b *batch, p *pending) {
	p.where = inFlight
	b.weight += p.weight
	b.bytes += p.bytes
}
