package fairlane

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// errUnknownMethod is the reason of a server that does not know a call.
const errUnknownMethod Reason = "UNKNOWN_METHOD"

// errNotHTTP2 is an answer in HTTP/1.1 where one in HTTP/2 was wanted.
var errNotHTTP2 = errors.New("fairlane: the server does not speak HTTP/2")

// streams is what a client knows about the streams of workers. Safe for many goroutines.
type streams struct {
	client connect.HTTPClient
	off    atomic.Bool // there are none here: an old cluster, or no HTTP/2 on the way
	stood  atomic.Bool // one stood once
	told   sync.Once

	mu       sync.Mutex
	noDirect instant // no direct stream to the leader before this; guarded by mu
}

// mayGoDirect reports whether a direct stream to the leader is to be tried.
func (s *streams) mayGoDirect(now instant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.mono >= s.noDirect.mono
}

// noWay says that the leader could not be reached directly, and until when that is not to be tried again.
func (s *streams) noWay(until instant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noDirect = until
}

// byScheme sends HTTP/2 without TLS to http:// addresses, and to https:// ones what is agreed on with the server.
type byScheme struct{ plain, secure *http.Transport }

func (t *byScheme) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "https" {
		return t.secure.RoundTrip(req)
	}
	return t.plain.RoundTrip(req)
}

func (t *byScheme) CloseIdleConnections() {
	t.plain.CloseIdleConnections()
	t.secure.CloseIdleConnections()
}

// newStreamTransport notices within seconds that the other side is dead.
func newStreamTransport() *byScheme {
	one := func(set func(*http.Protocols)) *http.Transport {
		t := newTransport()
		t.TLSNextProto = nil
		t.Protocols = new(http.Protocols)
		set(t.Protocols)
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 2 * time.Second, WriteByteTimeout: 5 * time.Second}
		return t
	}
	t := &byScheme{
		plain:  one(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }),
		secure: one(func(p *http.Protocols) { p.SetHTTP1(true); p.SetHTTP2(true) }),
	}
	dial := t.plain.DialContext
	t.plain.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &http2Conn{Conn: conn}, nil
	}
	return t
}

// http2Only sends with a client that may speak HTTP/1.1 too, and fails when the answer comes in it: a stream goes both ways at the same time.
type http2Only struct{ connect.HTTPClient }

func (c http2Only) Do(req *http.Request) (*http.Response, error) {
	res, err := c.HTTPClient.Do(req)
	if err == nil && res.ProtoMajor < 2 {
		_ = res.Body.Close()
		return nil, errNotHTTP2
	}
	return res, err
}

// http2Conn fails when the first byte from the server is not one of HTTP/2: a frame begins with its length, which is small. One goroutine reads it.
type http2Conn struct {
	net.Conn
	seen bool
}

func (c *http2Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.seen {
		if c.seen = true; p[0] == 'H' { // "HTTP/1.1 400 Bad Request"
			return 0, errNotHTTP2
		}
	}
	return n, err
}
