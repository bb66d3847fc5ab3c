package rpc

import (
	"net/http"
	"sync"
	"time"
)

// control of a stream's connection, for timers: net/http's own must not be touched once the handler has returned, and a timer that has fired cannot
// be stopped. Its methods may be called at the same time.
type control struct {
	of *http.ResponseController

	mu   sync.Mutex
	over bool // the handler returns
}

func newControl(w http.ResponseWriter) *control { return &control{of: http.NewResponseController(w)} }

// endReading makes Read of the body return now, and from now on.
func (c *control) endReading() { c.end((*http.ResponseController).SetReadDeadline) }

// endWriting resets the stream.
func (c *control) endWriting() { c.end((*http.ResponseController).SetWriteDeadline) }

func (c *control) end(set func(*http.ResponseController, time.Time) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		_ = set(c.of, time.Now())
	}
}

// leave is the last thing that a handler does.
func (c *control) leave() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
}

// maxMessageKept of the buffer between two messages.
const maxMessageKept = 64 << 10

// messageWriter sends each message of a stream whole, in one write. It is for HTTP/2 and many messages: setting a deadline there costs as much as a
// write, so only a write that takes too long sets one.
type messageWriter struct {
	http.ResponseWriter
	control *control
	limit   time.Duration
	late    *time.Timer // ends a write; nil until the first
	message []byte
	err     error // of the last message
}

func newMessageWriter(w http.ResponseWriter, c *control, limit time.Duration) *messageWriter {
	return &messageWriter{ResponseWriter: w, control: c, limit: limit}
}

// Write a part of a message. An error is that of the message before.
func (w *messageWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.message = append(w.message, p...)
	return len(p), nil
}

// Flush the message. An error shows at the next one, and ends the request's context.
func (w *messageWriter) Flush() {
	if w.late == nil {
		w.late = time.AfterFunc(w.limit, w.control.endWriting)
	} else {
		w.late.Reset(w.limit)
	}
	if len(w.message) > 0 && w.err == nil {
		_, w.err = w.ResponseWriter.Write(w.message)
	}
	if err := w.control.of.Flush(); w.err == nil {
		w.err = err
	}
	w.late.Stop()
	if w.message = w.message[:0]; cap(w.message) > maxMessageKept {
		w.message = nil
	}
}

// Unwrap is for http.ResponseController.
func (w *messageWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
