package fairlane

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Client talks to a cluster. Safe for many goroutines; make one for a process and close it at the end.
type Client struct {
	nodes   *nodes
	clock   clock
	logger  *slog.Logger
	session *session
	streams *streams

	life  context.Context // ends when the client is closed
	close context.CancelCauseFunc
	idle  func() // closes the connections that are the client's own
}

// Config is what a client may be told. The zero value is usable.
type Config struct {
	// Endpoints of the cluster, host:port or URLs; any of its nodes will do, several survive the loss of one. Empty: the comma
	// separated FAIRLANE_ENDPOINTS, else http://127.0.0.1:7171.
	Endpoints []string
	// Name shown to operators; at most 128 bytes. Empty: the host's name.
	Name string
	// Logger for what the client repairs by itself. Nil: nothing is logged.
	Logger *slog.Logger
	// HTTPClient to send with, for example for TLS; it carries the streams of workers too if it does HTTP/2. Nil: HTTP/1.1 with connections kept open,
	// which is the fastest for calls of one request and one answer, and HTTP/2 for streams.
	HTTPClient *http.Client
}

// Connect makes a client for the cluster at the endpoints; none: see [Config]. It sends nothing yet, so that a cluster that is
// still starting is no error. The error is about the form of an endpoint.
func Connect(endpoints ...string) (*Client, error) {
	return Open(Config{Endpoints: endpoints})
}

// Open is Connect for those who have more to say.
func Open(cfg Config) (*Client, error) {
	endpoints := cfg.Endpoints
	if len(endpoints) == 0 {
		endpoints = defaultEndpoints()
	}
	client, forStreams, idle := cfg.HTTPClient, cfg.HTTPClient, func() {}
	if client == nil {
		single, streamed := newTransport(), newStreamTransport()
		client, forStreams = &http.Client{Transport: single}, &http.Client{Transport: streamed}
		idle = func() {
			single.CloseIdleConnections()
			streamed.CloseIdleConnections()
		}
	}
	list, err := newNodes(client, endpoints)
	if err != nil {
		return nil, err
	}
	c := &Client{nodes: list, clock: newMachineClock(), logger: cfg.Logger, idle: idle,
		streams: &streams{client: http2Only{forStreams}}}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	name := cfg.Name
	if name == "" {
		name = processName()
	}
	c.session = newSession(c, name)
	c.life, c.close = context.WithCancelCause(context.Background())
	list.life = c.life
	return c, nil
}

// Close ends the calls under way, with ErrClosed, and the client's own connections. Workers of the client should have
// returned before. It may be repeated.
func (c *Client) Close() error {
	c.close(ErrClosed)
	c.idle()
	return nil
}

// bound gives a context that also ends when the client is closed. The function must be called.
func (c *Client) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(ErrClosed) })
	if c.life.Err() != nil {
		cancel(ErrClosed) // at once; the function above runs some time later
	}
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

func defaultEndpoints() []string {
	var out []string
	for e := range strings.SplitSeq(os.Getenv("FAIRLANE_ENDPOINTS"), ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		out = []string{"http://127.0.0.1:7171"}
	}
	return out
}

// newTransport keeps many HTTP/1.1 connections: one for each claim that waits, and some for the calls beside them.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
		MaxIdleConnsPerHost: 1024,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
}

// processName tells one process from another in lists.
func processName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	return cut(host, 100)
}

// read sends a call that changes nothing.
func read[Req, Res any](ctx context.Context, c *Client, limit time.Duration, method service[Req, Res], req *Req) (*Res, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	k := &call{client: c, limit: limit, harmless: true}
	return do(ctx, k, method, func(bool) *Req { return req })
}

// isSessionEnd reports that the session is no more, for one reason or the other.
func isSessionEnd(err error) bool {
	return errors.Is(err, ErrSessionEnded) || errors.Is(err, ErrSessionReplaced)
}
