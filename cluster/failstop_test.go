package cluster

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// brokenLog is a log store whose writes fail or hang.
type brokenLog struct {
	raft.LogStore
	hang time.Duration
	err  error
}

func (b *brokenLog) StoreLogs([]*raft.Log) error {
	time.Sleep(b.hang)
	return b.err
}

func TestFailStop(t *testing.T) {
	full := errors.New("no space left on device")
	for _, c := range []struct {
		name string
		log  brokenLog
		want string // of the reason to end; empty: goes on
	}{
		{"good", brokenLog{hang: 4 * time.Second}, ""},
		{"failed", brokenLog{err: full}, "no space left"},
		{"stalled", brokenLog{hang: 6 * time.Second}, "disk hangs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reasons []string
				s := &failStop{LogStore: &c.log, disk: newDisk(Config{DataDir: t.TempDir(), Logger: hclog.NewNullLogger()}), stall: 5 * time.Second, fatal: func(err error) { reasons = append(reasons, err.Error()) }}
				err := s.StoreLog(&raft.Log{Index: 1})
				synctest.Wait()
				if !errors.Is(err, c.log.err) {
					t.Errorf("the write answered %v", err)
				}
				if c.want == "" && len(reasons) > 0 || c.want != "" && (len(reasons) != 1 || !strings.Contains(reasons[0], c.want)) {
					t.Errorf("ended for %q, want %q", reasons, c.want)
				}
			})
		})
	}
}

func TestLogCacheIsBoundedByBytes(t *testing.T) {
	store := raft.NewInmemStore()
	c := newLogCache(store)
	for i := range uint64(200) {
		if err := c.StoreLog(&raft.Log{Index: i + 1, Data: make([]byte, 1<<20)}); err != nil {
			t.Fatal(err)
		}
	}
	if c.bytes > logCacheBytes || len(c.entries) < logCacheBytes>>20-1 {
		t.Errorf("the cache holds %d bytes in %d entries", c.bytes, len(c.entries))
	}
	for _, index := range []uint64{1, 100, 170, 200} {
		var log raft.Log
		if err := c.GetLog(index, &log); err != nil || log.Index != index {
			t.Errorf("entry %d reads as %d, %v", index, log.Index, err)
		}
	}
	if err := c.DeleteRange(190, 200); err != nil {
		t.Fatal(err)
	}
	var log raft.Log
	if err := c.GetLog(195, &log); err == nil {
		t.Error("a deleted entry is read from the cache")
	}
}
