package main

import (
	"context"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
)

// TestCallGoesOnWhereAMachineIsOff: a connection that times out is no answer; the next endpoint is asked.
func TestCallGoesOnWhereAMachineIsOff(t *testing.T) {
	a := &app{endpoints: []string{"off:1", "on:1"}, timeout: 10 * time.Second}
	asked := ""
	res, err := call(t.Context(), a, func(_ connect.HTTPClient, url string) string { return url },
		func(url string, _ context.Context, n *int) (*int, error) {
			asked += url + " "
			if strings.Contains(url, "off") {
				return nil, connect.NewError(connect.CodeDeadlineExceeded, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded})
			}
			return n, nil
		}, new(int))
	if err != nil || res == nil || asked != "http://off:1 http://on:1 " {
		t.Errorf("asked %s: %v", asked, err)
	}
}

// TestTLSSpeaksHTTP2: with an authority of one's own too, as the stream of a worker needs it.
func TestTLSSpeaksHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto)) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{tls: certs.Files{CA: authority}}
	if err := a.openHTTP(); err != nil {
		t.Fatal(err)
	}
	defer a.httpClient.CloseIdleConnections()
	res, err := a.httpClient.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Errorf("%s, want HTTP/2", res.Proto)
	}
}
