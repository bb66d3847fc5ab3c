package harness

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// cutFile names the nodes that this one cannot reach for raft; the binary looks at it while it runs.
func (n *Node) cutFile() string { return filepath.Join(n.Dir, "cut") }

// Cut parts the network of raft between this node and the others, in both directions: what they send each other is lost, and connections
// that lost something stay broken. Callers still reach all of them. It holds, over restarts too, until Heal or another cut.
func (c *Cluster) Cut(node *Node) error {
	var others []string
	var errs []error
	for _, other := range c.Nodes {
		if other != node {
			others = append(others, other.Raft)
			errs = append(errs, other.writeCuts(node.Raft))
		}
	}
	return errors.Join(append(errs, node.writeCuts(others...))...)
}

// CutAll lets no node reach another.
func (c *Cluster) CutAll() error {
	var errs []error
	for _, node := range c.Nodes {
		errs = append(errs, node.writeCuts("*"))
	}
	return errors.Join(errs...)
}

// Heal the network of all nodes.
func (c *Cluster) Heal() error {
	var errs []error
	for _, node := range c.Nodes {
		errs = append(errs, node.writeCuts())
	}
	return errors.Join(errs...)
}

// writeCuts replaces the file at once: a node never reads half of it.
func (n *Node) writeCuts(names ...string) error {
	half := n.cutFile() + ".new"
	if err := os.WriteFile(half, []byte(strings.Join(names, "\n")), 0o600); err != nil {
		return err
	}
	return os.Rename(half, n.cutFile())
}
