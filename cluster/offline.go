package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/segment"
	waltypes "github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"
)

// Names that raft gives its snapshots.
const (
	snapshotDirectory = "snapshots"
	snapshotMetaFile  = "meta.json"
	snapshotStateFile = "state.bin"
	temporarySuffix   = ".tmp"
)

// offlineTimeout is how long the lock of a node that is just ending is waited for.
const offlineTimeout = time.Second

// Offline is the data directory of a node that does not run, opened for reading alone. While it is open no node can start on it. One
// caller at a time.
type Offline struct {
	// LogStore that wrote the log: StoreWAL or StoreBolt.
	LogStore string
	// Snapshot is the log index of the newest snapshot; 0: there is none.
	Snapshot uint64
	// First and Last index of the log; 0: it is empty. The last entries may never have been committed: only a running cluster knows.
	First, Last uint64

	snapshotFile string
	snapshot     raft.SnapshotMeta // if there is one
	stable       *raftboltdb.BoltStore
	log          raft.LogStore
	closers      []io.Closer
	temporary    string
}

// OpenOffline opens the data directory of a node that does not run. It changes nothing in it.
func OpenOffline(dir string) (_ *Offline, err error) {
	o := &Offline{}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	if _, ok := firstOf(dir, stableFile); !ok {
		return nil, fmt.Errorf("cluster: %s holds no %s: it is not the data directory of a node", dir, stableFile)
	}
	lock, err := openBoltReadOnly(filepath.Join(dir, stableFile)) // a running node holds it
	if err != nil {
		return nil, err
	}
	o.stable, o.closers = lock, append(o.closers, lock)
	if err := o.openLog(dir); err != nil {
		return nil, err
	}
	if o.First, err = o.log.FirstIndex(); err != nil {
		return nil, fmt.Errorf("cluster: read the log: %w", err)
	}
	if o.Last, err = o.log.LastIndex(); err != nil {
		return nil, fmt.Errorf("cluster: read the log: %w", err)
	}
	return o, o.findSnapshot(filepath.Join(dir, snapshotDirectory))
}

func (o *Offline) openLog(dir string) error {
	if _, ok := firstOf(dir, boltLogFile); ok {
		log, err := openBoltReadOnly(filepath.Join(dir, boltLogFile))
		if err != nil {
			return err
		}
		o.LogStore, o.log, o.closers = StoreBolt, log, append(o.closers, log)
		return nil
	}
	if _, ok := firstOf(dir, walDirectory); !ok {
		return fmt.Errorf("cluster: %s holds no log", dir)
	}
	// raft-wal opens its small table of segments for writing; it gets a copy. The segments themselves are opened for reading.
	var err error
	if o.temporary, err = os.MkdirTemp("", "fairlane-wal-"); err != nil {
		return err
	}
	path := filepath.Join(dir, walDirectory)
	table, err := os.ReadFile(filepath.Join(path, metadb.FileName))
	if err != nil {
		return fmt.Errorf("cluster: the log in %s: %w", path, err)
	}
	if err := os.WriteFile(filepath.Join(o.temporary, metadb.FileName), table, 0o600); err != nil {
		return err
	}
	log, err := wal.Open(path, wal.WithLogger(hclog.NewNullLogger()), wal.WithMetaStore(&copiedMeta{dir: o.temporary}),
		wal.WithSegmentFiler(segment.NewFiler(path, readOnlyFS{walfs.New()})))
	if err != nil {
		return fmt.Errorf("cluster: open the log in %s: %w", path, err)
	}
	o.LogStore, o.log, o.closers = StoreWAL, log, append(o.closers, log)
	return nil
}

func openBoltReadOnly(path string) (*raftboltdb.BoltStore, error) {
	store, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: &bbolt.Options{Timeout: offlineTimeout, ReadOnly: true}})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fmt.Errorf("cluster: %s is in use: stop the node that runs on this data directory, or record from it while it runs", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: open %s: %w", path, err)
	}
	return store, nil
}

