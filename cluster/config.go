package cluster

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
)

// The two places where the log can lie.
const (
	StoreWAL  = "raft-wal"
	StoreBolt = "raft-boltdb"
)

// commitTimeout is how long an idle leader waits before it tells followers what was committed; what a follower's readers and watchers
// see is that much behind.
const commitTimeout = 10 * time.Millisecond

// Config says how a node runs. Nothing of it decides an outcome: limits that do lie in the replicated state.
type Config struct {
	// DataDir holds everything of this node and is made when it does not exist. One node has it at a time.
	DataDir string
	// LogStore is StoreWAL or StoreBolt; empty: StoreWAL. It cannot change while a log lies in DataDir.
	LogStore string
	// RaftListen is the address that the other nodes' raft connects to; port 0 takes a free one.
	RaftListen string
	// RaftAdvertise is what other nodes are told; empty: where it listens.
	RaftAdvertise string
	// APIAdvertise is the address of this node's API, for callers that look for the leader.
	APIAdvertise string
	// Bootstrap makes a cluster of this node alone, if DataDir holds no state yet.
	Bootstrap bool
	// BootstrapExpect fresh nodes form a cluster together; 0: this node waits to be joined or is a member already.
	BootstrapExpect int
	// ClusterName keeps clusters on one network apart; empty: "fairlane". It is the label of gossip, stands in certificates, and never changes.
	ClusterName string
	// Gossip finds the other nodes.
	Gossip GossipConfig
	// Certs of the port between nodes; nil: no TLS.
	Certs *certs.Bundle
	// Rejoin sets the data of a removed node aside and begins anew.
	Rejoin bool
	Disk   DiskConfig
	Backup BackupConfig
	Timing Timing
	// KeepEvents and KeepEventBytes bound the past events that this node keeps for watches; 0: 65,536 and 64 MiB.
	KeepEvents, KeepEventBytes int
	// MaxWatches at the same time; 0: 50,000.
	MaxWatches int64
	Logger     hclog.Logger
	// Clock is the system's unless a test sets another.
	Clock ClockSource
	// OnFatal is told once why this node must not go on. It should not return; nil ends the process with code 70.
	OnFatal func(error)

	rules uint32 // what this node says it can apply, in tests of upgrades; 0: what it can
}

// GossipConfig says where gossip goes, and how.
type GossipConfig struct {
	// Listen address for UDP and TCP; empty: no gossip. Port 0 takes a free one. Advertise is what other nodes are told; empty: where it listens.
	Listen, Advertise string
	// KeyFile holds the keys, base64, one on each line: the first encrypts, all decrypt. Empty: gossip is neither encrypted nor authenticated.
	KeyFile string
	// Seeds are gossip addresses of other nodes.
	Seeds []string
}

// DiskConfig keeps a full disk recoverable. Bytes.
type DiskConfig struct {
	// LowWater of free room below which this node does not lead; 0: 256 MiB. Reserve is a file that is given up when the disk is full; 0: 64 MiB.
	LowWater, Reserve uint64
}

// BackupConfig is for archives that this node writes by itself.
type BackupConfig struct {
	// Dir for them; empty: none are written.
	Dir string
	// Every so often, and so many are kept; 0: 1 h and 24.
	Every time.Duration
	Keep  int
	// Version of the binary, as the archives say it.
	Version string
}

// Timing holds the durations and counts of raft. Zero values take what DefaultTiming says.
type Timing struct {
	Heartbeat   time.Duration
	Election    time.Duration
	LeaderLease time.Duration
	// SnapshotBatches and SnapshotBytes of log since the last snapshot ask for the next, whichever comes first.
	SnapshotBatches uint64
	SnapshotBytes   uint64
	// SnapshotInterval is how often SnapshotBatches is looked at.
	SnapshotInterval time.Duration
	// TrailingLogs are kept behind a snapshot for nodes that were away.
	TrailingLogs uint64
	// PromoteAfter is how long a node that joins must be healthy and caught up before it becomes a voter.
	PromoteAfter time.Duration
	// DeadAfter so long without an answer a voter is dead: it is removed once a successor has become a voter.
	DeadAfter time.Duration
	// WriteStall is how long one write of the log may take, in time that this process ran.
	WriteStall time.Duration
}

// DefaultTiming is what was measured: a new leader 0.9 s after the old one was killed, without flapping under load.
func DefaultTiming() Timing {
	return Timing{
		Heartbeat: 500 * time.Millisecond, Election: 500 * time.Millisecond, LeaderLease: 500 * time.Millisecond,
		SnapshotBatches: 65_536, SnapshotBytes: 512 << 20, SnapshotInterval: 10 * time.Second,
		TrailingLogs: 10_240, WriteStall: 5 * time.Second,
		PromoteAfter: 10 * time.Second, DeadAfter: time.Minute,
	}
}

func (t Timing) withDefaults() Timing {
	d := DefaultTiming()
	set(&t.Heartbeat, d.Heartbeat)
	set(&t.Election, d.Election)
	set(&t.LeaderLease, d.LeaderLease)
	set(&t.SnapshotBatches, d.SnapshotBatches)
	set(&t.SnapshotBytes, d.SnapshotBytes)
	set(&t.SnapshotInterval, d.SnapshotInterval)
	set(&t.TrailingLogs, d.TrailingLogs)
	set(&t.WriteStall, d.WriteStall)
	set(&t.PromoteAfter, d.PromoteAfter)
	set(&t.DeadAfter, d.DeadAfter)
	return t
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) complete() (Config, error) {
	set(&c.LogStore, StoreWAL)
	set(&c.ClusterName, "fairlane")
	set(&c.Disk.LowWater, 256<<20)
	set(&c.Disk.Reserve, 64<<20)
	set(&c.Backup.Every, time.Hour)
	set(&c.Backup.Keep, 24)
	set(&c.MaxWatches, maxWatches)
	c.Timing = hookTiming(c.Timing).withDefaults()
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.Clock == nil {
		c.Clock = newClock()
	}
	if c.OnFatal == nil {
		c.OnFatal = func(err error) {
			fmt.Fprintf(os.Stderr, "fairlane: this node cannot go on: %v\n", err)
			os.Exit(ExitCode(err))
		}
	}
	switch {
	case c.DataDir == "":
		return c, errors.New("cluster: no data directory given")
	case c.RaftListen == "":
		return c, errors.New("cluster: no address for raft to listen on given")
	case c.LogStore != StoreWAL && c.LogStore != StoreBolt:
		return c, fmt.Errorf("cluster: unknown log store %q: want %s or %s", c.LogStore, StoreWAL, StoreBolt)
	}
	return c, nil
}

// raft's own configuration. docs/design.md §12 gives the reason of each value that differs from the default.
func (c Config) raft(id string) *raft.Config {
	r := raft.DefaultConfig()
	r.LocalID = raft.ServerID(id)
	r.CommitTimeout = commitTimeout
	r.HeartbeatTimeout, r.ElectionTimeout, r.LeaderLeaseTimeout = c.Timing.Heartbeat, c.Timing.Election, c.Timing.LeaderLease
	r.MaxAppendEntries = 16
	r.BatchApplyCh = false
	r.TrailingLogs = c.Timing.TrailingLogs
	r.SnapshotThreshold = c.Timing.SnapshotBatches
	r.SnapshotInterval = c.Timing.SnapshotInterval
	r.ShutdownOnRemove = false
	r.NoLegacyTelemetry = true
	r.Logger = c.Logger.Named("raft")
	return r
}
