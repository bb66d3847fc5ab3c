package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
)

const (
	transportTimeout = 5 * time.Second
	transportPool    = 3 // connections kept for each node
)

// transport is raft's TCP transport with two differences. raft's fast path for heartbeats is off, since it can make
// replicas diverge: heartbeats go through the same door as appends. And it remembers how far each node's log reached,
// for the promotion of nodes that join.
type transport struct {
	*raft.NetworkTransport
	port   *port
	stream *stream
	where  finder

	mu      sync.Mutex
	reached map[raft.ServerID]contact
}

// contact is what a node answered to this leader.
type contact struct {
	lastIndex uint64
	at        time.Time // of the last good answer
	answered  time.Time // of the last answer of any kind: it is there
}

// openTransport listens for the other nodes. settings are the certificates of this node; nil: no TLS. where gives the present address of a
// node.
func openTransport(listen, advertise string, bundle *certs.Bundle, where finder, logger hclog.Logger) (*transport, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("cluster: raft listens on %s: %w", listen, err)
	}
	if advertise == "" {
		advertise = listener.Addr().String()
	}
	if host, port, err := net.SplitHostPort(advertise); err != nil || port == "0" || host == "" || net.ParseIP(host).IsUnspecified() {
		listener.Close()
		return nil, fmt.Errorf("cluster: raft cannot be reached at %q: give an address that other nodes can use", advertise)
	}
	var server, client *tls.Config
	if bundle != nil {
		server, client = bundle.ClusterServer(), bundle.ClusterClient()
	}
	port := openPort(listener, server, logger.Named("port"))
	layer := &stream{Listener: port.raft, advertise: address(advertise), tls: client}
	return &transport{
		port: port, stream: layer, where: where,
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          layer,
			MaxPool:         transportPool,
			MaxRPCsInFlight: 1, // more can wedge a follower
			Timeout:         transportTimeout,
			Logger:          logger.Named("transport"),
		}),
		reached: make(map[raft.ServerID]contact),
	}, nil
}

// SetHeartbeatHandler does nothing: see transport.
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries also remembers how far the node's log is known to equal the leader's. A heartbeat names no entry and proves nothing of
// the log: a node whose tail diverges answers it too.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, request *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	at, err := t.where(id, target)
	if err != nil {
		return err
	}
	if err := t.NetworkTransport.AppendEntries(id, at, request, answer); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.reached[id]
	known.answered = time.Now()
	if answer.Success {
		matched := request.PrevLogEntry
		if n := len(request.Entries); n > 0 {
			matched = request.Entries[n-1].Index
		}
		known.lastIndex, known.at = max(matched, known.lastIndex), known.answered
	}
	t.reached[id] = known
	return nil
}

// heard an answer of a node.
func (t *transport) heard(id raft.ServerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.reached[id]
	known.answered = time.Now()
	t.reached[id] = known
}

// forget how far the logs of nodes reached in a former leadership of this node. That they answered stays true.
func (t *transport) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, known := range t.reached {
		t.reached[id] = contact{answered: known.answered}
	}
}

func (t *transport) contact(id raft.ServerID) contact {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reached[id]
}

// Close ends connections in both directions; raft's own waits for the other nodes to close theirs. May be repeated.
func (t *transport) Close() error {
	err := t.NetworkTransport.Close()
	t.CloseStreams()
	t.port.hangUp()
	return err
}

// stream is raft's part of the port. It says the advertised address of itself.
type stream struct {
	net.Listener
	advertise address
	tls       *tls.Config // nil: none
}

func (s *stream) Addr() net.Addr { return s.advertise }

func (s *stream) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := hookDial(target, timeout)
	if err != nil || s.tls == nil {
		return conn, err
	}
	secure := tls.Client(conn, s.tls)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// address is host:port; a name is resolved when it is dialled.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