// findSnapshot takes the newest one, as raft does: by term, then index, then name.
func (o *Offline) findSnapshot(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cluster: the snapshots: %w", err)
	}
	var best raft.SnapshotMeta
	for _, entry := range list {
		if !entry.IsDir() || strings.HasSuffix(entry.Name(), temporarySuffix) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name(), snapshotMetaFile))
		if err != nil {
			return fmt.Errorf("cluster: the snapshots: %w", err)
		}
		var meta raft.SnapshotMeta
		if err := json.Unmarshal(text, &meta); err != nil {
			return fmt.Errorf("cluster: %s of the snapshot %s: %w", snapshotMetaFile, entry.Name(), err)
		}
		if o.snapshotFile == "" || newer(meta, best) {
			best, o.snapshot = meta, meta
			o.Snapshot, o.snapshotFile = meta.Index, filepath.Join(dir, entry.Name(), snapshotStateFile)
		}
	}
	return nil
}

func newer(a, b raft.SnapshotMeta) bool {
	switch {
	case a.Term != b.Term:
		return a.Term > b.Term
	case a.Index != b.Index:
		return a.Index > b.Index
	}
	return a.ID > b.ID
}

// OpenSnapshot opens the newest snapshot; nil when there is none.
func (o *Offline) OpenSnapshot() (io.ReadCloser, error) {
	if o.snapshotFile == "" {
		return nil, nil
	}
	return os.Open(o.snapshotFile)
}

// Batches gives every batch behind the snapshot up to the index, in order; each ends the reading with its error. The batch may be kept.
func (o *Offline) Batches(to uint64, each func(index uint64, batch []byte) error) error {
	next := o.Snapshot + 1
	if to == o.Snapshot { // the log behind it may be empty
		return nil
	}
	if to > o.Last || to < o.Snapshot {
		return fmt.Errorf("cluster: index %d is not between the snapshot, %d, and the end of the log, %d", to, o.Snapshot, o.Last)
	}
	if to >= next && o.First > next {
		return fmt.Errorf("cluster: the log begins at index %d, but the newest snapshot is of index %d: entries between them are missing", o.First, o.Snapshot)
	}
	for ; next <= to; next++ {
		var entry raft.Log
		if err := o.log.GetLog(next, &entry); err != nil {
			return fmt.Errorf("cluster: log entry %d: %w", next, err)
		}
		if entry.Type != raft.LogCommand {
			continue
		}
		if err := each(next, entry.Data); err != nil {
			return err
		}
	}
	return nil
}

// Close may be repeated.
func (o *Offline) Close() error {
	var errs []error
	for i := len(o.closers) - 1; i >= 0; i-- {
		errs = append(errs, o.closers[i].Close())
	}
	o.closers = nil
	if o.temporary != "" {
		errs = append(errs, os.RemoveAll(o.temporary))
		o.temporary = ""
	}
	return errors.Join(errs...)
}

// copiedMeta is raft-wal's table of segments, in another directory than the log.
type copiedMeta struct {
	metadb.BoltMetaDB
	dir string
}

func (c *copiedMeta) Load(string) (waltypes.PersistentState, error) { return c.BoltMetaDB.Load(c.dir) }

// readOnlyFS opens the segments of a log and changes none: what it is asked to create is empty and lies nowhere, and what it is asked
// to delete stays.
type readOnlyFS struct{ waltypes.VFS }

func (readOnlyFS) Create(string, string, uint64) (waltypes.WritableFile, error) {
	return nowhere{}, nil
}

func (readOnlyFS) Delete(string, string) error { return nil }

func (f readOnlyFS) OpenWriter(dir, name string) (waltypes.WritableFile, error) {
	file, err := f.OpenReader(dir, name)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{file}, nil
}

var errReadOnly = errors.New("cluster: the log is opened for reading alone")

type readOnlyFile struct{ waltypes.ReadableFile }

func (readOnlyFile) WriteAt([]byte, int64) (int, error) { return 0, errReadOnly }
func (readOnlyFile) Sync() error                        { return errReadOnly }

// nowhere is an empty file.
type nowhere struct{}

func (nowhere) ReadAt([]byte, int64) (int, error)  { return 0, io.EOF }
func (nowhere) WriteAt([]byte, int64) (int, error) { return 0, errReadOnly }
func (nowhere) Sync() error                        { return errReadOnly }
func (nowhere) Close() error                       { return nil }
