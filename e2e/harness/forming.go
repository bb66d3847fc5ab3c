package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Add a node that is not started: with a folder and ports of its own.
func (c *Cluster) Add() (*Node, error) {
	n := &Node{Number: len(c.Nodes), Binary: c.options.Binary, cluster: c, Dir: filepath.Join(c.Dir, fmt.Sprintf("node%d", len(c.Nodes))), Gossip: "off"}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := n.Move(); err != nil {
		return nil, err
	}
	c.Nodes = append(c.Nodes, n)
	return n, nil
}

// Move gives the node new addresses, from its next start on.
func (n *Node) Move() error {
	addresses := []*string{&n.API, &n.Raft}
	if !n.cluster.options.NoGossip {
		addresses = append(addresses, &n.Gossip)
	}
	for _, address := range addresses {
		port, err := freePort()
		if err != nil {
			return err
		}
		*address = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return nil
}

// Hangup asks the process to read its files of keys and certificates again.
func (n *Node) Hangup() error { return n.command.Process.Signal(syscall.SIGHUP) }

// JoinAll is the flag to join all nodes of the cluster but this one.
func (n *Node) JoinAll() []string {
	var others []string
	for _, other := range n.cluster.Nodes {
		if other != n {
			others = append(others, other.API)
		}
	}
	return []string{"--join", strings.Join(others, ",")}
}

// WaitReason waits until the node says that it is not ready for a reason that holds all words.
func (n *Node) WaitReason(ctx context.Context, words ...string) error {
	last := ""
	for {
		if reason, err := n.reason(ctx); err != nil {
			last = err.Error()
		} else if last = reason; reason != "" && containsAll(reason, words) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %d says %q, not %q: %w", n.Number, last, words, ctx.Err())
		case <-n.exited:
			return fmt.Errorf("node %d has ended:\n%s", n.Number, n.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func containsAll(text string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func (n *Node) reason(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.API+"/readyz", nil)
	if err != nil {
		return "", err
	}
	response, err := n.cluster.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct{ Reason string }
	err = json.NewDecoder(response.Body).Decode(&answer)
	return answer.Reason, err
}

// CopyData of a node that does not run into the folder of another one.
func (n *Node) CopyData(to *Node) error {
	return os.CopyFS(filepath.Join(to.Dir, "data"), os.DirFS(filepath.Join(n.Dir, "data")))
}

// Log is what the node's processes wrote.
func (n *Node) Log() string {
	text, err := os.ReadFile(n.LogPath())
	if err != nil {
		return err.Error()
	}
	return string(text)
}
