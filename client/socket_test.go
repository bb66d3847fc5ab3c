package fairlane

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// overSockets runs a hundred jobs over real connections with a fake that offers these protocols, and gives how many connections were opened, how many
// requests of HTTP/2 came, and what was logged.
func overSockets(t *testing.T, f *fake, set func(*http.Protocols), options func(*httptest.Server) Config) (opened, second int, logged string) {
	var connections, other atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 && r.Method != "PRI" {
			other.Add(1)
		}
		f.mux.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, &exchange{node: r.Host})))
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	set(server.Config.Protocols)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	if server.Config.Protocols.HTTP2() {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cfg := options(server)
	var log lockedBuffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cl, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()

	echo := Define[int, int]("echo")
	w := NewWorker(cl, Lanes("a:2 b>*:2"))
	echo.Handle(w, func(_ context.Context, job *Job[int]) (int, error) { return job.Args, nil })
	life, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(life) }()
	for i := range 100 {
		h, err := echo.Enqueue(ctx, cl, i, To([]string{"a", "b", "c"}[i%3]))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.Wait(ctx); got != i || err != nil {
			t.Fatalf("echo(%d) = %d, %v", i, got, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return int(connections.Load()), int(other.Load()), log.String()
}

// lockedBuffer is a buffer for many goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func plainly(server *httptest.Server) Config {
	// The first address is dead: everything goes to the second.
	return Config{Endpoints: []string{"127.0.0.1:1", server.URL}}
}

// TestOverSockets: over real connections a hundred jobs run, few connections are opened and kept, one carries the stream, and nothing is left behind.
func TestOverSockets(t *testing.T) {
	for name, c := range map[string]struct {
		set     func(*http.Protocols)
		options func(*httptest.Server) Config
	}{
		"plain": {func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, plainly},
		"TLS":   {func(p *http.Protocols) { p.SetHTTP2(true) }, func(s *httptest.Server) Config { return Config{Endpoints: []string{s.URL}, HTTPClient: s.Client()} }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			opened, second, logged := overSockets(t, f, c.set, c.options)
			if opened > 10 || second == 0 || len(f.messages) == 0 {
				t.Errorf("%d connections, %d requests of HTTP/2, %d messages; want a few kept connections and a stream", opened, second, len(f.messages))
			}
			if strings.Contains(logged, "alone") {
				t.Errorf("single calls: %s", logged)
			}
		})
	}
}

// TestNoStreamToBeHad: where there is no HTTP/2, or a server that knows no streams, each call is sent alone, and that is said once.
func TestNoStreamToBeHad(t *testing.T) {
	own := func(server *httptest.Server) Config {
		return Config{Endpoints: []string{server.URL}, HTTPClient: &http.Client{Transport: newTransport()}}
	}
	for name, c := range map[string]struct {
		set     func(*http.Protocols)
		options func(*httptest.Server) Config
		noWork  bool
	}{
		"HTTP/1.1 server":            {func(*http.Protocols) {}, plainly, false},
		"client's own HTTP/1.1":      {func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, own, false},
		"old server":                 {func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, plainly, true},
		"client's own at old server": {func(*http.Protocols) {}, own, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.noWork = c.noWork
			_, _, logged := overSockets(t, f, c.set, c.options)
			if len(f.messages) > 0 {
				t.Errorf("%d messages of a stream", len(f.messages))
			}
			if got := strings.Count(logged, "each call is sent alone"); got != 1 {
				t.Errorf("said %d times:\n%s", got, logged)
			}
		})
	}
}
