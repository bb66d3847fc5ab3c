package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// pauseBeforeReconnect keeps a node that ends every stream at once from being asked in a busy loop.
const pauseBeforeReconnect = 100 * time.Millisecond

// streamSilence is how long a stream may say nothing before it is taken up elsewhere: a frozen node does not hang up, and going on by position
// costs nothing.
const streamSilence = time.Minute

// stream is a server stream that goes on at another node when one breaks.
type stream[S, Req, Res any] struct {
	service func(client connect.HTTPClient, url string) S
	open    func(S, context.Context, *Req) (*connect.ServerStreamForClient[Res], error)
	// request for the next connection: it says after what was received to go on.
	request func() *Req
	// receive one message; done: this was the last one, or enough.
	receive func(*Res) (done bool, err error)
}

// follow reads the stream from one of the endpoints, and goes on at the next one when it breaks, until receive says that it is done or an
// answer is final. It gives up when nothing came for the time of --timeout since the last break; a quiet stream is no break. When no
// endpoint accepts a connection from the beginning it does not wait, as call does not.
func follow[S, Req, Res any](ctx context.Context, a *app, s stream[S, Req, Res]) error {
	var broken time.Time      // since when nothing came; zero: it does
	refused, ever := 0, false // connections refused in a row; something came
	for turn := 0; ; turn++ {
		got, done, err := s.once(ctx, a, a.endpoints[turn%len(a.endpoints)])
		if done || err != nil && !goesOn(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if got {
			broken, ever = time.Time{}, true
		}
		if broken.IsZero() {
			broken = time.Now()
		}
		if refused++; err == nil || !isRefused(err) {
			refused = 0
		}
		if !ever && refused >= len(a.endpoints) {
			return unreachable(a.endpoints, err)
		}
		if time.Since(broken) > a.timeout {
			if err == nil {
				err = errors.New("the stream ends again and again without its last message")
			}
			return &exitError{exitUnreachable, err}
		}
		if err := pause(ctx, pauseBeforeReconnect); err != nil {
			return err
		}
	}
}

// once reads one connection to its end, or until it was silent for so long; that counts as a message. A nil error without done is a stream
// that ended early.
func (s stream[S, Req, Res]) once(ctx context.Context, a *app, endpoint string) (got, done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var silent atomic.Bool
	watch := time.AfterFunc(a.silence, func() {
		silent.Store(true)
		cancel()
	})
	defer watch.Stop()
	messages, err := s.open(s.service(a.httpClient, a.baseURL(endpoint)), ctx, s.request())
	if silent.Load() {
		return true, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer messages.Close()
	for messages.Receive() {
		watch.Reset(a.silence)
		got = true
		if done, err := s.receive(messages.Msg()); err != nil || done {
			return true, true, err
		}
	}
	if silent.Load() {
		return true, false, nil
	}
	return got, false, messages.Err()
}

// goesOn reports whether a stream that ended so may be taken up again: the connection broke, the node cannot serve now, or it cut off a
// reader that was too slow. What else a node says is final.
func goesOn(err error) bool {
	if !connect.IsWireError(err) {
		return !errors.Is(err, context.Canceled)
	}
	return connect.CodeOf(err) == connect.CodeUnavailable || describe(err).Reason == "SLOW_WATCHER"
}

// endless is how a stream without an end ends: an interruption is no failure of it.
func endless(ctx context.Context, err error) error {
	if ctx.Err() != nil && context.Cause(ctx) == errInterrupted {
		return nil
	}
	return err
}

// pause for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
