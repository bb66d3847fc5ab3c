package cluster

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
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

	mu      sync.Mutex
	reached map[raft.ServerID]contact
}

// contact is the last good answer of a node to this leader.
type contact struct {
	lastIndex uint64
	at        time.Time
}

func openTransport(listen, advertise string, logger hclog.Logger) (*transport, error) {
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
	return &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          &stream{listener, address(advertise)},
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

// AppendEntries also remembers how far the node's log reaches.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, request *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	err := t.NetworkTransport.AppendEntries(id, target, request, answer)
	if err == nil && answer.Success {
		t.mu.Lock()
		t.reached[id] = contact{answer.LastLog, time.Now()}
		t.mu.Unlock()
	}
	return err
}

func (t *transport) contact(id raft.ServerID) contact {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reached[id]
}

// stream is a listener that says the advertised address of itself.
type stream struct {
	net.Listener
	advertise address
}

func (s *stream) Addr() net.Addr { return s.advertise }

func (s *stream) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(target), timeout)
}

// address is host:port; a name is resolved when it is dialled.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
