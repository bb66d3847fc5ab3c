package rpc

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// forwardedHeader marks a call that a node sent to the leader; such a call is never sent on.
const forwardedHeader = "Fairlane-Forwarded"

// leaderHeader of an answer that another node, the leader, gave: the base URL of its API. Clients that can reach it save a hop.
const leaderHeader = "Fairlane-Leader"

// peer is another node, as this node's handlers call it.
type peer struct {
	jobs      fairlanev1connect.JobServiceClient
	workers   fairlanev1connect.WorkerServiceClient
	queues    fairlanev1connect.QueueServiceClient
	cluster   fairlanev1connect.ClusterServiceClient
	schedules fairlanev1connect.ScheduleServiceClient
	// streams of workers, over one connection.
	streams fairlanev1connect.WorkerServiceClient
	// gone ends when another node leads: calls that still wait for an answer of this one give up.
	gone    context.Context
	abandon context.CancelFunc
}

// door of a node: the port of its API, or the one between nodes.
type door struct {
	address string
	inside  bool
}

// dialer makes connections to the port between nodes.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// peers keeps the connections to other nodes. HTTP/1.1, one connection for each call in flight, kept for the next: unary
// calls are cheaper that way than multiplexed. Streams in both directions need HTTP/2.
type peers struct {
	outer, inner               *http.Transport
	outerStreams, innerStreams *http.Transport
	secure                     bool // https at the API

	mu     sync.Mutex
	byDoor map[door]*peer
}

// newPeers calls the port between nodes by inside, which sees to TLS there; nil: in plain text. bundle is for the ports of the API; nil: no TLS.
func newPeers(inside dialer, bundle *certs.Bundle) *peers {
	plain := (&net.Dialer{Timeout: time.Second, KeepAlive: 5 * time.Second}).DialContext
	if inside == nil {
		inside = plain
	}
	p := &peers{
		outer: peerTransport(plain), inner: peerTransport(inside), byDoor: make(map[door]*peer),
		outerStreams: streamTransport(plain, bundle != nil), innerStreams: streamTransport(inside, false), // the dialer does TLS
	}
	if bundle != nil {
		p.outer.TLSClientConfig, p.outerStreams.TLSClientConfig, p.secure = bundle.ClusterClient(), bundle.ClusterClient(), true
	}
	return p
}

func streamTransport(dial dialer, secure bool) *http.Transport {
	t := peerTransport(dial)
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP2(secure)
	t.Protocols.SetUnencryptedHTTP2(!secure)
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingTime, PingTimeout: pingTime}
	return t
}

func peerTransport(dial dialer) *http.Transport {
	return &http.Transport{
		DialContext:         dial,
		TLSHandshakeTimeout: 2 * time.Second,
		MaxIdleConnsPerHost: 16_384, // parked claims hold one each
		// Below the server's idle time, so that a call is not sent into a connection which is just being closed.
		IdleConnTimeout:    90 * time.Second,
		DisableCompression: true,
		WriteBufferSize:    16 << 10,
		ReadBufferSize:     16 << 10,
	}
}

// at gives the peer with an API address, "host:port" or a URL.
func (p *peers) at(address string) *peer { return p.through(door{address, false}) }

// inside gives the peer whose port between nodes has this address, "host:port". A node serves calls there if it can apply
// cluster.InsideRules or later ones.
func (p *peers) inside(raftAddress string) *peer { return p.through(door{raftAddress, true}) }

func (p *peers) through(d door) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.byDoor[d]; ok {
		return known
	}
	transport, streams, base := p.outer, p.outerStreams, baseURL(d.address, p.secure)
	if d.inside {
		transport, streams, base = p.inner, p.innerStreams, "http://"+d.address // the dialer does TLS
	}
	fresh := dial(&http.Client{Transport: transport}, base, connect.WithInterceptors(forwarded{}))
	fresh.streams = dial(&http.Client{Transport: streams}, base, connect.WithInterceptors(forwarded{})).workers
	fresh.gone, fresh.abandon = context.WithCancel(context.Background())
	p.byDoor[d] = fresh
	return fresh
}

// leave the peer behind this door: its calls in flight end. The next one to ask for it gets a new one.
func (p *peers) leave(d door) {
	p.mu.Lock()
	known := p.byDoor[d]
	delete(p.byDoor, d)
	p.mu.Unlock()
	if known != nil {
		known.abandon()
	}
}

func (p *peers) close() {
	p.mu.Lock()
	for d, known := range p.byDoor {
		known.abandon()
		delete(p.byDoor, d)
	}
	p.mu.Unlock()
	p.outer.CloseIdleConnections()
	p.inner.CloseIdleConnections()
	p.outerStreams.CloseIdleConnections()
	p.innerStreams.CloseIdleConnections()
}

// dial makes the typed clients of a URL. Nothing is sent.
func dial(client connect.HTTPClient, base string, options ...connect.ClientOption) *peer {
	options = append(options, connect.WithCodec(binaryCodec{}), connect.WithAcceptCompression("gzip", nil, nil))
	return &peer{
		jobs:      fairlanev1connect.NewJobServiceClient(client, base, options...),
		workers:   fairlanev1connect.NewWorkerServiceClient(client, base, options...),
		queues:    fairlanev1connect.NewQueueServiceClient(client, base, options...),
		cluster:   fairlanev1connect.NewClusterServiceClient(client, base, options...),
		schedules: fairlanev1connect.NewScheduleServiceClient(client, base, options...),
	}
}

// baseURL of an API address.
func baseURL(address string, secure bool) string {
	switch {
	case strings.Contains(address, "://"):
		return address
	case secure:
		return "https://" + address
	}
	return "http://" + address
}

// forwarded are the interceptors that mark what a node sends to the leader.
type forwarded struct{}

func (forwarded) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set(forwardedHeader, "1")
		return conn
	}
}

func (forwarded) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func (forwarded) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		request.Header().Set(forwardedHeader, "1")
		return next(ctx, request)
	}
}

// wasForwarded tells whether the call that a handler serves came from another node.
func wasForwarded(ctx context.Context) bool {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	return ok && info.RequestHeader().Get(forwardedHeader) != ""
}
