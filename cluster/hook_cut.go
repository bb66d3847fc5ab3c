//go:build failpoint

package cluster

import (
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// cutEvery is how often the file of cuts is looked at.
const cutEvery = 50 * time.Millisecond

// cuts are the nodes that this one cannot reach: the raft addresses in FAIRLANE_CUT_FILE, or "*" for all. Each side dials for what it asks, so
// a network that is parted in both directions has a file on both sides.
type cuts struct {
	path string

	mu     sync.Mutex
	looked time.Time
	names  []string
}

var networkCuts = &cuts{path: os.Getenv("FAIRLANE_CUT_FILE")}

func (c *cuts) has(target raft.ServerAddress) bool {
	if c.path == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= cutEvery {
		c.looked = time.Now()
		text, _ := os.ReadFile(c.path) // no file: no cut
		c.names = strings.Fields(string(text))
	}
	return slices.Contains(c.names, string(target)) || slices.Contains(c.names, "*")
}

// hookDial makes a connection that is part of the network which the cuts part.
func hookDial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if networkCuts.has(target) {
		time.Sleep(min(timeout, time.Second)) // nobody answers
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ETIMEDOUT}
	}
	conn, err := net.DialTimeout("tcp", string(target), timeout)
	if err != nil {
		return nil, err
	}
	return &cuttable{Conn: conn, target: target}, nil
}

// cuttable is a connection whose packets are lost while its target is cut off. What was lost never comes, so it stays broken.
type cuttable struct {
	net.Conn
	target raft.ServerAddress

	mu     sync.Mutex
	broken bool
}

func (c *cuttable) cut() (now, ever bool) {
	now = networkCuts.has(c.target)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = c.broken || now
	return now, c.broken
}

func (c *cuttable) Write(p []byte) (int, error) {
	switch now, ever := c.cut(); {
	case now:
		return len(p), nil
	case ever:
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET}
	}
	return c.Conn.Write(p)
}

func (c *cuttable) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if _, ever := c.cut(); ever {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ETIMEDOUT}
	}
	return n, err
}
