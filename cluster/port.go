package cluster

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// firstByteTime is how long a new connection may take to say what it is for, the handshake included.
	firstByteTime = 10 * time.Second
	// openConnections at most on the port between nodes; more are closed at once.
	openConnections = 4096
	// lastRaftByte: raft's messages begin with a small number, HTTP with a letter.
	lastRaftByte = 0x1f
)

// port is where the other nodes reach this one, for raft and for calls over HTTP. It looks at the first byte of a connection, and only after
// the handshake, if there is TLS.
type port struct {
	listener net.Listener
	tls      *tls.Config // nil: none
	log      hclog.Logger
	refused  *oncePerSource
	raft     *handed
	calls    *handed
	serving  sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{} // nil once closed
	closed bool
}

func openPort(listener net.Listener, settings *tls.Config, log hclog.Logger) *port {
	p := &port{
		listener: listener, tls: settings, log: log, refused: newOncePerSource(log, time.Hour), open: make(map[net.Conn]struct{}),
		raft: newHanded(listener.Addr()), calls: newHanded(listener.Addr()),
	}
	p.serving.Go(p.accept)
	return p
}

func (p *port) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Warn("a connection of another node was not accepted", "error", err)
			time.Sleep(10 * time.Millisecond) // too many open files, for example: they end
			continue
		}
		if tracked := p.track(conn); tracked != nil {
			p.serving.Go(func() { p.sort(tracked) })
		}
	}
}

// track a connection so that Close can end it; nil: it was closed.
func (p *port) track(conn net.Conn) *tracked {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.open) >= openConnections {
		conn.Close()
		return nil
	}
	p.open[conn] = struct{}{}
	return &tracked{conn, p}
}

// sort a connection by its first byte.
func (p *port) sort(t *tracked) {
	var conn net.Conn = t
	_ = conn.SetDeadline(time.Now().Add(firstByteTime))
	if p.tls != nil {
		secure := tls.Server(t, p.tls)
		if err := secure.Handshake(); err != nil {
			p.refused.warn(t.RemoteAddr(), "handshake", "a connection to the port between nodes was refused", "error", err)
			t.Close()
			return
		}
		conn = secure
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		conn.Close() // opened and not used
		return
	}
	_ = conn.SetDeadline(time.Time{})
	to := p.calls
	if first[0] <= lastRaftByte {
		to = p.raft
	}
	to.give(&begun{Conn: conn, first: first})
}

// hangUp ends the listener and all connections.
func (p *port) hangUp() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	open := p.open
	p.open = nil
	p.mu.Unlock()
	for conn := range open {
		conn.Close()
	}
	p.raft.Close()
	p.calls.Close()
	p.serving.Wait()
}

// tracked is a connection that its port forgets when it is closed.
type tracked struct {
	net.Conn
	from *port
}

// Read says that the other side has ended when this one hung up: raft takes anything else for a fault, and logs it.
func (t *tracked) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

func (t *tracked) Close() error {
	t.from.mu.Lock()
	delete(t.from.open, t.Conn)
	t.from.mu.Unlock()
	return t.Conn.Close()
}

// begun is a connection whose first byte was read already.
type begun struct {
	net.Conn
	first []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 && len(p) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// TLS is nil without it.
func (b *begun) TLS() *tls.ConnectionState {
	secure, ok := b.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := secure.ConnectionState()
	return &state
}

// handed is a listener whose connections somebody else accepted.
type handed struct {
	at    net.Addr
	conns chan net.Conn
	once  sync.Once
	ended chan struct{}
}

func newHanded(at net.Addr) *handed {
	return &handed{at: at, conns: make(chan net.Conn), ended: make(chan struct{})}
}

func (h *handed) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.ended:
		conn.Close()
	}
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.ended:
		return nil, net.ErrClosed
	}
}

// Close may be repeated.
func (h *handed) Close() error {
	h.once.Do(func() { close(h.ended) })
	return nil
}

func (h *handed) Addr() net.Addr { return h.at }
