package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// Node is one server of the cluster. All its methods may be called by several goroutines.
type Node struct {
	id      string
	process uint64 // random
	config  Config
	log     hclog.Logger
	stores  *stores
	disk    *disk
	health  health
	wire    *transport
	gossip  *gossip // nil: none
	raft    *raft.Raft
	machine *machine
	feed    *feed
	started time.Time

	membership *membership

	// leading is set while this node leads and its duties run.
	leading atomic.Pointer[leadership]
	ticks   ticks
	backups backups
	// restoring is held by the one restore that may go on.
	restoring sync.Mutex
	// closing is closed when Shutdown begins; life ends after the transfer of leadership.
	closing chan struct{}
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	fatalOnce sync.Once
	fault     atomic.Pointer[error]

	// bound is the set of fresh nodes that this one has confirmed, and why no cluster is formed yet.
	bound struct {
		sync.Mutex
		ids []string
		why string
	}

	shutdown struct {
		once sync.Once
		done chan struct{}
		err  error
	}
}

// Open starts a node. It returns when the node runs, not when the cluster has a leader.
func Open(c Config) (_ *Node, err error) {
	c, err = c.complete()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	n := &Node{process: drawID(), config: c, log: c.Logger, started: time.Now(), closing: make(chan struct{}), membership: newMembership()}
	n.shutdown.done = make(chan struct{})
	if err := checkRemoved(c); err != nil {
		return nil, err
	}
	if n.id, err = identity(c.DataDir); err != nil {
		return nil, err
	}
	if err := checkClusterName(c); err != nil {
		return nil, err
	}
	if err := checkStore(c.DataDir, c.LogStore); err != nil {
		return nil, err
	}
	if err := checkRestored(c.DataDir); err != nil {
		return nil, err
	}
	n.disk = newDisk(c)
	n.stores, err = n.disk.openWithReserve(func() (*stores, error) { return openStores(c, n.disk, n.fatal) })
	if err != nil {
		return nil, err
	}
	n.disk.keepReserve()
	if n.wire, err = openTransport(c.RaftListen, c.RaftAdvertise, c.Certs, n.find, c.Logger); err != nil {
		return nil, errors.Join(err, n.stores.close())
	}
	if err := n.startGossip(); err != nil {
		return nil, errors.Join(err, n.wire.Close(), n.stores.close())
	}
	n.machine = newMachine(c, n.fatal)
	n.machine.closing = n.closing
	n.feed, n.machine.configuration.self = n.machine.feed, raft.ServerID(n.id)
	if err := n.startRaft(); err != nil {
		return nil, errors.Join(err, n.closeGossip(), n.wire.Close(), n.stores.close())
	}
	n.life, n.end = context.WithCancel(context.Background())
	n.running.Go(n.watchLeadership)
	n.running.Go(n.snapshotWhenFull)
	n.running.Go(n.watchRemoval)
	n.running.Go(n.tellGossip)
	n.running.Go(n.watchHealth)
	n.running.Go(n.keepBackups)
	n.running.Go(n.rememberCluster)
	n.running.Go(func() { n.feed.dispatch(n.life, n.lookAt) })
	return n, nil
}

func (n *Node) startRaft() error {
	settings := n.config.raft(n.id)
	if n.config.Bootstrap {
		known, err := raft.HasExistingState(n.stores.log, n.stores.stable, n.stores.snapshots)
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		if !known {
			alone := raft.Configuration{Servers: []raft.Server{{ID: settings.LocalID, Address: n.wire.LocalAddr()}}}
			err := raft.BootstrapCluster(settings, n.stores.log, n.stores.stable, n.stores.snapshots, n.wire, alone)
			if err != nil {
				return fmt.Errorf("cluster: bootstrap: %w", err)
			}
		}
	}
	var err error
	snapshots := openedSnapshots{n.stores.snapshots, n.machine.configuration}
	n.raft, err = raft.NewRaft(settings, n.machine, n.stores.log, n.stores.stable, snapshots, n.wire)
	if err != nil {
		return fmt.Errorf("cluster: start of raft: %w", err)
	}
	return nil
}

