package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// The services of one node, each made from a base URL.
func jobsOf(client connect.HTTPClient, url string) fairlanev1connect.JobServiceClient {
	return fairlanev1connect.NewJobServiceClient(client, url)
}

func workersOf(client connect.HTTPClient, url string) fairlanev1connect.WorkerServiceClient {
	return fairlanev1connect.NewWorkerServiceClient(client, url)
}

func queuesOf(client connect.HTTPClient, url string) fairlanev1connect.QueueServiceClient {
	return fairlanev1connect.NewQueueServiceClient(client, url)
}

func clusterOf(client connect.HTTPClient, url string) fairlanev1connect.ClusterServiceClient {
	return fairlanev1connect.NewClusterServiceClient(client, url)
}

func eventsOf(client connect.HTTPClient, url string) fairlanev1connect.EventServiceClient {
	return fairlanev1connect.NewEventServiceClient(client, url)
}

func schedulesOf(client connect.HTTPClient, url string) fairlanev1connect.ScheduleServiceClient {
	return fairlanev1connect.NewScheduleServiceClient(client, url)
}

// baseURL accepts host:port and full URLs.
func (a *app) baseURL(endpoint string) string {
	switch {
	case strings.Contains(endpoint, "://"):
		return strings.TrimSuffix(endpoint, "/")
	case a.tls.CA != "":
		return "https://" + endpoint
	}
	return "http://" + endpoint
}

// openHTTP makes the client of all calls, with TLS if there is an authority to check certificates with.
func (a *app) openHTTP() error {
	if a.tls.CA == "" {
		if a.tls.Cert != "" || a.tls.Key != "" {
			return usagef("--tls-cert or --tls-key without --tls-ca: name the authority to check the nodes' certificates with")
		}
		return nil
	}
	settings, err := certs.Client(a.tls)
	if err != nil {
		return usageError(fmt.Errorf("TLS: %w", err))
	}
	a.httpClient = &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second, TLSClientConfig: settings, MaxIdleConnsPerHost: 1024, IdleConnTimeout: 90 * time.Second,
		DisableCompression: true,
		// The stream of a worker needs HTTP/2, which a transport with settings of its own speaks only when told; the pings find a peer that is gone.
		ForceAttemptHTTP2: true,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 2 * time.Second, WriteByteTimeout: 5 * time.Second},
	}}
	return nil
}

// call asks the endpoints in turn, round after round, until one gives an answer that is not "unavailable" or the time of
// --timeout is over. It is for calls that may be made twice: reads, and writes that say what shall be and not what shall
// change. When no endpoint even accepts a connection it does not wait: there is no node to wait for.
func call[S, Req, Res any](ctx context.Context, a *app, service func(client connect.HTTPClient, url string) S,
	method func(S, context.Context, *Req) (*Res, error), req *Req,
) (*Res, error) {
	return callFor(ctx, a, a.timeout, service, method, req)
}

// callFor is call with a time limit of its own.
func callFor[S, Req, Res any](ctx context.Context, a *app, limit time.Duration, service func(client connect.HTTPClient, url string) S,
	method func(S, context.Context, *Req) (*Res, error), req *Req,
) (*Res, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		refused := 0
		var last error
		for _, endpoint := range a.endpoints {
			res, err := method(service(a.httpClient, a.baseURL(endpoint)), ctx, req)
			if err == nil {
				return res, nil
			}
			switch {
			case isRefused(err): // also by a machine that is off: the connection timed out, whatever the code
				refused++
			case connect.CodeOf(err) != connect.CodeUnavailable:
				return res, err
			}
			last = err
		}
		if refused == len(a.endpoints) {
			return nil, unreachable(a.endpoints, last)
		}
		pause.Reset(200 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, last
		}
	}
}

// isRefused reports that nothing listens at the address or that there is no such host.
func isRefused(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

func unreachable(endpoints []string, err error) error {
	return &exitError{exitUnreachable, fmt.Errorf(
		"no node answers at %s: %w. Start one (fairlane dev, fairlane server) or name others with --endpoints",
		strings.Join(endpoints, ", "), err)}
}
