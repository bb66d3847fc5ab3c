package fairlane

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestOverSockets: over real connections a hundred jobs run, few connections are opened and kept, all HTTP/1.1, and nothing is
// left behind.
func TestOverSockets(t *testing.T) {
	f := newFake()
	var opened, other atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			other.Add(1)
		}
		f.mux.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, &exchange{node: r.Host})))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// The first address is dead: everything goes to the second.
	cl, err := Connect("127.0.0.1:1", server.URL)
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
	if opened.Load() > 10 || other.Load() > 0 {
		t.Errorf("%d connections, %d requests of another protocol; want a few kept HTTP/1.1 connections", opened.Load(), other.Load())
	}
}
