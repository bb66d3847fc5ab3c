package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// maxMessageBytes of one message of a stream that a caller sends.
	maxMessageBytes = 4 << 20
	// envelopeHead is the flags and the length before each message, in all protocols served here.
	envelopeHead = 5
	// messageBuffer: what one read of a connection gives, mostly.
	messageBuffer = 8 << 10
)

// messageBody bounds each message of a stream that a caller sends, and the time of one that has begun to come. Between messages it waits without
// limit: a peer that is gone is found by the pings of HTTP/2.
type messageBody struct {
	io.ReadCloser
	gate    *gate
	control *control
	late    atomic.Bool // the message that came took too long
	timer   *time.Timer // of the message that is coming; nil until one needs it
	timed   bool        // timer runs

	buffer  []byte // read and not given on
	storage []byte
	head    [envelopeHead]byte
	have    int   // bytes of head
	left    int64 // bytes of the message that are still to come
}

type messageBodyKey struct{}

// withMessages replaces the body of a request whose caller streams.
func (g *gate) withMessages(c *control, r *http.Request) *http.Request {
	body := &messageBody{ReadCloser: r.Body, gate: g, control: c, storage: make([]byte, messageBuffer)}
	r = r.WithContext(context.WithValue(r.Context(), messageBodyKey{}, body))
	r.Body = body
	return r
}

// stopReading ends the reading of a stream's messages, so that the goroutine which does it ends.
func stopReading(ctx context.Context) {
	if body, ok := ctx.Value(messageBodyKey{}).(*messageBody); ok {
		body.control.endReading()
	}
}

func (b *messageBody) Read(p []byte) (int, error) {
	if len(b.buffer) == 0 {
		if b.have > 0 || b.left > 0 {
			b.begin()
		}
		direct := len(p) >= len(b.storage)
		into := b.storage
		if direct {
			into = p
		}
		n, err := b.ReadCloser.Read(into)
		switch {
		case n > 0: // an error comes again
		case b.late.Load() && errors.Is(err, os.ErrDeadlineExceeded):
			return 0, problem(TimedOut, "node_id", b.gate.node, "doing", "reading a message")
		default:
			return 0, err
		}
		if direct {
			return n, b.follow(p[:n])
		}
		b.buffer = b.storage[:n]
	}
	n := copy(p, b.buffer)
	if err := b.follow(b.buffer[:n]); err != nil {
		return 0, err
	}
	b.buffer = b.buffer[n:]
	return n, nil
}

// begin the time of a message of which only a part is here.
func (b *messageBody) begin() {
	switch {
	case b.timed:
		return
	case b.timer == nil:
		b.timer = time.AfterFunc(b.gate.bodyTime, func() {
			b.late.Store(true)
			b.control.endReading()
		})
	default:
		b.timer.Reset(b.gate.bodyTime)
	}
	b.timed = true
}

// follow the messages in what is given on.
func (b *messageBody) follow(p []byte) error {
	for len(p) > 0 {
		if b.left > 0 {
			n := min(b.left, int64(len(p)))
			b.left -= n
			p = p[n:]
		} else {
			n := copy(b.head[b.have:], p)
			b.have += n
			p = p[n:]
			if b.have < envelopeHead {
				return nil
			}
			b.have, b.left = 0, int64(binary.BigEndian.Uint32(b.head[1:]))
			if b.left > maxMessageBytes {
				return problem(TooLarge, "field", "the message", "value", strconv.FormatInt(b.left, 10), "most", strconv.Itoa(maxMessageBytes))
			}
		}
		if b.timed && b.left == 0 && b.have == 0 {
			b.timer.Stop()
			b.timed = false
		}
	}
	return nil
}

func (b *messageBody) Close() error {
	if b.timer != nil {
		b.timer.Stop()
	}
	return b.ReadCloser.Close()
}
