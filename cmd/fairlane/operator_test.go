package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// TestOperatorListener: profiles and the log level over a socket that only its owner can open.
func TestOperatorListener(t *testing.T) {
	var log bytes.Buffer
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &log})
	path := filepath.Join(t.TempDir(), "o.sock")
	stale, err := net.Listen("unix", path) // what a killed process leaves
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	o, err := openOperator(unixPrefix+path, logger)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if second, err := openOperator(unixPrefix+path, logger); err == nil {
		second.close()
		t.Error("two listeners at one socket")
	}
	text, err := operatorGet(t.Context(), unixPrefix+path, "/debug/pprof/goroutine?debug=1", 1<<20)
	if err != nil || !strings.Contains(string(text), "goroutine profile:") {
		t.Errorf("%.100s %v", text, err)
	}
	text, err = operatorGet(t.Context(), unixPrefix+path, "/loglevel", 100)
	if err != nil || string(text) != "warn\n" {
		t.Errorf("%q %v", text, err)
	}
	put := func(host, origin, level string) int {
		transport := &http.Transport{DisableKeepAlives: true, Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", path) }}
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+host+"/loglevel", strings.NewReader(level))
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	for _, bad := range []struct {
		host, origin, level string
		want                int
	}{
		{"localhost", "", "loud", 400}, {"localhost", "", "off", 400}, {"evil.example", "", "debug", 403}, {"localhost", "http://evil.example", "debug", 403},
	} {
		if got := put(bad.host, bad.origin, bad.level); got != bad.want || logger.GetLevel() != hclog.Warn {
			t.Errorf("%v: %d, %v", bad, got, logger.GetLevel())
		}
	}
	if got := put("localhost:80", "", "debug"); got != 200 || !logger.IsDebug() {
		t.Errorf("%d, %v", got, logger.GetLevel())
	}
}

// TestOperatorListensHereOnly: no place that another machine reaches.
func TestOperatorListensHereOnly(t *testing.T) {
	for _, bad := range []string{"0.0.0.0:1", ":1", "10.0.0.1:1", "example.org:1", "127.0.0.1", "unix:", "[::]:1"} {
		if checkOperatorListen(bad) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	for _, good := range []string{"", "127.0.0.1:1", "localhost:1", "[::1]:0", "unix:/run/x"} {
		if err := checkOperatorListen(good); err != nil {
			t.Error(err)
		}
	}
}
