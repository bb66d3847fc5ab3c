package fairlane

import (
	"context"
	"errors"
	"math/rand/v2"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// session is the client's session with the cluster. It is opened by the first call that changes something, and again when the
// cluster has ended it because it was idle. Safe for many goroutines.
type session struct {
	client *Client
	name   string
	// lock is held while book is read or the session is being opened; a channel, so that waiting for it can end.
	lock chan struct{}
	book *book // nil: not open
}

func newSession(c *Client, name string) *session {
	return &session{client: c, name: name, lock: make(chan struct{}, 1)}
}

// current gives the book of the open session and opens one if needed.
func (s *session) current(ctx context.Context) (*book, error) {
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.lock }()
	if s.book != nil {
		return s.book, nil
	}
	nonce := newNonce()
	k := &call{client: s.client, limit: attemptLimit, harmless: true}
	res, err := do(ctx, k, openSession, func(bool) *fairlanev1.OpenSessionRequest {
		return &fairlanev1.OpenSessionRequest{Nonce: nonce, Name: s.name}
	})
	if err != nil {
		return nil, err
	}
	s.book = newBook(res.GetSession())
	return s.book, nil
}

// forget drops a session that has ended, unless another caller did so and opened a new one.
func (s *session) forget(ctx context.Context, b *book) {
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		return
	}
	if s.book == b {
		s.book = nil
	}
	<-s.lock
}

// newNonce draws the random number by which the cluster knows a repeated opening; never 0.
func newNonce() uint64 { return rand.Uint64() | 1 }

func openSession(n *node) func(context.Context, *fairlanev1.OpenSessionRequest) (*fairlanev1.OpenSessionResponse, error) {
	return n.jobs.OpenSession
}

// numbered sends a call that changes something, under one number in the session. keyed: the request protects itself by an
// idempotency key, so that it may also be sent in another session.
func numbered[Req, Res any](ctx context.Context, c *Client, keyed bool, method service[Req, Res], build func(*fairlanev1.Repeat) *Req) (*Res, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	unknown := false
	for {
		b, err := c.session.current(ctx)
		if err != nil {
			if unknown {
				err = unknownOutcome(err)
			}
			return nil, err
		}
		k := &call{client: c, limit: attemptLimit, unknown: unknown}
		res, err := sendNumbered(ctx, k, b, method, build)
		if err == nil || !isSessionEnd(err) {
			return res, err
		}
		c.session.forget(ctx, b)
		unknown = k.unknown
		// Unknown and not protected by a key: sent again in a new session it might take place twice.
		if k.unknown && !keyed || errors.Is(err, ErrSessionReplaced) {
			return nil, err
		}
		c.logger.Debug("session ended, opening another", "session", b.session)
	}
}

func sendNumbered[Req, Res any](ctx context.Context, k *call, b *book, method service[Req, Res], build func(*fairlanev1.Repeat) *Req) (*Res, error) {
	t, err := b.begin(ctx, false)
	if err != nil {
		return nil, k.gaveUp(ctx, nil)
	}
	defer t.end()
	return do(ctx, k, method, func(bool) *Req { return build(t.repeat()) })
}
