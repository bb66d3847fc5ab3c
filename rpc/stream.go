package rpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/cluster"
)

// usualWriteTime is how long one message of a stream may take to leave. A connection that takes longer is ended: nobody reads it.
const usualWriteTime = 20 * time.Second

// streamWriter gives each write of a stream its own time.
type streamWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

func newStreamWriter(w http.ResponseWriter, limit time.Duration) *streamWriter {
	return &streamWriter{ResponseWriter: w, control: http.NewResponseController(w), limit: limit}
}

func (w *streamWriter) Write(p []byte) (int, error) {
	defer w.timed()()
	return w.ResponseWriter.Write(p)
}

// Flush what was written. An error shows at the next write.
func (w *streamWriter) Flush() { _ = w.flush() }

func (w *streamWriter) flush() error {
	defer w.timed()()
	return w.control.Flush()
}

// timed gives what follows its time. It must be taken back: HTTP/2 ends a stream at its deadline whether it writes or not.
func (w *streamWriter) timed() (done func()) {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.limit))
	return func() { _ = w.control.SetWriteDeadline(time.Time{}) }
}

// Unwrap is for http.ResponseController.
func (w *streamWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// checks are the interceptors that give what a codec or Connect found wrong with a request an error of the table.
type checks struct{}

func (checks) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc { return refuseUnreadable(next) }

func (checks) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (checks) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		if conn.Spec().StreamType == connect.StreamTypeBidi {
			return next(ctx, &checkedStream{conn})
		}
		return next(ctx, &checkedConn{StreamingHandlerConn: conn})
	}
}

// checkedConn reads the one request of a server stream.
type checkedConn struct {
	connect.StreamingHandlerConn
	received int
}

func (c *checkedConn) Receive(message any) error {
	err := c.StreamingHandlerConn.Receive(message)
	method := methodName(c.Spec().Procedure)
	want := "one " + method + " request in one envelope"
	switch {
	case errors.Is(err, io.EOF) && c.received > 0:
		return err // the regular end
	case errors.Is(err, io.EOF):
		return problem(Malformed, "why", "it holds no message", "want", want)
	case err != nil:
		if _, _, ok := ReasonOf(err); ok {
			return err
		}
		return problem(Malformed, "why", err.Error(), "want", want)
	}
	if c.received++; c.received > 1 {
		return problem(Malformed, "why", "it holds more than one message", "want", want)
	}
	if why, found := unreadable(message.(proto.Message)); found {
		return decodeError(why, method)
	}
	return nil
}

// checkedStream reads the messages of a caller that streams.
type checkedStream struct{ connect.StreamingHandlerConn }

func (c *checkedStream) Receive(message any) error {
	err := c.StreamingHandlerConn.Receive(message)
	method := methodName(c.Spec().Procedure)
	switch {
	case errors.Is(err, io.EOF):
		return err
	case err != nil:
		if _, _, ok := ReasonOf(err); ok || connect.CodeOf(err) == connect.CodeCanceled {
			return err
		}
		return problem(Malformed, "why", err.Error(), "want", method+" requests, each in an envelope")
	}
	if why, found := unreadable(message.(proto.Message)); found {
		return decodeError(why, method)
	}
	return nil
}

// known waits until this node's own state holds everything that was decided before the call: a job that was enqueued a moment ago, at
// another node, is known here.
func (s *server) known(ctx context.Context) error {
	answer, err := s.readIndex(ctx)
	if err != nil {
		return err
	}
	return s.failure(s.node.WaitApplied(ctx, answer.GetIndex()))
}

// watch a topic, with an error of the table.
func (s *server) watch(name cluster.Topic, kind cluster.WatchKind) (*cluster.Watch, error) {
	w, err := s.node.Watch(name, kind)
	return w, s.failure(err)
}
