package fairlane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// life is one registration of a worker: a session and what hangs on it. When the cluster ends the session, the worker waits
// for its handlers and begins another life.
//
// Goroutines: one for the heartbeats, one that watches the leases, one that sends output, one that keeps the stream, one that waits for the end, one
// for each lane, one for each slot in use or with a claim that waits. aux, lanes and slots count them; live returns when all have.
type life struct {
	worker    *Worker
	client    *Client
	logger    *slog.Logger
	session   uint64
	heartbeat time.Duration
	book      *book
	claims    *claims
	sender    *sender
	carrier   *carrier
	list      []*lane

	values context.Context // what handlers inherit from Run's context: its values, not its end
	ctx    context.Context // of all calls; ends with the life, its cause says why
	end    context.CancelCauseFunc

	draining atomic.Bool   // we are going: no new job is begun
	paused   atomic.Bool   // an operator drains us
	busy     atomic.Int64  // handlers that run
	waiting  atomic.Int64  // claims that wait for a job
	calm     chan struct{} // poked when no claim waits any more
	aux      sync.WaitGroup
	lanes    sync.WaitGroup
	slots    sync.WaitGroup
}

// errDrained ends a life whose worker has nothing left to do.
var errDrained = errors.New("drained")

// run lives one life after the other.
func (w *Worker) run(ctx context.Context) error {
	if err := w.checkDeclared(); err != nil {
		return err
	}
	for {
		l, err := w.register(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("register worker %q: %w", w.config.name, err)
		}
		err = l.live(ctx)
		switch {
		case errors.Is(err, errDrained):
			return nil
		case !errors.Is(err, ErrSessionEnded):
			return err
		case ctx.Err() != nil:
			return nil
		}
		w.config.logger.Warn("session ended, registering again", "session", l.session)
	}
}

// unserved says that no node answers, once that has lasted for a moment and then from time to time: else a worker with a wrong address waits and nobody
// knows why.
func (w *Worker) unserved() func(*Error) {
	began, next := w.client.clock.now(), unservedFirst
	return func(e *Error) {
		if waited := w.client.clock.now().since(began); waited >= next {
			next = waited + unservedAgain
			w.config.logger.Warn("no node takes this worker, trying on", "endpoints", w.client.nodes.named(), "waited", waited.Round(time.Second), "err", e)
		}
	}
}

const (
	unservedFirst = 2 * time.Second
	unservedAgain = 30 * time.Second
)

// register makes a session. The nonce is new: the answer that an old one would give is about a session that is over.
func (w *Worker) register(ctx context.Context) (*life, error) {
	ctx, cancel := w.client.bound(ctx)
	defer cancel()
	nonce := newNonce()
	k := &call{client: w.client, limit: attemptLimit, harmless: true, failed: w.unserved()}
	res, err := do(ctx, k, registerWorker, func(bool) *fairlanev1.RegisterRequest {
		return &fairlanev1.RegisterRequest{Name: w.config.name, Nonce: nonce, Lanes: w.config.lanes,
			FormerGone: w.config.formerGone, User: w.config.user}
	})
	if err != nil {
		return nil, err
	}
	for _, warning := range res.GetWarnings() {
		w.config.logger.Warn("lanes", "warning", warning, "lanes", w.config.lanes)
	}
	l := &life{worker: w, client: w.client, logger: w.config.logger, session: res.GetSession(),
		heartbeat: time.Duration(res.GetHeartbeatMs()) * time.Millisecond,
		book:      newBook(res.GetSession()), claims: newClaims(w.client.clock), calm: make(chan struct{}, 1)}
	l.carrier = newCarrier(l, w.config.single || w.client.streams.off.Load())
	l.sender = newSender(l)
	if l.heartbeat <= 0 {
		l.heartbeat = 20 * time.Second
	}
	written := strings.Fields(w.config.lanes)
	for i, m := range res.GetLanes() {
		text := fmt.Sprintf("%s:%d", strings.Join(m.GetChain(), ">"), m.GetSlots())
		if len(written) == len(res.GetLanes()) {
			text = written[i]
		}
		l.list = append(l.list, newLane(l, i, text, int(m.GetSlots())))
	}
	return l, nil
}

// live runs jobs until ctx or the session ends; then it stops everything and waits for it. The error says why it ended.
func (l *life) live(ctx context.Context) error {
	l.values = context.WithoutCancel(ctx)
	bound, stop := l.client.bound(l.values)
	defer stop()
	l.ctx, l.end = context.WithCancelCause(bound)
	defer l.end(nil)
	l.worker.config.observe(Event{Kind: EventRegistered, Session: l.session})
	l.aux.Go(func() { l.beats(l.ctx) })
	l.aux.Go(func() { l.watch(l.ctx) })
	l.aux.Go(func() { l.sender.run(l.ctx) })
	l.aux.Go(func() {
		<-l.ctx.Done()
		l.loseAll()
	})
	if l.carrier.streaming() {
		l.aux.Go(func() { l.carrier.run(l.ctx) })
	}
	taking, stopTaking := context.WithCancel(l.ctx)
	defer stopTaking()
	declared, err := l.declare(ctx)
	if err != nil {
		return l.refused(err)
	}
	if declared {
		l.aux.Go(func() { l.declareLate(taking) })
		for _, n := range l.list {
			l.lanes.Go(func() { n.run(taking) })
		}
	}
	select {
	case <-ctx.Done():
		err = l.drain(stopTaking)
	case <-l.ctx.Done():
		err = l.collapse(ctx)
	}
	l.lanes.Wait()
	l.aux.Wait()
	return err
}

// collapse is the end of a life whose session is no more, and whose claims are lost with it. A slot stays taken until its handler
// has really returned, so that the next life never runs more than the lanes allow.
func (l *life) collapse(ctx context.Context) error {
	l.lanes.Wait()
	done := l.idle()
	select {
	case <-done:
		return context.Cause(l.ctx)
	case <-ctx.Done():
	}
	if !waitFor(done, l.worker.config.stubborn) {
		return l.handlersLeft()
	}
	return context.Cause(l.ctx)
}

// idle gives a channel that closes when no slot is taken. No lane may be claiming any more.
func (l *life) idle() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		l.slots.Wait()
		close(done)
	}()
	return done
}

// sessionEnd ends the life when err says that the session is no more.
func (l *life) sessionEnd(err error) {
	switch {
	case errors.Is(err, ErrSessionReplaced):
		l.end(ErrSessionReplaced)
	case errors.Is(err, ErrSessionEnded):
		l.end(ErrSessionEnded)
	}
}

// lost ends a claim for its handler; why is for the observer.
func (l *life) lost(c *claim, why error) {
	if l.claims.lose(c, claimLost, ErrClaimLost) {
		l.tell(EventLost, c, why)
	}
}

// tell reports an event of a claim.
func (l *life) tell(kind EventKind, c *claim, err error) {
	l.worker.config.observe(Event{Kind: kind, Session: l.session, Job: c.raw.ID, Fence: c.raw.Fence, Lane: c.lane.index, Err: err})
}

func registerWorker(n *node) func(context.Context, *fairlanev1.RegisterRequest) (*fairlanev1.RegisterResponse, error) {
	return n.workers.Register
}
