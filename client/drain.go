package fairlane

import (
	"context"
	"fmt"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// goodbyeLimit bounds the calls Drain and Deregister each: a cluster that does not answer must not hold up a shutdown, and
// ends the session by itself.
const goodbyeLimit = 5 * time.Second

// settleLimit is how long claims may take to be answered once the cluster knows that the worker goes.
const settleLimit = time.Second

// drain is the orderly end: take no more jobs, let handlers finish within the grace time, give the rest back, deregister.
// Heartbeats go on until the last handler has returned.
func (l *life) drain(stopTaking func()) error {
	cfg := l.worker.config
	l.draining.Store(true)
	cfg.observe(Event{Kind: EventDraining, Session: l.session})
	l.logger.Info("draining", "running", l.busy.Load())
	began := l.client.clock.now()

	// The cluster then answers the claims that wait on it, so that none is cut off with a job on its way.
	l.goodbye(func(ctx context.Context, k *call) error {
		_, err := do(ctx, k, drainWorker, func(bool) *fairlanev1.DrainRequest {
			return &fairlanev1.DrainRequest{Session: l.session}
		})
		return err
	})
	l.settled()
	stopTaking()
	l.lanes.Wait()

	done := l.idle()
	if !waitFor(done, cfg.grace-l.client.clock.now().since(began)) {
		for _, c := range l.claims.listed() {
			c.cancel(ErrDraining)
		}
		waitFor(done, cfg.stubborn)
	}
	left := l.busy.Load()
	l.deregister()
	l.end(errDrained)
	if left > 0 {
		return l.handlersLeft()
	}
	<-done // calls end with the life, and no handler runs
	return errDrained
}

// settled asks for an answer to all claims that wait on the stream, and waits for them within settleLimit. Then the end cuts none off.
func (l *life) settled() {
	if !l.carrier.streaming() {
		return
	}
	timer := time.NewTimer(settleLimit)
	defer timer.Stop()
	l.carrier.settleAll()
	for l.waiting.Load() > 0 {
		select {
		case <-l.calm:
		case <-timer.C:
			return
		case <-l.ctx.Done():
			return
		}
	}
}

func (l *life) deregister() {
	l.goodbye(func(ctx context.Context, k *call) error {
		_, err := do(ctx, k, deregister, func(bool) *fairlanev1.DeregisterRequest {
			return &fairlanev1.DeregisterRequest{Session: l.session}
		})
		return err
	})
}

// goodbye makes one of the last calls; without an answer the worker goes all the same.
func (l *life) goodbye(send func(context.Context, *call) error) {
	ctx, cancel := context.WithTimeout(l.ctx, goodbyeLimit)
	defer cancel()
	if err := send(ctx, &call{client: l.client, limit: goodbyeLimit, harmless: true}); err != nil {
		l.logger.Warn("the cluster was not told that this worker goes", "err", err)
	}
}

// refused is the end of a life before it took a job, because something that it needs was refused.
func (l *life) refused(why error) error {
	l.deregister()
	l.end(why)
	l.aux.Wait()
	return why
}

func (l *life) handlersLeft() error {
	return &Error{Reason: ErrHandlersLeft, Message: fmt.Sprintf(
		"%d handlers went on %v after their contexts had ended; their jobs were given back. Make them return when ctx.Done() closes",
		l.busy.Load(), l.worker.config.stubborn)}
}

// waitFor reports whether done closed within d.
func waitFor(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

func drainWorker(n *node) func(context.Context, *fairlanev1.DrainRequest) (*fairlanev1.DrainResponse, error) {
	return n.workers.Drain
}

func deregister(n *node) func(context.Context, *fairlanev1.DeregisterRequest) (*fairlanev1.DeregisterResponse, error) {
	return n.workers.Deregister
}
