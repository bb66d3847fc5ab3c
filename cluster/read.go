package cluster

import "context"

// read is the answer to one reader.
type read struct {
	index uint64
	err   error
}

// ReadBarrier gives a log index such that a state which holds it holds everything that was decided before the call.
// Leader only. All readers that wait share one batch, empty if nothing else is to be proposed; so the answer comes from a
// majority and not from a leader that was replaced without knowing it.
func (n *Node) ReadBarrier(ctx context.Context) (index uint64, err error) {
	l, err := n.lead()
	if err != nil {
		return 0, err
	}
	answered := make(chan read, 1)
	l.mu.Lock()
	if l.closed != nil {
		err = l.closed
	} else {
		l.readers = append(l.readers, answered)
		poke(l.work)
	}
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	select {
	case r := <-answered:
		return r.index, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
