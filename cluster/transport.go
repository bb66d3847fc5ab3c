package cluster

import (
	"errors"
	"fmt"
	"io"
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
	incoming *stream

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
	incoming := &stream{Listener: listener, advertise: address(advertise), open: make(map[net.Conn]struct{})}
	return &transport{
		incoming: incoming,
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          incoming,
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
	err := t.NetworkTransport.AppendEntries(id, target, request, answer)
	if err == nil && answer.Success {
		matched := request.PrevLogEntry
		if n := len(request.Entries); n > 0 {
			matched = request.Entries[n-1].Index
		}
		t.mu.Lock()
		t.reached[id] = contact{max(matched, t.reached[id].lastIndex), time.Now()}
		t.mu.Unlock()
	}
	return err
}

// forget what nodes had answered to a former leadership of this node.
func (t *transport) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.reached)
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
	t.incoming.hangUp()
	return err
}

// stream is a listener that says the advertised address of itself, and knows its open connections.
type stream struct {
	net.Listener
	advertise address

	mu     sync.Mutex
	open   map[net.Conn]struct{} // accepted; nil after hangUp
	closed bool
}

func (s *stream) Addr() net.Addr { return s.advertise }

func (s *stream) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return hookDial(target, timeout)
}

func (s *stream) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	s.open[conn] = struct{}{}
	return &accepted{conn, s}, nil
}

func (s *stream) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for conn := range s.open {
		conn.Close()
	}
	s.open = nil
}

// accepted is a connection that its listener forgets when it is closed.
type accepted struct {
	net.Conn
	from *stream
}

// Read says that the other side has ended when this one hung up: raft takes anything else for a fault, and logs it.
func (a *accepted) Read(p []byte) (int, error) {
	n, err := a.Conn.Read(p)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

func (a *accepted) Close() error {
	a.from.mu.Lock()
	delete(a.from.open, a.Conn)
	a.from.mu.Unlock()
	return a.Conn.Close()
}

// address is host:port; a name is resolved when it is dialled.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
