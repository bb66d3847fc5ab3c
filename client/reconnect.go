package fairlane

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
)

const (
	// While no stream can be had, single calls are made: after patienceFirst when no stream ever stood, else after patience. Streams are then tried
	// at pauses that double from retryFirst to retryMost.
	patienceFirst = 5 * time.Second
	patience      = 15 * time.Second
	retryFirst    = time.Second
	retryMost     = time.Minute
)

// outage is the time without a stream. One goroutine owns it.
type outage struct {
	began   instant
	tries   *call // its pauses and its moves from node to node
	refused int   // nodes in a row that know no streams
	pause   time.Duration
}

// run keeps a stream until ctx ends, or for good has none.
func (c *carrier) run(ctx context.Context) {
	client := c.life.client
	o := &outage{began: client.clock.now(), tries: &call{client: client}}
	for ctx.Err() == nil {
		target, count := client.nodes.pick()
		k, err := c.dial(ctx, target, standLimit)
		if err == nil {
			k = c.direct(ctx, k)
			client.streams.stood.Store(true)
			began := client.clock.now()
			c.goStreaming()
			target, err = k.target, c.serve(k)
			if now := client.clock.now(); now.since(began) >= streamSettled {
				o = &outage{began: now, tries: &call{client: client}}
			}
			o.refused, o.pause = 0, 0
		}
		if ctx.Err() != nil {
			return
		}
		e := fromWire(err)
		if isSessionEnd(e) {
			c.life.sessionEnd(e)
			return
		}
		c.again(e)
		if !c.consider(o, e, count) {
			return
		}
		c.move(ctx, o, target, e)
	}
}

// direct goes to the leader when the node only passes everything on; without success it stays with the node. The leader is asked who it is before, because
// behind a load balancer or NAT its address may lead nowhere, or to another cluster, which knows nothing of the session.
func (c *carrier) direct(ctx context.Context, k *link) *link {
	client := c.life.client
	if k.leader == "" || !client.streams.mayGoDirect(client.clock.now()) {
		return k
	}
	visit, cancel := context.WithTimeout(ctx, directLimit)
	leader, pause := client.nodes.leaderAt(visit, k.leader, k.target)
	cancel()
	if leader == nil {
		client.streams.noWay(client.clock.now().add(pause))
		c.life.logger.Debug("no direct stream to the leader, which does not answer there", "leader", k.leader)
		return k
	}
	better, err := c.dial(ctx, leader, directLimit)
	if err != nil {
		client.streams.noWay(client.clock.now().add(visitPause))
		c.mu.Lock()
		c.at = k.target
		c.mu.Unlock()
		c.life.logger.Debug("no direct stream to the leader", "leader", k.leader, "err", err)
		return k
	}
	k.close()
	client.nodes.leave(k.target, k.leader)
	return better
}

// consider decides whether single calls are made; false: for good.
func (c *carrier) consider(o *outage, e *Error, nodes int) bool {
	s, logger := c.life.client.streams, c.life.logger
	if e.status == connect.CodeUnimplemented || e.Reason == errUnknownMethod || errors.Is(e.cause, errNotHTTP2) {
		if o.refused++; o.refused >= nodes {
			s.off.Store(true)
			s.told.Do(func() {
				logger.Info("no streams here, because of an old cluster or of a proxy without HTTP/2: each call is sent alone", "err", e)
			})
			c.goUnary()
			return false
		}
	}
	most := patience
	if !s.stood.Load() {
		most = patienceFirst
	}
	if c.life.client.clock.now().since(o.began) >= most && c.streaming() {
		logger.Info("no stream stands, each call is sent alone until one does", "err", e)
		c.goUnary()
	}
	return true
}

// move goes on to the next node, with a pause after each round over all; while single calls are made there is no hurry, and they choose the node.
func (c *carrier) move(ctx context.Context, o *outage, target *node, e *Error) {
	if c.streaming() {
		o.tries.wait(ctx, target, e)
		return
	}
	o.pause = min(max(2*o.pause, retryFirst), retryMost)
	sleep(ctx, jitter(o.pause))
}
