package cluster

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// stallLooks is how often a write is looked at until it counts as stalled. Each look counts the same part of the time
// however long ago the one before was, so a process that was frozen is not taken for a disk that hangs.
const stallLooks = 10

// failStop ends the node when its log cannot be written, or when one write stalls. raft itself would go on: a leader whose
// disk hangs keeps its followers quiet and answers nobody.
type failStop struct {
	raft.LogStore
	disk  *disk
	stall time.Duration
	fatal func(error)
}

func (s *failStop) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

func (s *failStop) StoreLogs(logs []*raft.Log) error {
	done := s.watch()
	began := time.Now()
	err := hookWrite()
	if err == nil {
		err = s.LogStore.StoreLogs(logs)
	}
	done()
	s.disk.wrote(time.Since(began))
	if err != nil {
		err = s.disk.broken("a write of the log", err)
		s.fatal(err)
	}
	return err
}

func (s *failStop) DeleteRange(lowest, highest uint64) error {
	err := s.LogStore.DeleteRange(lowest, highest)
	if err != nil {
		err = s.disk.broken("the truncation of the log", err)
		s.fatal(err)
	}
	return err
}

// IsMonotonic passes on what the store says: raft handles a gap after a restore differently for raft-wal.
func (s *failStop) IsMonotonic() bool {
	store, ok := s.LogStore.(raft.MonotonicLogStore)
	return ok && store.IsMonotonic()
}

// watch a write that starts now; the caller calls done when it is over.
func (s *failStop) watch() (done func()) {
	var (
		mu    sync.Mutex
		over  bool
		looks int
		timer *time.Timer
	)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(s.stall/stallLooks, func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		if looks++; looks < stallLooks {
			timer.Reset(s.stall / stallLooks)
			return
		}
		s.fatal(&RestartError{fmt.Errorf("a write of the log did not end within %v: the disk hangs", s.stall)})
	})
	return func() {
		timer.Stop()
		mu.Lock()
		over = true
		mu.Unlock()
	}
}
