package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// Names inside the data directory.
const (
	identityFile = "node_id"
	stableFile   = "stable.db" // term and vote, whichever store has the log
	boltLogFile  = "log.db"
	walDirectory = "wal"
)

// identity gives this node's id: a UUID that is drawn once and lies in its data directory. It is never an address, so a
// node that moves stays itself, and a wiped one is another.
func identity(dir string) (string, error) {
	path := filepath.Join(dir, identityFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		id, err := uuid.Parse(strings.TrimSpace(string(text)))
		if err != nil {
			return "", fmt.Errorf("cluster: %s holds no node id: %w", path, err)
		}
		return id.String(), nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("cluster: read the node id: %w", err)
	}
	if name, ok := firstOf(dir, stableFile, boltLogFile, walDirectory); ok {
		return "", fmt.Errorf("cluster: %s holds %s but no %s: another node's state, or a damaged one", dir, name, identityFile)
	}
	id := uuid.NewString()
	return id, writeDurably(path, id+"\n")
}

// checkStore refuses a data directory in which the other store's log lies: this node would start without its past.
func checkStore(dir, store string) error {
	other, name := boltLogFile, StoreBolt
	if store == StoreBolt {
		other, name = walDirectory, StoreWAL
	}
	if _, ok := firstOf(dir, other); ok {
		return fmt.Errorf("cluster: the log in %s was written by %s, not by %s: start with that log store", dir, name, store)
	}
	return nil
}

func firstOf(dir string, names ...string) (string, bool) {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return name, true
		}
	}
	return "", false
}

// writeDurably writes a file whole or not at all.
func writeDurably(path, text string) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
