package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// node is the API of one node.
type node struct {
	url     string
	jobs    fairlanev1connect.JobServiceClient
	workers fairlanev1connect.WorkerServiceClient
	queues  fairlanev1connect.QueueServiceClient
	cluster fairlanev1connect.ClusterServiceClient
}

// target is the cluster under load. Calls go to its leader, straight. Safe for many goroutines.
type target struct {
	http      *http.Client
	tls       *tls.Config // nil: without
	endpoints []string
	patience  time.Duration
	errors    atomic.Int64 // calls that failed and were sent again

	leader atomic.Pointer[node]
	mu     sync.Mutex // held while the leader is looked for
}

// newTransport keeps connections open and does not compress.
func newTransport(settings *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		TLSClientConfig:     settings,
		MaxIdleConnsPerHost: 2 * mostCallers,
		DisableCompression:  true,
		Protocols:           new(http.Protocols),
	}
}

// unaryHTTP is HTTP/1.1: the fastest for calls of one request and one answer.
func unaryHTTP(settings *tls.Config) *http.Client {
	t := newTransport(settings)
	t.Protocols.SetHTTP1(true)
	return &http.Client{Transport: t}
}

// connection gives a client for one stream: HTTP/2, with TLS or without.
func (t *target) connection() *http.Client {
	transport := newTransport(t.tls)
	transport.Protocols.SetHTTP2(true)
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: transport}
}

func (t *target) node(url string) *node {
	plain := connect.WithAcceptCompression("gzip", nil, nil)
	return &node{
		url:     url,
		jobs:    fairlanev1connect.NewJobServiceClient(t.http, url, plain),
		workers: fairlanev1connect.NewWorkerServiceClient(t.http, url, plain),
		queues:  fairlanev1connect.NewQueueServiceClient(t.http, url, plain),
		cluster: fairlanev1connect.NewClusterServiceClient(t.http, url, plain),
	}
}

// UnreachableError: no node of the endpoints answers, or none of them knows a leader.
type UnreachableError struct {
	Endpoints []string
	Err       error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no leader found by asking %s: %v. Name nodes of a running cluster with --endpoints, or let the command start one with --self",
		strings.Join(e.Endpoints, ", "), e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// find asks the endpoints who leads, until one says so and the leader itself answers, or the time is over. failed is the node that the
// caller asked last: many callers fail at the same time, and one of them looks for all.
func (t *target) find(ctx context.Context, failed *node, limit time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leader.Load() != failed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := t.look(ctx)
		if err == nil {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return &UnreachableError{t.endpoints, err}
		}
	}
}

func (t *target) look(ctx context.Context) error {
	last := errors.New("no node says that it leads")
	for _, url := range t.endpoints {
		n := t.node(url)
		s, err := status(ctx, n)
		if err != nil {
			last = err
			continue
		}
		if s.GetRole() == "leader" {
			t.leader.Store(n)
			return nil
		}
		for _, m := range s.GetMembers() {
			scheme, _, _ := strings.Cut(url, "://")
			led := t.node(scheme + "://" + m.GetApiAddress())
			if !m.GetLeader() || m.GetApiAddress() == "" {
				continue
			}
			if s, err := status(ctx, led); err == nil && s.GetRole() == "leader" {
				t.leader.Store(led)
				return nil
			}
		}
	}
	return last
}

func status(ctx context.Context, n *node) (*fairlanev1.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return n.cluster.Status(ctx, &fairlanev1.StatusRequest{})
}

// do makes a call to the leader until it is answered or refused for good. The call must be one that may be sent again: numbered, or
// without effect.
func do[Res any](ctx context.Context, t *target, send func(context.Context, *node) (*Res, error)) (*Res, error) {
	began := time.Now()
	for {
		n := t.leader.Load()
		res, err := send(ctx, n)
		if err == nil {
			return res, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !again(err) {
			return nil, explain(err)
		}
		t.errors.Add(1)
		if time.Since(began) > t.patience {
			return nil, fmt.Errorf("no answer within %v: %w", t.patience, err)
		}
		if !pause(ctx, 20*time.Millisecond) {
			return nil, ctx.Err()
		}
		if reasonOf(err) != "BUSY" {
			if err := t.find(ctx, n, t.patience); err != nil {
				return nil, err
			}
		}
	}
}

// again reports that another attempt may be answered.
func again(err error) bool {
	if final := (*finalError)(nil); errors.As(err, &final) {
		return false
	}
	switch reasonOf(err) {
	case "BUSY", "NOT_LEADER", "NO_LEADER", "UNKNOWN_OUTCOME", "SHUTTING_DOWN":
		return true
	case "":
		code := connect.CodeOf(err)
		return code == connect.CodeUnavailable || code == connect.CodeUnknown || code == connect.CodeCanceled || code == connect.CodeInternal ||
			code == connect.CodeDeadlineExceeded || code == connect.CodeAborted
	}
	return false
}

// reasonOf is the cluster's stable word for an error; empty: it did not come from the cluster.
func reasonOf(err error) string {
	var remote *connect.Error
	if !errors.As(err, &remote) {
		return ""
	}
	for _, detail := range remote.Details() {
		if value, err := detail.Value(); err == nil {
			if info, ok := value.(*errdetails.ErrorInfo); ok {
				return info.GetReason()
			}
		}
	}
	return ""
}

// explain adds what to do to refusals that a benchmark runs into.
func explain(err error) error {
	switch reasonOf(err) {
	case "STATE_FULL":
		return fmt.Errorf("a limit of the cluster is reached, and the measurement is over: %w. Use a smaller --waiting, --duration or --payload, or raise the setting", err)
	case "QUEUE_PAUSED", "UNKNOWN_QUEUE":
		return fmt.Errorf("the queue cannot be used: %w. Choose another one with --queue", err)
	}
	return err
}

// pause waits; false: ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
