package rpc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// drainTime is how long running calls may still take once serving ends. Parked claims are answered by the node's shutdown.
const drainTime = 10 * time.Second

// NewServer is the HTTP server for a handler: HTTP/1.1 and h2c on one port. Calls wait for jobs, so there is no limit for
// a whole request or answer; the head, the body (see gate.go), idle connections and silent HTTP/2 peers have theirs.
func NewServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 10_000,
			SendPingTimeout:      15 * time.Second,
			PingTimeout:          15 * time.Second,
		},
	}
}

// Serve until ctx ends, then let running calls end. It returns when all connections are closed, nil after a normal end.
// Shut the node down at the same time: parked claims are answered by that.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := NewServer(handler)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // the rest did not end in time
	}
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		return e
	}
	return err
}
