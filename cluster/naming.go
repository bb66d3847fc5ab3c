package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

const (
	// clusterFile in the data directory says to which cluster the state in it belongs: the id, then the name, a line each.
	clusterFile = "cluster"
	// namingPause between two looks whether the cluster has a name.
	namingPause = time.Second
	// namingRules know NameCluster.
	namingRules = 4
)

// keepName gives the cluster its id and name, once all its members know how; then it is done.
func (l *leadership) keepName() {
	n := l.node
	look := time.NewTicker(namingPause)
	defer look.Stop()
	for {
		if id, _ := n.Cluster(); id != "" {
			return
		}
		if l.rules.Load() >= namingRules {
			name := &logv1.NameCluster{Id: uuid.NewString(), Name: n.config.ClusterName}
			result, err := n.Propose(l.ctx, &logv1.Command{Op: &logv1.Command_NameCluster{NameCluster: name}})
			switch {
			case err == nil && result.GetRefusal() == nil:
				return
			case err == nil:
				n.log.Warn("the cluster got no name", "name", name.GetName(), "refusal", result.GetRefusal())
			case l.ctx.Err() == nil:
				n.log.Warn("the cluster got no name yet", "error", err)
			}
		}
		select {
		case <-look.C:
		case <-l.ctx.Done():
			return
		}
	}
}

// Cluster is the identity of this node's cluster as its own state has it; both are empty until it has one.
func (n *Node) Cluster() (id, name string) {
	n.View(func(m *fsm.Machine) { id, name = m.ClusterID() })
	return id, name
}

// rememberCluster writes the identity of the cluster into the data directory once this node knows it, and then is done.
func (n *Node) rememberCluster() {
	look := time.NewTicker(namingPause)
	defer look.Stop()
	for {
		if id, name := n.Cluster(); id != "" {
			if n.noteCluster(id, name) {
				return
			}
		}
		select {
		case <-look.C:
		case <-n.life.Done():
			return
		}
	}
}

// noteCluster is true when nothing is left to do. A node that runs with another name goes on: to stop it would cost a vote, and its next start
// is refused.
func (n *Node) noteCluster(id, name string) bool {
	path := filepath.Join(n.config.DataDir, clusterFile)
	text := id + "\n" + name + "\n"
	if known, err := os.ReadFile(path); err == nil && string(known) == text {
		return true
	}
	if err := writeDurably(path, text); err != nil {
		n.log.Warn("the name of the cluster was not written down", "path", path, "error", err)
		return false
	}
	n.log.Info("this node belongs to a cluster", "cluster", name, "id", id)
	if err := checkClusterName(n.config); err != nil {
		n.log.Error("this node runs with another cluster name than its cluster has; its next start will be refused", "error", err)
	}
	return true
}

// checkClusterName refuses to start on the state of another cluster than the one that this node was told.
func checkClusterName(c Config) error {
	path := filepath.Join(c.DataDir, clusterFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cluster: read the name of the cluster: %w", err)
	}
	id, name, _ := strings.Cut(strings.TrimSuffix(string(text), "\n"), "\n")
	return sameCluster(c, id, name)
}

func sameCluster(c Config, id, name string) error {
	if name == c.ClusterName {
		return nil
	}
	return fmt.Errorf("cluster: the state in %s is of cluster %q (id %s), but this node was started for cluster %q: start it with --cluster-name %q, "+
		"or, if it is to belong to the other one, with an empty data directory", c.DataDir, name, id, c.ClusterName, name)
}
