package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// removedFile in a data directory says that its node was removed from its cluster: its state must not come back.
const removedFile = "removed"

// asidePrefix of the folders with the data of former nodes.
const asidePrefix = "removed-"

// checkRemoved refuses the data of a removed node; with Config.Rejoin they are set aside, and this node begins anew.
func checkRemoved(c Config) error {
	if c.Rejoin && c.Bootstrap {
		return errors.New("cluster: --rejoin comes back into a cluster that exists, and --bootstrap makes a new one: give --join instead")
	}
	path := filepath.Join(c.DataDir, removedFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cluster: %w", err)
	case c.Rejoin:
		return setAside(c.DataDir)
	}
	id, _ := os.ReadFile(filepath.Join(c.DataDir, identityFile))
	return fmt.Errorf("cluster: %w (%s). This data must not come back; to begin anew as another node, with the old data set aside in %s, start with --rejoin",
		&RemovedError{ID: strings.TrimSpace(string(id))}, strings.TrimSpace(string(text)), filepath.Join(c.DataDir, asidePrefix+"TIME"))
}

// setAside everything in a data directory, into a folder in it. The note of the removal goes last: a start that was cut short begins again.
func setAside(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	aside := filepath.Join(dir, asidePrefix+time.Now().UTC().Format("20060102T150405.000Z"))
	if err := os.Mkdir(aside, 0o700); err != nil {
		return fmt.Errorf("cluster: set the data of the removed node aside: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); name != removedFile && !strings.HasPrefix(name, asidePrefix) {
			err = errors.Join(err, os.Rename(filepath.Join(dir, name), filepath.Join(aside, name)))
		}
	}
	if err == nil {
		err = syncDirectory(dir)
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, removedFile), filepath.Join(aside, removedFile))
	}
	if err != nil {
		return fmt.Errorf("cluster: set the data of the removed node aside: %w", err)
	}
	return syncDirectory(dir)
}

// watchRemoval ends this node once the configurations that it applies no longer have it, and the newest that it knows has not either. A node
// that catches up also applies configurations from before it came.
func (n *Node) watchRemoval() {
	for {
		select {
		case <-n.life.Done():
			return
		case <-n.machine.expelled:
		}
		if !n.isMember() {
			n.Expelled("its own log says so")
		}
	}
}

func (n *Node) isMember() bool {
	_, in := serverOf(n.servers(), raft.ServerID(n.id))
	return in
}

// Expelled ends this node for good: it was removed from the cluster, as said by somebody who must know. Its data directory is marked so that it
// does not come back. Config.OnFatal is told a *RemovedError, unless the node had asked for it: see Leave.
func (n *Node) Expelled(said string) {
	n.membership.once.Do(func() {
		text := fmt.Sprintf("removed from cluster %s, noticed %s: %s", n.config.ClusterName, time.Now().UTC().Format(time.RFC3339), said)
		if err := writeDurably(filepath.Join(n.config.DataDir, removedFile), text+"\n"); err != nil {
			n.log.Error("the removal of this node could not be noted in its data directory", "error", err)
		}
		if n.membership.leaving.Load() {
			close(n.membership.left)
			return
		}
		n.fatal(fmt.Errorf("%w (%s): to come back it begins anew, as another node: start with --rejoin", &RemovedError{ID: n.id}, text))
	})
}

// Leaving says whether this node asks to be removed: then its removal is no failure.
func (n *Node) Leaving(asks bool) { n.membership.leaving.Store(asks) }

// Left is closed when this node was removed on its own wish.
func (n *Node) Left() <-chan struct{} { return n.membership.left }
