package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"go.etcd.io/bbolt"
)

const (
	storeWAL  = "raft-wal"
	storeBolt = "raft-boltdb"

	// What the proposer of Fairlane does too (cluster/pack.go): one batch in flight, so many commands and bytes in it, and after each
	// batch a short wait for the callers that were just answered.
	packCommands = 1024
	packBytes    = 256 << 10
	gatherTime   = 300 * time.Microsecond

	commandBytes = 200
	raftWarmUp   = 500 * time.Millisecond
)

// raftNode says how one process of the reference runs. Node 0 founds the cluster, so it leads.
type raftNode struct {
	ID        int
	Dir       string
	Store     string
	Addresses []string
	Callers   int
	Length    time.Duration
}

// raftResult is what the leader prints.
type raftResult struct {
	PerSecond float64
	Error     string
}

// runRaftNode until stdin closes. The leader measures first and prints the result.
func runRaftNode(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("a raft node wants its settings")
	}
	var n raftNode
	if err := json.Unmarshal([]byte(args[0]), &n); err != nil {
		return err
	}
	r, err := n.start()
	if err != nil {
		return err
	}
	if n.ID == 0 {
		result, err := n.lead(ctx, r)
		if err != nil {
			result.Error = err.Error()
		}
		if err := json.NewEncoder(stdout).Encode(result); err != nil {
			return err
		}
	}
	untilClosed(stdin)
	return nil // the process ends: nothing of it is needed again
}

// quietTransport has no fast path for heartbeats, as Fairlane's.
type quietTransport struct{ *raft.NetworkTransport }

func (quietTransport) SetHeartbeatHandler(func(raft.RPC)) {}

// start with the settings of cluster/config.go, cluster/stores.go and cluster/transport.go.
func (n raftNode) start() (*raft.Raft, error) {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	stable, err := openBolt(filepath.Join(n.Dir, "stable.db"))
	if err != nil {
		return nil, err
	}
	var log raft.LogStore
	if n.Store == storeBolt {
		log, err = openBolt(filepath.Join(n.Dir, "log.db"))
	} else {
		log, err = openWAL(filepath.Join(n.Dir, "wal"), logger)
	}
	if err != nil {
		return nil, err
	}
	if log, err = raft.NewLogCache(512, log); err != nil {
		return nil, err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(n.Dir, 2, logger)
	if err != nil {
		return nil, err
	}
	tcp, err := raft.NewTCPTransportWithConfig(n.Addresses[n.ID], nil,
		&raft.NetworkTransportConfig{MaxPool: 3, MaxRPCsInFlight: 1, Timeout: 5 * time.Second, Logger: logger})
	if err != nil {
		return nil, err
	}
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(fmt.Sprint(n.ID))
	c.CommitTimeout = 10 * time.Millisecond
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	c.MaxAppendEntries = 16
	c.BatchApplyCh = false
	c.TrailingLogs = 10_240
	c.SnapshotThreshold = 65_536
	c.SnapshotInterval = 10 * time.Second
	c.NoLegacyTelemetry = true
	c.Logger = logger
	r, err := raft.NewRaft(c, nothing{}, log, stable, snapshots, quietTransport{tcp})
	if err != nil || n.ID != 0 {
		return r, err
	}
	var all raft.Configuration
	for i, address := range n.Addresses {
		all.Servers = append(all.Servers, raft.Server{ID: raft.ServerID(fmt.Sprint(i)), Address: raft.ServerAddress(address)})
	}
	return r, r.BootstrapCluster(all).Error()
}

func openBolt(path string) (*raftboltdb.BoltStore, error) {
	return raftboltdb.New(raftboltdb.Options{
		Path:                    path,
		BoltOptions:             &bbolt.Options{Timeout: 3 * time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
		MsgpackUseNewTimeFormat: true,
	})
}

func openWAL(dir string, logger hclog.Logger) (*wal.WAL, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return wal.Open(dir, wal.WithLogger(logger))
}

// nothing is a machine without state: what is measured is the way to it.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nothing{}, nil }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }
func (nothing) Persist(s raft.SnapshotSink) error   { return s.Close() }
func (nothing) Release()                            {}

// lead waits until this node leads and all follow, then lets the callers call.
func (n raftNode) lead(ctx context.Context, r *raft.Raft) (raftResult, error) {
	ctx, cancel := context.WithTimeout(ctx, readyLimit+n.Length)
	defer cancel()
	select {
	case <-r.LeaderCh():
	case <-ctx.Done():
		return raftResult{}, errors.New("the node does not lead")
	}
	p := newPacker(r)
	counted := new(atomic.Int64)
	work, stop := context.WithCancel(ctx)
	defer stop()
	var callers sync.WaitGroup
	var failure atomic.Pointer[error]
	for range n.Callers {
		callers.Go(func() {
			for work.Err() == nil {
				if err := p.propose(make([]byte, commandBytes)); err != nil {
					failure.Store(&err)
					stop()
					return
				}
				counted.Add(1)
			}
		})
	}
	go p.pack(ctx)
	pause(work, raftWarmUp)
	begin, before := time.Now(), counted.Load()
	pause(work, n.Length)
	took, done := time.Since(begin).Seconds(), counted.Load()-before
	stop()
	callers.Wait()
	if err := failure.Load(); err != nil {
		return raftResult{}, *err
	}
	return raftResult{PerSecond: float64(done) / took}, nil
}

// packer puts commands of many callers into entries.
type packer struct {
	raft  *raft.Raft
	queue chan command
}

type command struct {
	data     []byte
	answered chan error
}

func newPacker(r *raft.Raft) *packer {
	return &packer{raft: r, queue: make(chan command, 16*packCommands)}
}

// propose one command and wait until it is applied. It must not be called after the end of pack's context.
func (p *packer) propose(data []byte) error {
	c := command{data: data, answered: make(chan error, 1)}
	p.queue <- c
	return <-c.answered
}

// pack entries, one after the other, until ctx ends.
func (p *packer) pack(ctx context.Context) {
	want := 0 // who was just answered, and who came meanwhile
	for {
		batch, data := p.fill(ctx, want)
		if len(batch) == 0 {
			return
		}
		err := p.raft.Apply(data, 0).Error()
		want = len(batch) + len(p.queue)
		for _, c := range batch {
			c.answered <- err
		}
	}
}

// fill one entry. If more than one caller is expected it waits for them, but not for long; then for the first, as long as it takes.
// It gives none at the end of ctx.
func (p *packer) fill(ctx context.Context, want int) (batch []command, data []byte) {
	take := func(c command) {
		data = append(binary.AppendUvarint(data, uint64(len(c.data))), c.data...)
		batch = append(batch, c)
	}
	fits := func() bool {
		return len(batch) < packCommands && len(data)+commandBytes+binary.MaxVarintLen32 <= packBytes
	}
	if want > 1 {
		timer := time.NewTimer(gatherTime)
		defer timer.Stop()
		for waiting := true; waiting && len(batch) < want && fits(); {
			select {
			case c := <-p.queue:
				take(c)
			case <-timer.C:
				waiting = false
			}
		}
	}
	if len(batch) == 0 {
		select {
		case c := <-p.queue:
			take(c)
		case <-ctx.Done():
			return nil, nil
		}
	}
	for fits() {
		select {
		case c := <-p.queue:
			take(c)
		default:
			return batch, data
		}
	}
	return batch, data
}

// pause for so long, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
