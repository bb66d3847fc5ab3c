package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	echoName    = "Connect echo"
	echoCommand = "echo-server"
	echoPath    = "/bench.Echo/Echo"
)

// findEcho gives the reference for one call: a server in a process of its own that sends each message back, and the client transport of
// the SDK (HTTP/1.1, one connection for each caller).
func findEcho(context.Context, options, string) (system, error) {
	self, err := os.Executable()
	if err != nil {
		return system{}, err
	}
	return system{
		version:   fmt.Sprintf("connectrpc.com/connect %s, HTTP/1.1, messages of %d bytes", moduleVersion("connectrpc.com/connect"), payloadBytes),
		reference: true,
		measure: func(ctx context.Context, s step, dir string, length time.Duration) (outcome, error) {
			if !strings.HasPrefix(s.name, "echo ") {
				return outcome{}, errNotOffered
			}
			return measureEcho(ctx, self, s.callers, dir, length)
		},
	}, nil
}

func measureEcho(ctx context.Context, self string, callers int, dir string, length time.Duration) (outcome, error) {
	command := exec.CommandContext(ctx, self, echoCommand)
	stdin, err := command.StdinPipe() // the server ends when this closes
	if err != nil {
		return outcome{}, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return outcome{}, err
	}
	defer read.Close()
	command.Stdout = write
	p, err := startProcess(filepath.Join(dir, "output"), command)
	write.Close()
	if err != nil {
		return outcome{}, err
	}
	defer func() { stdin.Close(); p.stop() }()
	address, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		return outcome{}, fmt.Errorf("the echo server ended: %s", tail(p.log))
	}
	transport := sdkTransport()
	defer transport.CloseIdleConnections()
	client := connect.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](
		&http.Client{Transport: transport}, "http://"+strings.TrimSpace(address)+echoPath)
	return closedLoop(ctx, callers, length, func(ctx context.Context) error {
		_, err := client.CallUnary(ctx, connect.NewRequest(&wrapperspb.BytesValue{Value: make([]byte, payloadBytes)}))
		return err
	})
}

// closedLoop lets callers call, each with one call in flight, and counts the answers after a warm-up.
func closedLoop(ctx context.Context, callers int, length time.Duration, call func(context.Context) error) (outcome, error) {
	work, stop := context.WithCancel(ctx)
	defer stop()
	var counted atomic.Int64
	var failure atomic.Pointer[error]
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for work.Err() == nil {
				if err := call(ctx); err != nil {
					failure.CompareAndSwap(nil, &err)
					stop()
					return
				}
				counted.Add(1)
			}
		})
	}
	pause(work, warmUp)
	begin, before := time.Now(), counted.Load()
	pause(work, length)
	took, done := time.Since(begin).Seconds(), counted.Load()-before
	stop()
	all.Wait()
	if err := failure.Load(); err != nil {
		return outcome{}, *err
	}
	return outcome{perSecond: float64(done) / took}, ctx.Err()
}

// sdkTransport is what package client makes (client/client.go).
func sdkTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
		MaxIdleConnsPerHost: 1024,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
}

// runEchoServer prints its address and serves until stdin closes.
func runEchoServer(stdin io.Reader, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(echoPath, connect.NewUnaryHandler(echoPath,
		func(_ context.Context, request *connect.Request[wrapperspb.BytesValue]) (*connect.Response[wrapperspb.BytesValue], error) {
			return connect.NewResponse(request.Msg), nil
		}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: readyLimit}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return err
	}
	untilClosed(stdin)
	err = server.Close()
	<-ended
	return err
}
