package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// unixPrefix of --operator-listen: the rest is the path of a socket.
const unixPrefix = "unix:"

// operator is a listener for whoever is on this machine: profiles and the log level. It is apart from the API, because a profile shows what the
// process does and costs it time; and it needs no cluster to answer.
type operator struct {
	server *http.Server
	ended  chan struct{}
}

// checkOperatorListen refuses every place that another machine could reach.
func checkOperatorListen(place string) error {
	if place == "" {
		return nil
	}
	if path, ok := strings.CutPrefix(place, unixPrefix); ok {
		if path == "" {
			return usagef("--operator-listen %q: want unix:PATH", place)
		}
		return nil
	}
	host, _, err := net.SplitHostPort(place)
	if err != nil {
		return usagef("--operator-listen %q: want host:port or unix:PATH (%v)", place, err)
	}
	if !isLoopback(host) {
		return usagef("--operator-listen %s is not a loopback address: profiles show what is in memory, and are served to this machine only", place)
	}
	return nil
}

// openOperator serves place until close; nil for no place.
func openOperator(place string, logger hclog.Logger) (*operator, error) {
	if place == "" {
		return nil, nil
	}
	listener, err := listenOperator(place)
	if err != nil {
		return nil, fmt.Errorf("--operator-listen: %w", err)
	}
	o := &operator{ended: make(chan struct{}), server: &http.Server{
		Handler: operatorHandler(logger), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}}
	go func() {
		defer close(o.ended)
		if err := o.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the operator's listener ended", "address", place, "error", err)
		}
	}()
	return o, nil
}

// listenOperator takes the place of a socket that a killed process left, and never that of one which answers.
func listenOperator(place string) (net.Listener, error) {
	path, ok := strings.CutPrefix(place, unixPrefix)
	if !ok {
		return net.Listen("tcp", place)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if used, err := net.DialTimeout("unix", path, time.Second); err == nil {
			used.Close()
			return nil, fmt.Errorf("%s: another process listens there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// close ends running profiles and returns when nothing is served any longer.
func (o *operator) close() {
	if o == nil {
		return
	}
	_ = o.server.Close() // what it could say, nobody can act on
	<-o.ended
}

func operatorHandler(logger hclog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /loglevel", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, logger.GetLevel()) })
	mux.HandleFunc("PUT /loglevel", func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 64))
		level := hclog.LevelFromString(strings.TrimSpace(string(text)))
		if level == hclog.NoLevel || level == hclog.Off {
			http.Error(w, "want trace, debug, info, warn or error as the body", http.StatusBadRequest)
			return
		}
		logger.SetLevel(level)
		fmt.Fprintln(w, level)
	})
	return onlyHere(mux)
}

// onlyHere refuses what a browser on this machine could be made to send by a page of somebody else: such a call names another host or an origin.
func onlyHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if r.Header.Get("Origin") != "" || !isLoopback(strings.Trim(host, "[]")) {
			http.Error(w, "only for tools on this machine: ask for localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// operatorGet asks an operator's listener, at most most bytes.
func operatorGet(ctx context.Context, place, path string, most int64) ([]byte, error) {
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if socket, ok := strings.CutPrefix(place, unixPrefix); ok {
			return dialer.DialContext(ctx, "unix", socket)
		}
		return dialer.DialContext(ctx, "tcp", place)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	return fetch(&http.Client{Transport: transport}, request, most)
}

// fetch the body of an answer that is a success, at most most bytes.
func fetch(client *http.Client, request *http.Request, most int64) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err == nil && response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
		err = fmt.Errorf("%s: HTTP %d", request.URL.Path, response.StatusCode)
	}
	return body, err
}
