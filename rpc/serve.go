package rpc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
)

// drainTime is how long running calls may still take once serving ends. Parked claims are answered by the node's shutdown.
const drainTime = 10 * time.Second

// pingTime of HTTP/2: a connection is asked for a sign of life after so much silence, and has so much time for it.
const pingTime = 15 * time.Second

const (
	// connectionWindow and streamWindow are how much of a connection of HTTP/2, and of one stream in it, may lie here unread, in bytes. A follower sends
	// the streams of all its workers over one connection: one that is not read must not take the room of the others. net/http takes
	// less than 4 MiB.
	connectionWindow = 4<<20 - 1
	streamWindow     = 256 << 10
)

// NewServer is the HTTP server for a handler: HTTP/1.1 and h2c on one port. Calls wait for jobs, so there is no limit for
// a whole request or answer; the head, the body (see gate.go), idle connections and silent HTTP/2 peers have theirs.
func NewServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ConnContext:       rememberTLS,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          10_000,
			MaxReceiveBufferPerConnection: connectionWindow,
			MaxReceiveBufferPerStream:     streamWindow,
			SendPingTimeout:               pingTime,
			PingTimeout:                   pingTime,
		},
	}
}

// Serve until ctx ends, then let running calls end. It returns when all connections are closed, nil after a normal end.
// Shut the node down at the same time: parked claims are answered by that.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := NewServer(handler)
	return serveUntil(ctx, server, func() error { return server.Serve(listener) })
}

// ServeTLS is Serve with TLS, HTTP/1.1 and HTTP/2. log gets failed handshakes, as debug lines: strangers must not fill the disk.
func ServeTLS(ctx context.Context, listener net.Listener, handler http.Handler, bundle *certs.Bundle, log hclog.Logger) error {
	server := NewServer(handler)
	server.Protocols.SetUnencryptedHTTP2(false)
	server.Protocols.SetHTTP2(true)
	server.TLSConfig = bundle.APIServer()
	server.ErrorLog = log.Named("api").StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})
	return serveUntil(ctx, server, func() error { return server.ServeTLS(listener, "", "") })
}

func serveUntil(ctx context.Context, server *http.Server, run func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- run() }()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			return err
		}
		ended <- http.ErrServerClosed // the node shut down and closed its port: running calls end as below
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := server.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // the rest did not end in time
	}
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) && !errors.Is(e, net.ErrClosed) {
		return e
	}
	return err
}
