package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"go.etcd.io/bbolt"
)

const (
	// openTimeout is how long another process may still hold the files.
	openTimeout = 3 * time.Second
	// keptSnapshots, the newest included.
	keptSnapshots = 2
)

// stores are the disks of a node. raft-boltdb always holds term and vote; the log lies where Config.LogStore says.
type stores struct {
	log       raft.LogStore
	stable    raft.StableStore
	snapshots raft.SnapshotStore
	closers   []io.Closer
}

// openStores opens all of them, or none.
func openStores(c Config, disk *disk, fatal func(error)) (_ *stores, err error) {
	s := &stores{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	stable, err := openBolt(filepath.Join(c.DataDir, stableFile))
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, stable)
	s.stable = &voteStore{StableStore: stable}
	var log raft.LogStore
	if c.LogStore == StoreBolt {
		bolt, err := openBolt(filepath.Join(c.DataDir, boltLogFile))
		if err != nil {
			return nil, err
		}
		log, s.closers = bolt, append(s.closers, bolt)
	} else {
		ahead, err := openWAL(c)
		if err != nil {
			return nil, err
		}
		log, s.closers = ahead, append(s.closers, ahead)
	}
	agreeing := &agreeing{LogStore: newLogCache(&failStop{LogStore: log, disk: disk, stall: c.Timing.WriteStall, fatal: fatal})}
	s.log = agreeing
	files, err := raft.NewFileSnapshotStoreWithLogger(c.DataDir, keptSnapshots, c.Logger.Named("snapshot"))
	if err != nil {
		return nil, fmt.Errorf("cluster: open the snapshots: %w", err)
	}
	s.snapshots = &agreeingSnapshots{SnapshotStore: files, log: agreeing}
	return s, agreeAtStart(agreeing, files)
}

func openBolt(path string) (*raftboltdb.BoltStore, error) {
	store, err := raftboltdb.New(raftboltdb.Options{
		Path:                    path,
		BoltOptions:             &bbolt.Options{Timeout: openTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
		MsgpackUseNewTimeFormat: true,
	})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fmt.Errorf("cluster: %s is in use: does another fairlane run on this data directory?", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: open %s: %w", path, err)
	}
	return store, nil
}

func openWAL(c Config) (*wal.WAL, error) {
	dir := filepath.Join(c.DataDir, walDirectory)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	store, err := wal.Open(dir, wal.WithLogger(c.Logger.Named("wal")))
	if err != nil {
		return nil, fmt.Errorf("cluster: open the log in %s: %w", dir, err)
	}
	return store, nil
}

// close in the reverse order of opening; may be repeated.
func (s *stores) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i].Close())
	}
	s.closers = nil
	return errors.Join(errs...)
}
