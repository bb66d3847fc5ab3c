package harness

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// LogStores are the two that every fault runs on.
var LogStores = []string{"raft-wal", "raft-boltdb"}

// startPatience is how long a cluster may take to form, and a node to come back.
const startPatience = 30 * time.Second

// SnapshotEvery is the environment of a node that makes a snapshot after so many batches.
func SnapshotEvery(batches int) string { return fmt.Sprintf("FAIRLANE_SNAPSHOT_BATCHES=%d", batches) }

// Options of a cluster. The zero value is three nodes on raft-wal.
type Options struct {
	Nodes    int
	LogStore string
	Env      []string                // for every node, at every start
	NodeEnv  func(node int) []string // for one node, at every start
	FirstEnv func(node int) []string // for one node, at its first start only
	Binary   string                  // of the first start of every node; empty: that of this version
	NoGossip bool                    // nodes find each other by the addresses that they are given, alone
	Patience time.Duration           // bounds one attempt of a call; 0: DefaultPatience
	TLS      bool                    // certificates for every node; calls are made with an operator's
}

// DefaultPatience is longer than a follower holds a call for want of a leader.
const DefaultPatience = 7 * time.Second

// Cluster is a set of server processes. Its methods may be called by many goroutines, those of one Node by one at a time.
type Cluster struct {
	Nodes []*Node
	Dir   string

	options Options
	http    *http.Client
	tls     *tls.Config // of calls; nil: plain text
}

// Start forms a cluster and waits until every node is ready and a voter. It ends with the test; the data folders and logs
// are kept, and their path printed, when the test failed.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := Prepare(t, o)
	if err := c.form(); err != nil {
		t.Fatalf("form a cluster: %v", err)
	}
	return c
}

// Prepare a cluster of nodes that are not started. It ends like one of Start.
func Prepare(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.LogStore == "" {
		o.LogStore = LogStores[0]
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	if _, err := Binary(); err != nil { // before anybody's patience begins: a busy machine builds for long
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "fairlane-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Dir: dir, options: o, http: newHTTPClient()}
	t.Cleanup(func() { c.end(t) })
	if o.TLS {
		if err := c.makeCerts(); err != nil {
			t.Fatalf("certificates: %v", err)
		}
	}
	for range o.Nodes {
		if _, err := c.Add(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func newHTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: time.Second}
	return &http.Client{Transport: &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConnsPerHost: 512,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
}

// newSingleClient is an HTTP/2 client: all its calls to one address share one connection.
func newSingleClient() *http.Client {
	client := newHTTPClient()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client.Transport.(*http.Transport).Protocols = protocols
	return client
}

func (c *Cluster) form() error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	for _, n := range c.Nodes {
		var env []string
		if c.options.FirstEnv != nil {
			env = c.options.FirstEnv(n.Number)
		}
		if err := n.Start(env...); err != nil {
			return err
		}
		if n.Number == 0 {
			if err := n.WaitReady(ctx); err != nil {
				return err
			}
		}
	}
	for _, n := range c.Nodes {
		if err := n.WaitReady(ctx); err != nil {
			return err
		}
	}
	return c.WaitVoters(ctx)
}

// WaitVoters waits until every node of the cluster is a voter in the eyes of the leader.
func (c *Cluster) WaitVoters(ctx context.Context) error {
	for {
		voters := 0
		if _, status, err := c.Leader(ctx); err == nil {
			for _, m := range status.GetMembers() {
				if m.GetVoter() {
					voters++
				}
			}
		}
		if voters == len(c.Nodes) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d nodes are voters: %w", voters, len(c.Nodes), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// end ends all processes and waits for them.
func (c *Cluster) end(t testing.TB) {
	for _, n := range c.Nodes {
		n.Kill()
	}
	c.http.CloseIdleConnections()
	if t.Failed() {
		t.Logf("data folders and logs of the nodes are kept in %s", c.Dir)
		return
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		t.Errorf("remove the data folders: %v", err)
	}
}

// Leader asks the running nodes who leads and gives the node that says so of itself, and its status.
func (c *Cluster) Leader(ctx context.Context) (*Node, *fairlanev1.StatusResponse, error) {
	var errs []error
	for {
		errs = errs[:0]
		for _, n := range c.Nodes {
			if !n.Running() {
				continue
			}
			ask, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			status, err := n.Dial().Cluster.Status(ask, &fairlanev1.StatusRequest{})
			cancel()
			if err != nil {
				errs = append(errs, err)
			} else if status.GetRole() == "leader" {
				return n, status, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("no node leads: %w", errors.Join(append(errs, ctx.Err())...))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Followers gives the running nodes that do not lead.
func (c *Cluster) Followers(ctx context.Context) ([]*Node, error) {
	leader, _, err := c.Leader(ctx)
	if err != nil {
		return nil, err
	}
	var followers []*Node
	for _, n := range c.Nodes {
		if n != leader && n.Running() {
			followers = append(followers, n)
		}
	}
	return followers, nil
}

// Restart starts a killed node again and waits until it is ready.
func (c *Cluster) Restart(ctx context.Context, n *Node, env ...string) error {
	if err := n.Start(env...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return n.WaitReady(ctx)
}

// Digests logs a checkpoint and gives every running node's digest of its state at that index, in the order of Nodes.
func (c *Cluster) Digests(ctx context.Context) ([]string, error) {
	var checkpoint *fairlanev1.CheckpointResponse
	err := c.Any(ctx, func(ctx context.Context, api API) (err error) {
		checkpoint, err = api.Cluster.Checkpoint(ctx, &fairlanev1.CheckpointRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var digests []string
	for _, n := range c.Nodes {
		if !n.Running() {
			continue
		}
		answer, err := n.Dial().Cluster.Digest(ctx, &fairlanev1.DigestRequest{Index: checkpoint.GetIndex(), WaitMs: 10_000})
		if err != nil {
			return nil, fmt.Errorf("digest of node %d at index %d: %w", n.Number, checkpoint.GetIndex(), err)
		}
		if answer.GetIndex() != checkpoint.GetIndex() || answer.GetDigest() == "" {
			return nil, fmt.Errorf("digest of node %d: asked at index %d, got %v", n.Number, checkpoint.GetIndex(), answer)
		}
		digests = append(digests, answer.GetDigest())
	}
	return digests, nil
}

// CheckDigests fails the test unless at least two nodes run and all have the same digest.
func (c *Cluster) CheckDigests(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	digests, err := c.Digests(ctx)
	if err != nil {
		t.Errorf("digests: %v", err)
		return
	}
	if len(digests) < 2 {
		t.Errorf("digests of %d nodes only", len(digests))
	}
	for _, d := range digests {
		if d != digests[0] {
			t.Errorf("digests differ: %v", digests)
			return
		}
	}
}
