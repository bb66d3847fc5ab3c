package fleet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
	"github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1/fairlanev1connect"
)

// Node is one process of a fleet. It may die and come back at the same addresses.
type Node struct {
	Name    string
	API     string // host:port; the first start takes free ports and keeps them
	Process *Child
	Control fairlanev1connect.ClusterServiceClient

	dir  string // of its state and its log
	raft string
}

// Fleet is a cluster of nodes on loopback. One goroutine at a time may start nodes; the rest is safe beside it once a node is up.
type Fleet struct {
	binary   string
	dir      string
	logStore string
	all      []*Node
}

// Open starts n nodes of the binary with their states below dir: the first begins the cluster, the others join it one after the other.
// The fleet is never nil: what was started before an error has to be killed.
func Open(ctx context.Context, binary, dir, logStore string, n int) (*Fleet, error) {
	f := &Fleet{binary: binary, dir: dir, logStore: logStore}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		node := &Node{Name: name, dir: filepath.Join(dir, name), API: "127.0.0.1:0", raft: "127.0.0.1:0"}
		if err := os.MkdirAll(node.dir, 0o755); err != nil {
			return f, err
		}
		f.all = append(f.all, node)
		if err := f.Start(ctx, node); err != nil {
			return f, err
		}
		if err := f.waitVoters(ctx, i+1); err != nil {
			return f, err
		}
	}
	return f, nil
}

// Start runs the node's process and waits for the line that says where it listens.
func (f *Fleet) Start(ctx context.Context, n *Node) error {
	ready := filepath.Join(n.dir, "ready")
	if err := os.Remove(ready); err != nil && !os.IsNotExist(err) {
		return err
	}
	args := []string{"server", "--data", filepath.Join(n.dir, "data"), "--listen", n.API, "--raft", n.raft,
		"--log-store", f.logStore, "--log-level", "warn", "--promote-after", "300ms", "--gossip", "127.0.0.1:0", "--ready-file", ready}
	if n == f.all[0] {
		args = append(args, "--bootstrap")
	} else {
		args = append(args, "--join", strings.Join(f.others(n), ","))
	}
	process, err := Start(n.Name, f.binary, filepath.Join(n.dir, "log"), io.Discard, args...)
	if err != nil {
		return err
	}
	n.Process = process
	line, err := waitFile(ctx, process, ready)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(line, "listening api=%s raft=%s", &n.API, &n.raft); err != nil {
		return fmt.Errorf("%s wrote %q to its ready file: %w", n.Name, line, err)
	}
	n.Control = fairlanev1connect.NewClusterServiceClient(http.DefaultClient, "http://"+n.API)
	return nil
}

// waitFile waits for a file that a Child writes whole.
func waitFile(ctx context.Context, c *Child, path string) (string, error) {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	limit := time.After(20 * time.Second)
	for {
		if text, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(text)), nil
		}
		select {
		case <-look.C:
		case <-c.Ended:
			return "", fmt.Errorf("%s ended at its start: %v%s", c.Name, c.Err, c.LastWords())
		case <-limit:
			return "", fmt.Errorf("%s does not listen after 20 s%s", c.Name, c.LastWords())
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// waitVoters waits until there is a leader that counts n voters.
func (f *Fleet) waitVoters(ctx context.Context, n int) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(20 * time.Second)
	for {
		if status, _, err := f.Leader(ctx); err == nil {
			voters := 0
			for _, m := range status.GetMembers() {
				if m.GetVoter() {
					voters++
				}
			}
			if voters == n {
				return nil
			}
		}
		select {
		case <-look.C:
		case <-limit:
			return fmt.Errorf("no cluster of %d voters after 20 s", n)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Leader asks every living node who leads; the one that says it does itself is believed.
func (f *Fleet) Leader(ctx context.Context) (*fairlanev1.StatusResponse, *Node, error) {
	for _, n := range f.all {
		if status, err := n.Status(ctx); err == nil && status.GetRole() == "leader" {
			return status, n, nil
		}
	}
	return nil, nil, ErrNoLeader
}

func (n *Node) Status(ctx context.Context) (*fairlanev1.StatusResponse, error) {
	if n.Process == nil || !n.Process.Alive() || n.Control == nil {
		return nil, fmt.Errorf("%s does not run", n.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return n.Control.Status(ctx, &fairlanev1.StatusRequest{})
}

// CaughtUp reports that a restarted node follows closely enough for another one to be killed.
func (f *Fleet) CaughtUp(ctx context.Context, n *Node) bool {
	const entriesBehind = 500
	lead, leader, err := f.Leader(ctx)
	if err != nil {
		return false
	}
	own, err := n.Status(ctx)
	return err == nil && leader != n && own.GetLeaderId() == lead.GetNodeId() && own.GetAppliedIndex()+entriesBehind >= lead.GetAppliedIndex()
}

func (f *Fleet) Endpoints() []string {
	var list []string
	for _, n := range f.all {
		list = append(list, n.API)
	}
	return list
}

// others are the addresses of the nodes that were started before, without n.
func (f *Fleet) others(n *Node) []string {
	var list []string
	for _, o := range f.all {
		if o != n && o.Process != nil {
			list = append(list, o.API)
		}
	}
	return list
}

func (f *Fleet) Processes() []*Child {
	var list []*Child
	for _, n := range f.all {
		list = append(list, n.Process)
	}
	return list
}

// Digests of all nodes at one index.
func (f *Fleet) Digests(ctx context.Context) (index uint64, byNode map[string]string, err error) {
	_, leader, err := f.Leader(ctx)
	if err != nil {
		return 0, nil, err
	}
	point, err := leader.Control.Checkpoint(ctx, &fairlanev1.CheckpointRequest{})
	if err != nil {
		return 0, nil, fmt.Errorf("checkpoint: %w", err)
	}
	byNode = map[string]string{}
	for _, n := range f.all {
		d, err := n.Control.Digest(ctx, &fairlanev1.DigestRequest{Index: point.GetIndex(), WaitMs: 10_000})
		if err != nil {
			return point.GetIndex(), byNode, fmt.Errorf("digest of %s at %d: %w", n.Name, point.GetIndex(), err)
		}
		byNode[n.Name] = d.GetDigest()
	}
	return point.GetIndex(), byNode, nil
}
