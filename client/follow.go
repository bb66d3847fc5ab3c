package fairlane

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
)

const (
	// streamSilence after which a stream is opened again, elsewhere. HTTP/1.1 does not notice a dead connection by itself; and since every
	// stream goes on from a position, opening one that was only quiet costs nothing but a request.
	streamSilence = time.Minute
	// streamSettled is how long a connection has to live for the next one to be opened without a pause.
	streamSettled = 5 * time.Second
	// streamFarewell is how long the end of a stream may follow its last message.
	streamFarewell = 100 * time.Millisecond
)

var (
	// errEnough is what take gives when nobody wants more of the stream, errLast after its last message.
	errEnough = errors.New("enough")
	errLast   = errors.New("last message")
	// errSilent ends a connection that may be dead.
	errSilent = errors.New("fairlane: nothing came for a long time, or the node is suspected")
	// errCutShort is a connection that ended although the stream had not.
	errCutShort = errors.New("fairlane: the node ended the stream")
)

// streamEnd is the end of a stream, as opposed to that of a connection; err nil: it ended well.
type streamEnd struct{ err error }

func (e *streamEnd) Error() string { return "the stream has ended" }

// brokenStream is what take gives for a message that cannot be true, or not yet, so that another connection is to be tried.
type brokenStream struct{ why string }

func (e *brokenStream) Error() string { return "fairlane: " + e.why }

// takeEnd tells what take's error ends: the connection, or the stream.
func takeEnd(err error) error {
	if _, broken := errors.AsType[*brokenStream](err); broken || errors.Is(err, errCutShort) {
		return err
	}
	if errors.Is(err, errEnough) || errors.Is(err, errLast) {
		err = nil
	}
	return &streamEnd{err}
}

// follower reads one stream of the cluster over as many connections and nodes as it takes. One goroutine uses it.
type follower[Req, Res any] struct {
	client *Client
	open   func(*node) func(context.Context, *Req) (*connect.ServerStreamForClient[Res], error)
	// request of the next connection, which says from where to go on.
	request func() *Req
	// take is given each message. Its error ends the stream, errEnough and errLast end it well; after a *brokenStream or errCutShort it goes on with another
	// connection.
	take func(*Res) error
	// confirm is asked, by a linearizable read, when a node does not know what is to be followed: perhaps it only lags behind. Nil as answer:
	// it does. A nil function: there is nothing to know.
	confirm func(context.Context) error
}

// run reads until take has enough, a refusal is final, or ctx ends. It begins where the streams before it did.
func (f *follower[Req, Res]) run(ctx context.Context) error {
	ctx, cancel := f.client.bound(ctx)
	defer cancel()
	target, count := f.client.nodes.reader()
	var last error
	tries, pause := 0, time.Duration(0)
	for ctx.Err() == nil {
		began := f.client.clock.now()
		err := f.connection(ctx, target)
		if end, ended := errors.AsType[*streamEnd](err); ended {
			return end.err
		}
		if ctx.Err() != nil {
			break
		}
		e := fromWire(err)
		if end := f.judge(ctx, e); end != nil {
			return end
		}
		last = e
		if f.client.clock.now().since(began) >= streamSettled {
			tries, pause = 0, 0
		}
		delay := time.Duration(0) // another node can be asked at once
		if e.Reason == ErrSlowWatcher {
			delay = e.RetryAfter
		}
		if tries++; tries%count == 0 {
			pause = min(max(2*pause, pauseFirst), pauseMost)
			delay = max(e.RetryAfter, jitter(pause))
		}
		target = f.client.nodes.after(target)
		sleep(ctx, delay)
	}
	return gaveUp(ctx, last)
}

// judge gives the error with which a refusal ends the stream; nil: it does not.
func (f *follower[Req, Res]) judge(ctx context.Context, e *Error) error {
	if e.judge() != verdictFinal {
		return nil
	}
	if (e.Reason == ErrUnknownJob || e.Reason == ErrUnknownQueue) && f.confirm != nil {
		return f.confirm(ctx)
	}
	return e
}

// connection reads from one node until the connection ends or take wants no more.
func (f *follower[Req, Res]) connection(ctx context.Context, target *node) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(streamSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	suspected := f.client.nodes.silence(target)
	go func() {
		select {
		case <-suspected:
			cancel(errSilent)
		case <-ctx.Done():
		}
	}()
	stream, err := f.open(target)(ctx, f.request())
	if err == nil {
		defer stream.Close()
		for stream.Receive() {
			silence.Stop() // the time that our reader takes is not the node's
			if err := f.take(stream.Msg()); err != nil {
				if errors.Is(err, errLast) {
					silence.Reset(streamFarewell)
					stream.Receive() // the end, so that the connection can be used again
				}
				return takeEnd(err)
			}
			silence.Reset(streamSilence)
		}
		if err = stream.Err(); err == nil {
			return errCutShort
		}
	}
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}
