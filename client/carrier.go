package fairlane

import (
	"cmp"
	"slices"
	"sync"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

const (
	// callsPerMessage and messageMost (bytes) of one message of a stream; the cluster takes 2,048 and 4 MiB. A larger call goes by itself.
	callsPerMessage = 1024
	messageMost     = 1 << 20
	// streamMost bytes of one call. A larger one is sent alone: it is refused, and that must not end the stream of all others.
	streamMost = 3 << 20
	// keptQueue is how long a queue may be for its memory to be kept.
	keptQueue = 4096
)

// carrier carries the calls of one life over a stream: what becomes ready while a message is being sent goes with the next one, and answers are handed
// to the calls that wait for them. When a stream ends, what it left unanswered is sent again in the next one, with the same numbers.
//
// Open errands are bounded by the numbers of the session (bookWindow) and by one heartbeat and one piece of output at a time.
// Safe for many goroutines. book.mu may be held when mu is taken, never the other way round.
type carrier struct {
	life *life
	poke chan struct{} // something is to be written

	mu     sync.Mutex
	unary  bool // calls are sent alone
	stands bool // a stream does, as far as is known
	last   uint64
	open   map[uint64]*errand // unanswered
	queue  []*errand          // open, and to be written in this order
	settle []uint64           // claims that the cluster is to be asked to answer
	at     *node              // where the stream stands, or is to stand; nil: not yet known
}

func newCarrier(l *life, unary bool) *carrier {
	return &carrier{life: l, unary: unary, poke: make(chan struct{}, 1), open: map[uint64]*errand{}}
}

// streaming reports whether calls go over the stream.
func (c *carrier) streaming() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.unary
}

// suspect ends a stream on which a heartbeat got no answer in time.
func (c *carrier) suspect() {
	c.mu.Lock()
	at := c.at
	c.mu.Unlock()
	if at != nil {
		c.life.client.nodes.suspect(at)
	}
}

// submit queues an errand; false: it has to be sent alone.
func (c *carrier) submit(e *errand) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unary || e.bytes > streamMost || e.once && !c.stands {
		return false
	}
	c.last++
	e.id, e.written, e.due = c.last, false, instant{}
	e.call.Id = e.id
	c.open[e.id] = e
	if e.once {
		c.queue = slices.Insert(c.queue, 0, e)
	} else {
		c.queue = append(c.queue, e)
	}
	poke(c.poke)
	return true
}

// drop forgets an errand for which nobody waits any more; false: its end is on the way to it.
func (c *carrier) drop(e *errand) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[e.id] != e {
		return false
	}
	if e.written {
		e.k.unknown = true
	}
	c.remove(e)
	return true
}

// remove takes an errand out that will have no answer; c.mu is held.
func (c *carrier) remove(e *errand) {
	delete(c.open, e.id)
	if !e.written {
		if i := slices.Index(c.queue, e); i >= 0 {
			c.queue = slices.Delete(c.queue, i, i+1)
		}
	}
}

// settleNow asks for the answer to a claim; c.mu is held.
func (c *carrier) settleNow(e *errand) {
	if e.nudged {
		return
	}
	e.nudged = true
	if e.written && c.open[e.id] == e {
		c.settle = append(c.settle, e.id)
		e.due = c.life.client.clock.now().add(attemptLimit)
		poke(c.poke)
	}
}

// settleAll asks for the answers to all claims that wait.
func (c *carrier) settleAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.open {
		if e.waits != nil {
			c.settleNow(e)
		}
	}
}

// gather fills the next message; false: there is nothing to say.
func (c *carrier) gather(m *fairlanev1.WorkRequest) bool {
	low := c.life.book.low() // before the lock; an older one is only lower
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.life.client.clock.now()
	m.Lowest, m.Calls = low, m.Calls[:0]
	m.Settle, c.settle = c.settle, m.Settle[:0]
	size := 0
	for _, e := range c.queue {
		if len(m.Calls) == callsPerMessage || size > 0 && size+e.bytes > messageMost {
			break
		}
		size += e.bytes
		e.written = true
		if !e.k.unknown {
			e.k.first = now
		}
		if e.waits == nil || e.nudged {
			e.due = now.add(attemptLimit)
		}
		if e.waits != nil && e.nudged {
			e.waits.WaitMs = 0
		}
		m.Calls = append(m.Calls, &e.call)
	}
	c.queue = slices.Delete(c.queue, 0, len(m.Calls))
	if len(c.queue) == 0 && cap(c.queue) > keptQueue {
		c.queue = nil
	}
	return len(m.Calls) > 0 || len(m.Settle) > 0
}

// answered hands answers to those who wait. One that nobody waits for any more is dropped: if it brings a job, the heartbeats find it.
func (c *carrier) answered(answers []*fairlanev1.WorkAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range answers {
		if e := c.open[a.GetId()]; e != nil && e.written {
			delete(c.open, e.id)
			e.done <- errandEnd{answer: a}
		}
	}
}

// overdue reports whether an answer is late that does not wait for a job.
func (c *carrier) overdue() bool {
	now := c.life.client.clock.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.open {
		if e.written && e.due != (instant{}) && now.mono >= e.due.mono {
			return true
		}
	}
	return false
}

// again queues everything that a stream left unanswered, in the former order. Of what was written nobody can say what it did; a claim of which that is
// so is only to be answered, because its lease, if it has one, has begun at some time since it was first sent. Nothing is being written meanwhile.
func (c *carrier) again(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stands = false
	c.settle = c.settle[:0]
	c.queue = c.queue[:0]
	for _, e := range c.open {
		switch {
		case e.once:
			delete(c.open, e.id)
			e.done <- errandEnd{err: why}
			continue
		case e.written:
			e.k.unknown, e.written, e.due = true, false, instant{}
			e.nudged = e.waits != nil
		}
		c.queue = append(c.queue, e)
	}
	slices.SortFunc(c.queue, func(a, b *errand) int { return cmp.Compare(a.id, b.id) })
	if len(c.queue) > 0 {
		poke(c.poke)
	}
}

// goUnary sends everything alone until a stream stands again.
func (c *carrier) goUnary() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unary = true
	for _, e := range c.open {
		e.done <- errandEnd{err: errUnary}
	}
	clear(c.open)
	c.queue, c.settle = nil, nil
}

// goStreaming sends everything over the stream from now on.
func (c *carrier) goStreaming() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unary, c.stands = false, true
}
