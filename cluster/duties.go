package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// leadership is one time of this node as the leader.
type leadership struct {
	node *Node
	id   uint64 // random; the lease clock runs only between batches of one leadership

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	work     chan struct{} // there is something to pack
	gathered chan struct{} // as many commands are queued as were wanted
	rules    atomic.Uint32 // in force; they only rise
	idle     atomic.Int64  // nanoseconds between batches while a session exists; tests change it
	patience atomic.Int64  // nanoseconds that gather waits at least; for tests
	// nextTick is when a batch goes out even if nobody asks. Written by the proposer's goroutine, under mu.
	nextTick time.Time
	// gathers counts the times that the proposer could wait for callers, and vain those since most of them last came. Its goroutine alone.
	gathers, vain uint

	mu     sync.Mutex
	closed error // why nothing is taken any longer
	urgent queue
	normal queue
	lazy   queue         // output
	room   chan struct{} // closed when urgent has room again; nil while nobody waits
	want   int
	// inHandOff: raft refused the last batch because of a transfer of leadership.
	inHandOff bool
	parking
	lines   map[*Line]struct{}
	told    []*Line // to be told when mu is given up
	readers []chan read
	fires   firing
}

// watchLeadership runs the duties while raft says that this node leads. It listens on LeaderCh: a leadership that was lost
// and regained between two looks shows there as true after true.
func (n *Node) watchLeadership() {
	var now *leadership
	stop := func() {
		if now != nil {
			now.end()
			now = nil
		}
	}
	defer stop()
	for {
		select {
		case leads := <-n.raft.LeaderCh():
			stop()
			if leads && !n.raftStopped() {
				now = n.startLeadership()
			}
		case <-n.machine.restored:
			// What waits here belongs to a state that is gone: everybody is answered, and the duties begin anew.
			if now != nil && !n.raftStopped() {
				stop()
				now = n.startLeadership()
			}
		case <-n.life.Done():
			return
		}
	}
}

func (n *Node) raftStopped() bool { return n.fault.Load() != nil || n.life.Err() != nil }

func (n *Node) startLeadership() *leadership {
	l := &leadership{
		node: n, id: drawID(), work: make(chan struct{}, 1), gathered: make(chan struct{}, 1), parking: newParking(),
	}
	l.idle.Store(int64(idleTick))
	l.ctx, l.cancel = context.WithCancel(n.life)
	l.fires = newFiring(l.ctx)
	l.running.Go(l.serve)
	return l
}

func drawID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// serve from the barrier to the end of the leadership.
func (l *leadership) serve() {
	n := l.node
	if err := l.barrier(); err != nil || !l.fit() {
		return
	}
	l.mu.Lock()
	l.nextTick = time.Now() // the first batch says at once that the lease clock runs again
	l.mu.Unlock()
	l.raiseRules()
	l.running.Go(l.keepFiring) // before others see this leadership: who shuts down waits for the end of it
	n.leading.Store(l)
	l.running.Go(l.keepMembers)
	l.running.Go(l.keepFit)
	l.running.Go(l.keepName)
	l.propose()
}

// end the leadership: everybody is answered and its goroutines are gone when this returns.
func (l *leadership) end() {
	l.node.leading.CompareAndSwap(l, nil)
	l.cancel()
	l.close(ErrNotLeader)
	l.running.Wait()
	l.close(ErrNotLeader) // what the last batch parked or woke
	l.node.leading.CompareAndSwap(l, nil)
}

// close takes no more commands and answers all that wait; those in flight are answered by the proposer.
func (l *leadership) close(reason error) {
	l.mu.Lock()
	defer l.unlock()
	if l.closed == nil {
		l.closed = reason
	}
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	for _, q := range []*queue{&l.urgent, &l.normal, &l.lazy} {
		for _, p := range q.list {
			l.answer(p, answer{err: l.closed})
		}
		*q = queue{}
	}
	if p := l.fires.next; p != nil {
		l.answer(p, answer{err: l.closed})
		l.fires.next = nil
	}
	l.dismiss(l.closed)
	l.endLines(l.closed)
	for _, r := range l.readers {
		r <- read{err: l.closed}
	}
	l.readers = nil
}

// dismiss all parked claims. The caller holds mu.
func (l *leadership) dismiss(reason error) {
	for _, p := range l.byAge {
		l.unpark(p)
		l.answer(p, answer{err: reason})
	}
	for _, p := range l.woken {
		l.answer(p, answer{err: reason})
	}
	l.woken, l.rescan, l.rescanAgain, l.orphans, l.ajar = nil, nil, false, nil, nil
}

func (l *leadership) counts() (parked, queued int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byAge), l.queued()
}
