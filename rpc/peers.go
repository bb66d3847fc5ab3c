package rpc

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// forwardedHeader marks a call that a node sent to the leader; such a call is never sent on.
const forwardedHeader = "Fairlane-Forwarded"

// peer is another node, as this node's handlers call it.
type peer struct {
	jobs      fairlanev1connect.JobServiceClient
	workers   fairlanev1connect.WorkerServiceClient
	queues    fairlanev1connect.QueueServiceClient
	cluster   fairlanev1connect.ClusterServiceClient
	schedules fairlanev1connect.ScheduleServiceClient
	// gone ends when another node leads: calls that still wait for an answer of this one give up.
	gone    context.Context
	abandon context.CancelFunc
}

// peers keeps the connections to other nodes. HTTP/1.1, one connection for each call in flight, kept for the next: unary
// calls are cheaper that way than multiplexed.
type peers struct {
	transport *http.Transport

	mu        sync.Mutex
	byAddress map[string]*peer
}

func newPeers() *peers {
	return &peers{
		transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second, KeepAlive: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 16_384, // parked claims hold one each
			// Below the server's idle time, so that a call is not sent into a connection which is just being closed.
			IdleConnTimeout:    90 * time.Second,
			DisableCompression: true,
			WriteBufferSize:    16 << 10,
			ReadBufferSize:     16 << 10,
		},
		byAddress: make(map[string]*peer),
	}
}

// at gives the peer with an API address, "host:port" or a URL.
func (p *peers) at(address string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.byAddress[address]; ok {
		return known
	}
	fresh := dial(&http.Client{Transport: p.transport}, address, connect.WithInterceptors(connect.UnaryInterceptorFunc(markForwarded)))
	fresh.gone, fresh.abandon = context.WithCancel(context.Background())
	p.byAddress[address] = fresh
	return fresh
}

// leave the peer with this address: its calls in flight end. The next at() makes a new one.
func (p *peers) leave(address string) {
	p.mu.Lock()
	known := p.byAddress[address]
	delete(p.byAddress, address)
	p.mu.Unlock()
	if known != nil {
		known.abandon()
	}
}

func (p *peers) close() {
	p.mu.Lock()
	for address, known := range p.byAddress {
		known.abandon()
		delete(p.byAddress, address)
	}
	p.mu.Unlock()
	p.transport.CloseIdleConnections()
}

// dial makes the typed clients of an address. Nothing is sent.
func dial(client connect.HTTPClient, address string, options ...connect.ClientOption) *peer {
	base := baseURL(address)
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
func baseURL(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	return "http://" + address
}

func markForwarded(next connect.UnaryFunc) connect.UnaryFunc {
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