// fatal ends this node: Config.OnFatal is told once, and usually does not return. If it does, raft is stopped, so that
// the node neither leads nor votes on.
func (n *Node) fatal(err error) {
	n.fatalOnce.Do(func() {
		n.fault.Store(&err)
		n.log.Error("this node cannot go on", "error", err)
		n.config.OnFatal(err)
		if n.raft != nil {
			go n.raft.Shutdown() // not waited for: this may be raft's own goroutine
		}
	})
}

// snapshotWhenFull asks raft for a snapshot when the log has grown by many bytes; raft itself counts entries only.
func (n *Node) snapshotWhenFull() {
	for {
		select {
		case <-n.life.Done():
			return
		case <-n.machine.full:
		}
		err := await(n.life, n.raft.Snapshot())
		if err != nil && n.life.Err() == nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			n.log.Error("snapshot failed", "error", err)
		}
	}
}

// await a future of raft, but not longer than ctx: after a shutdown some are never answered.
func await(ctx context.Context, future raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ID of this node: a UUID that lies in its data directory.
func (n *Node) ID() string { return n.id }

// View runs read on this node's own state. Apply waits meanwhile, so it must be short, and nothing of the machine may be
// kept but what it answers. For long work take a Snapshot.
func (n *Node) View(read func(*fsm.Machine)) { n.machine.view(read) }

// Alone runs read while nothing else looks at this node's state: for reads that borrow it. It must be short.
func (n *Node) Alone(read func(*fsm.Machine)) { n.machine.alone(read) }

// Insight into this node's own state at one index, in no time. It is used without a lock, for as long as it takes.
func (n *Node) Insight() *fsm.Insight {
	var i *fsm.Insight
	n.machine.alone(func(m *fsm.Machine) { i = m.Insight() })
	return i
}

// Snapshot of this node's own state, in no time.
func (n *Node) Snapshot() *fsm.Snapshot { return n.machine.snapshot() }

// WaitApplied returns once this node's own state holds the log entry at index.
func (n *Node) WaitApplied(ctx context.Context, index uint64) error {
	return n.machine.waitApplied(ctx, index, n.closing)
}

// IsLeader tells whether this node leads and takes commands.
func (n *Node) IsLeader() bool { return n.leading.Load() != nil }

// Now is the time by which schedules are computed on this node: the later of its own wall clock and that of its state. Unix ms.
func (n *Node) Now() int64 {
	own := n.config.Clock.WallMillis()
	var replicated int64
	n.View(func(m *fsm.Machine) { replicated, _ = m.Clocks() })
	return max(own, replicated)
}

// Leader as far as this node knows: id, and the address of its API, which may still be empty.
func (n *Node) Leader() (id, apiAddress string, ok bool) {
	_, server := n.raft.LeaderWithID()
	if server == "" {
		return "", "", false
	}
	id = string(server)
	if id == n.id {
		return id, n.config.APIAdvertise, true
	}
	n.View(func(m *fsm.Machine) { apiAddress = nodeOf(m.Nodes(), id).GetApiAddress() })
	return id, apiAddress, true
}

func nodeOf(nodes []*logv1.SetNode, id string) *logv1.SetNode {
	for _, node := range nodes {
		if node.GetId() == id {
			return node
		}
	}
	return nil
}

// leaderLook is how often WaitLeader looks.
const leaderLook = 10 * time.Millisecond

// WaitLeader returns once this node knows a leader; if that is itself, once it takes commands.
func (n *Node) WaitLeader(ctx context.Context) error {
	look := time.NewTicker(leaderLook)
	defer look.Stop()
	for {
		if id, _, ok := n.Leader(); ok && (id != n.id || n.IsLeader()) {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.closing:
			return ErrShutdown
		}
	}
}
