package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// logCacheBytes bounds the cache by bytes: an entry is a whole batch, so a count would bound nothing. It holds 32 full ones; a follower that
// is further behind is sent what the log store reads.
const logCacheBytes = 8 << 20

// logCache keeps the newest entries in memory, for the replication to followers that are almost caught up.
type logCache struct {
	raft.LogStore

	mu sync.RWMutex
	// entries follow each other without a gap: entries[i].Index = entries[0].Index + i.
	entries []*raft.Log
	bytes   int
}

func newLogCache(store raft.LogStore) *logCache { return &logCache{LogStore: store} }

func (c *logCache) GetLog(index uint64, log *raft.Log) error {
	c.mu.RLock()
	if n := len(c.entries); n > 0 && index >= c.entries[0].Index && index < c.entries[0].Index+uint64(n) {
		*log = *c.entries[index-c.entries[0].Index]
		c.mu.RUnlock()
		return nil
	}
	c.mu.RUnlock()
	return c.LogStore.GetLog(index, log)
}

func (c *logCache) StoreLog(log *raft.Log) error { return c.StoreLogs([]*raft.Log{log}) }

func (c *logCache) StoreLogs(logs []*raft.Log) error {
	if err := c.LogStore.StoreLogs(logs); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, log := range logs {
		if n := len(c.entries); n > 0 && log.Index != c.entries[n-1].Index+1 {
			c.entries, c.bytes = nil, 0
		}
		c.entries = append(c.entries, log)
		c.bytes += cost(log)
	}
	drop := 0
	for ; c.bytes > logCacheBytes && drop < len(c.entries)-1; drop++ {
		c.bytes -= cost(c.entries[drop])
		c.entries[drop] = nil // the slice below keeps the array alive
	}
	c.entries = c.entries[drop:]
	return nil
}

// cost of an entry, with what Go needs beside its data.
func cost(log *raft.Log) int { return len(log.Data) + len(log.Extensions) + 128 }

func (c *logCache) DeleteRange(lowest, highest uint64) error {
	c.mu.Lock()
	c.entries, c.bytes = nil, 0
	c.mu.Unlock()
	return c.LogStore.DeleteRange(lowest, highest)
}

// IsMonotonic passes on what the store says.
func (c *logCache) IsMonotonic() bool {
	store, ok := c.LogStore.(raft.MonotonicLogStore)
	return ok && store.IsMonotonic()
}
