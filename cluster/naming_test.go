package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestClusterIsNamed: a new cluster gets one id, and the name of its leader; both are the same on every node and after a restart. A node that is
// told another name does not start, and its data stays.
func TestClusterIsNamed(t *testing.T) {
	w := newWorld(t, StoreWAL, 3, func(c *Config) { c.ClusterName = "prod" })
	var id string
	w.until("all nodes know the cluster", func() bool {
		for _, n := range w.nodes {
			other, name := n.Cluster()
			if other == "" || name != "prod" || id != "" && other != id {
				return false
			}
			id = other
			if _, err := os.Stat(filepath.Join(n.config.DataDir, clusterFile)); err != nil {
				return false
			}
		}
		return true
	})
	if _, err := uuid.Parse(id); err != nil {
		t.Fatal(err)
	}
	if s := w.nodes[1].Status(); s.ClusterID != id || s.ClusterName != "prod" {
		t.Fatalf("%+v", s)
	}
	last := w.nodes[2]
	w.close(last)
	other := w.config(last.config.DataDir)
	other.ClusterName = "test"
	before := listOf(t, last.config.DataDir)
	if n, err := Open(other); err == nil || !strings.Contains(err.Error(), `--cluster-name "prod"`) || !strings.Contains(err.Error(), id) {
		if n != nil {
			w.close(n)
		}
		t.Fatal(err)
	}
	if after := listOf(t, last.config.DataDir); after != before {
		t.Fatalf("the data directory held %s, holds %s", before, after)
	}
	w.nodes[2] = w.reopen(last)
	w.until("the node knows its cluster again", func() bool { again, _ := w.nodes[2].Cluster(); return again == id })
}

func listOf(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

// TestClusterIsNamedLate: as long as a member cannot apply rules 4 the cluster has no name, and gets one when all can.
func TestClusterIsNamedLate(t *testing.T) {
	w := newWorld(t, StoreWAL, 1, func(c *Config) { c.rules = namingRules - 1 })
	old := w.nodes[0]
	w.propose(old, checkpoint())
	if id, _ := old.Cluster(); id != "" {
		t.Fatal("named under old rules: ", id)
	}
	if s := old.Status(); s.ClusterID != "" || s.ClusterName != "fairlane" {
		t.Fatalf("%+v", s)
	}
	w.close(old)
	w.edit = nil
	w.nodes[0] = w.reopen(old)
	w.until("the cluster is named", func() bool { id, name := w.nodes[0].Cluster(); return id != "" && name == "fairlane" })
}
