package demo

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

// server is a node of the demonstration's cluster: a process that dies and comes back at the same addresses.
type server struct {
	name      string
	dir       string // of its state and its log
	api, raft string // the first start takes free ports and keeps them
	process   *child
	control   fairlanev1connect.ClusterServiceClient
}

type servers struct {
	binary   string
	dir      string
	logStore string
	all      []*server
}

// startServers starts n nodes: the first begins the cluster, the others join it one after the other.
func startServers(ctx context.Context, binary, dir, logStore string, n int) (*servers, error) {
	s := &servers{binary: binary, dir: dir, logStore: logStore}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		node := &server{name: name, dir: filepath.Join(dir, name), api: "127.0.0.1:0", raft: "127.0.0.1:0"}
		if err := os.MkdirAll(node.dir, 0o755); err != nil {
			return s, err
		}
		s.all = append(s.all, node)
		if err := s.start(ctx, node); err != nil {
			return s, err
		}
		if err := s.waitVoters(ctx, i+1); err != nil {
			return s, err
		}
	}
	return s, nil
}

// start runs the node's process and waits for the line that says where it listens.
func (s *servers) start(ctx context.Context, n *server) error {
	ready := filepath.Join(n.dir, "ready")
	if err := os.Remove(ready); err != nil && !os.IsNotExist(err) {
		return err
	}
	args := []string{"server", "--data", filepath.Join(n.dir, "data"), "--listen", n.api, "--raft", n.raft,
		"--log-store", s.logStore, "--log-level", "warn", "--promote-after", "300ms", "--gossip", "127.0.0.1:0", "--ready-file", ready}
	if n == s.all[0] {
		args = append(args, "--bootstrap")
	} else {
		args = append(args, "--join", strings.Join(s.others(n), ","))
	}
	process, err := start(n.name, s.binary, filepath.Join(n.dir, "log"), io.Discard, args...)
	if err != nil {
		return err
	}
	n.process = process
	line, err := waitFile(ctx, process, ready)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(line, "listening api=%s raft=%s", &n.api, &n.raft); err != nil {
		return fmt.Errorf("%s wrote %q to its ready file: %w", n.name, line, err)
	}
	n.control = fairlanev1connect.NewClusterServiceClient(http.DefaultClient, "http://"+n.api)
	return nil
}

// waitFile waits for a file that a child writes whole.
func waitFile(ctx context.Context, c *child, path string) (string, error) {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	limit := time.After(20 * time.Second)
	for {
		if text, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(text)), nil
		}
		select {
		case <-look.C:
		case <-c.ended:
			return "", fmt.Errorf("%s ended at its start: %v%s", c.name, c.err, c.lastWords())
		case <-limit:
			return "", fmt.Errorf("%s does not listen after 20 s%s", c.name, c.lastWords())
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// waitVoters waits until there is a leader that counts n voters.
func (s *servers) waitVoters(ctx context.Context, n int) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(20 * time.Second)
	for {
		if status, _, err := s.leader(ctx); err == nil {
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

// leader asks every living node who leads; the one that says it does itself is believed.
func (s *servers) leader(ctx context.Context) (*fairlanev1.StatusResponse, *server, error) {
	for _, n := range s.all {
		if status, err := n.status(ctx); err == nil && status.GetRole() == "leader" {
			return status, n, nil
		}
	}
	return nil, nil, errNoLeader
}

func (n *server) status(ctx context.Context) (*fairlanev1.StatusResponse, error) {
	if n.process == nil || !n.process.alive() || n.control == nil {
		return nil, fmt.Errorf("%s does not run", n.name)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return n.control.Status(ctx, &fairlanev1.StatusRequest{})
}

// caughtUp reports that a restarted node follows closely enough for another one to be killed.
func (s *servers) caughtUp(ctx context.Context, n *server) bool {
	const entriesBehind = 500
	lead, leader, err := s.leader(ctx)
	if err != nil {
		return false
	}
	own, err := n.status(ctx)
	return err == nil && leader != n && own.GetLeaderId() == lead.GetNodeId() && own.GetAppliedIndex()+entriesBehind >= lead.GetAppliedIndex()
}

func (s *servers) endpoints() []string {
	var list []string
	for _, n := range s.all {
		list = append(list, n.api)
	}
	return list
}

// others are the addresses of the nodes that were started before, without n.
func (s *servers) others(n *server) []string {
	var list []string
	for _, o := range s.all {
		if o != n && o.process != nil {
			list = append(list, o.api)
		}
	}
	return list
}

func (s *servers) processes() []*child {
	var list []*child
	for _, n := range s.all {
		list = append(list, n.process)
	}
	return list
}

// digests of all nodes at one index.
func (s *servers) digests(ctx context.Context) (index uint64, byNode map[string]string, err error) {
	_, leader, err := s.leader(ctx)
	if err != nil {
		return 0, nil, err
	}
	point, err := leader.control.Checkpoint(ctx, &fairlanev1.CheckpointRequest{})
	if err != nil {
		return 0, nil, fmt.Errorf("checkpoint: %w", err)
	}
	byNode = map[string]string{}
	for _, n := range s.all {
		d, err := n.control.Digest(ctx, &fairlanev1.DigestRequest{Index: point.GetIndex(), WaitMs: 10_000})
		if err != nil {
			return point.GetIndex(), byNode, fmt.Errorf("digest of %s at %d: %w", n.name, point.GetIndex(), err)
		}
		byNode[n.name] = d.GetDigest()
	}
	return point.GetIndex(), byNode, nil
}
