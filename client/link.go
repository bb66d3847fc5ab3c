package fairlane

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"connectrpc.com/connect"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

const (
	// standLimit is how long a stream may take to stand: a node waits up to 5 s for a leader. A direct one to the leader, which only saves a hop, has
	// directLimit, and so has the visit before it.
	standLimit  = attemptLimit
	directLimit = time.Second
	// lateLook is how often a link looks for answers that are late.
	lateLook = time.Second
)

var errLate = errors.New("fairlane: a call on the stream got no answer in time")

// link is one stream at one node. One goroutine reads it and another writes it.
type link struct {
	target *node
	stream *connect.BidiStreamForClientSimple[fairlanev1.WorkRequest, fairlanev1.WorkResponse]
	leader string // another node leads
	ctx    context.Context
	cancel context.CancelCauseFunc
	all    sync.WaitGroup
}

// dial opens a stream at a node and waits until it stands. The link has to be closed.
func (c *carrier) dial(ctx context.Context, target *node, limit time.Duration) (*link, error) {
	c.mu.Lock()
	c.at = target
	c.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	k := &link{target: target, ctx: ctx, cancel: cancel}
	timer := time.AfterFunc(limit, func() { cancel(errLate) })
	defer timer.Stop()
	k.all.Go(func() { c.guard(k) })
	err := k.begin(c)
	if err != nil {
		err = k.why(err)
		k.close()
		return nil, err
	}
	return k, nil
}

// begin sends the first message and receives the first one.
func (k *link) begin(c *carrier) (err error) {
	workers := fairlanev1connect.NewWorkerServiceClient(c.life.client.streams.client, k.target.url, connect.WithAcceptCompression("gzip", nil, nil))
	if k.stream, err = workers.Work(k.ctx); err != nil {
		return err
	}
	// The end of the context alone does not end a stream whose request is still open: the transport waits for more of it.
	k.all.Go(func() {
		<-k.ctx.Done()
		_ = k.stream.CloseResponse()
		_ = k.stream.CloseRequest()
	})
	first := &fairlanev1.WorkRequest{Session: c.life.session, Lowest: c.life.book.low()}
	_ = k.stream.Send(first) // if this fails, what is received says why
	answer, err := k.stream.Receive()
	if err != nil {
		return err
	}
	k.leader = answer.GetLeaderUrl()
	return nil
}

// guard ends the link when its node is suspected or an answer is late.
func (c *carrier) guard(k *link) {
	silent := c.life.client.nodes.silence(k.target)
	look := time.NewTicker(lateLook)
	defer look.Stop()
	for {
		select {
		case <-silent:
			k.cancel(errSilent)
		case <-look.C:
			if c.overdue() {
				k.cancel(errLate)
			}
		case <-k.ctx.Done():
			return
		}
	}
}

// why is the reason of a failure: our own, if it was we who ended the link.
func (k *link) why(err error) error {
	if cause := context.Cause(k.ctx); errors.Is(cause, errSilent) || errors.Is(cause, errLate) {
		return cause
	}
	return err
}

// close ends the stream and waits for its goroutines.
func (k *link) close() {
	k.cancel(nil)
	k.all.Wait()
}

// serve carries errands until the stream ends, and closes it.
func (c *carrier) serve(k *link) error {
	k.all.Go(func() { c.write(k) })
	for {
		m, err := k.stream.Receive()
		if err != nil {
			err = k.why(err)
			k.close()
			return err
		}
		c.answered(m.GetAnswers())
	}
}

// write sends what is queued, as much as there is with each message.
func (c *carrier) write(k *link) {
	m := &fairlanev1.WorkRequest{}
	for {
		select {
		case <-c.poke:
		case <-k.ctx.Done():
			return
		}
		// Slots that are about to submit something go first: without this, the first of many answers that came together would be followed by a message
		// of its own. With nothing else to run it takes no time.
		runtime.Gosched()
		for c.gather(m) {
			if k.stream.Send(m) != nil {
				return // the reader is told why
			}
		}
	}
}
