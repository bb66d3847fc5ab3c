package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// errBroken answers batches after the machine stopped.
var errBroken = errors.New("cluster: the replicated machine of this node has stopped")

// machine is the replicated state of this node behind raft's interface. raft calls Apply, Snapshot and Restore one at a
// time; everything else may be called by anybody.
type machine struct {
	log     hclog.Logger
	dir     string          // of the node's data
	closing <-chan struct{} // closed when the node begins to shut down; set once
	fatal   func(error)
	feed    *feed
	digests *digests
	*configuration
	// full is told when the log since the last snapshot holds more than snapshotBytes.
	full          chan struct{}
	snapshotBytes uint64

	mu         sync.RWMutex // guards state, what state holds, end, recordings and captures
	state      *fsm.Machine
	end        Position // of the last event that the state holds
	recordings recordings
	captures   captures

	// restored is told when a snapshot replaced the state.
	restored chan struct{}

	// flight is the batch that this node's proposer waits for.
	flight atomic.Pointer[flight]

	progress struct {
		sync.Mutex
		applied uint64
		// moved is closed when applied rises, and then made anew; nil while nobody waits.
		moved chan struct{}
	}

	logBytes uint64 // since the last snapshot; raft's goroutine alone
	broken   bool   // raft's goroutine alone
}

// flight is one proposed batch. The outcome comes straight from Apply: a hop less than through raft's future, which is
// still asked for errors.
type flight struct {
	first *byte            // of the entry: raft hands the leader's own slice to Apply
	done  chan fsm.Outcome // has room for the outcome
}

func newMachine(c Config, fatal func(error)) *machine {
	state := fsm.New()
	start := Position{Epoch: state.Epoch()}
	return &machine{
		log: c.Logger.Named("machine"), dir: c.DataDir, fatal: fatal, feed: newFeed(newRing(c.KeepEvents, c.KeepEventBytes, start)), digests: newDigests(),
		configuration: newConfiguration(),
		full:          make(chan struct{}, 1), restored: make(chan struct{}, 1), snapshotBytes: c.Timing.SnapshotBytes, state: state, end: start,
	}
}

// Apply one committed entry. Its answer is nil, or the error for which this node stops.
func (m *machine) Apply(log *raft.Log) any {
	if log.Type != raft.LogCommand {
		return nil
	}
	if m.broken {
		return errBroken
	}
	outcome, err := m.apply(log)
	if err != nil {
		m.broken = true
		m.fatal(err)
		return err
	}
	m.advance(log.Index)
	m.feed.publish(&outcome)
	if f := m.flight.Load(); f != nil && len(log.Data) > 0 && f.first == &log.Data[0] {
		f.done <- outcome // has room for the only one
		m.flight.CompareAndSwap(f, nil)
	}
	if m.logBytes += uint64(len(log.Data)); m.logBytes > m.snapshotBytes {
		select {
		case m.full <- struct{}{}:
		default:
		}
	}
	return nil
}

// apply decodes and applies. A panic is a broken invariant or a command of a later version: this node must neither skip
// the entry nor go on without it.
func (m *machine) apply(log *raft.Log) (outcome fsm.Outcome, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("log entry %d cannot be applied by this version of fairlane: %v", log.Index, cause)
		}
	}()
	batch := &logv1.Batch{}
	if err := proto.Unmarshal(log.Data, batch); err != nil {
		return fsm.Outcome{}, fmt.Errorf("log entry %d cannot be read: %w", log.Index, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	outcome = m.state.Apply(log.Index, batch)
	if len(m.recordings) > 0 {
		m.recordings.add(log.Index, log.Data)
	}
	m.end = Position{Epoch: outcome.Epoch, Index: outcome.Index, Place: uint32(max(0, len(outcome.Events)-1))}
	if marked(batch) {
		snapshot := m.state.Snapshot()
		m.digests.compute(log.Index, snapshot)
		m.captures.take(m.state, snapshot)
	}
	return outcome, nil
}

// marked tells whether a batch asks for a digest.
func marked(batch *logv1.Batch) bool {
	for _, c := range batch.GetCommands() {
		if c.GetCheckpoint() != nil {
			return true
		}
	}
	return false
}

// advance the applied index and tell who waits for it.
func (m *machine) advance(index uint64) {
	m.progress.Lock()
	defer m.progress.Unlock()
	m.progress.applied = max(m.progress.applied, index)
	if m.progress.moved != nil {
		close(m.progress.moved)
		m.progress.moved = nil
	}
}

// applied is the index of the last batch in the state. raft's own applied index runs ahead of it.
func (m *machine) applied() uint64 {
	m.progress.Lock()
	defer m.progress.Unlock()
	return m.progress.applied
}

// waitApplied until the state holds the entry at index.
func (m *machine) waitApplied(ctx context.Context, index uint64, stop <-chan struct{}) error {
	for {
		m.progress.Lock()
		if m.progress.applied >= index {
			m.progress.Unlock()
			return nil
		}
		if m.progress.moved == nil {
			m.progress.moved = make(chan struct{})
		}
		moved := m.progress.moved
		m.progress.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-stop:
			return ErrShutdown
		}
	}
}

// Snapshot takes no time: the state is shared until it changes.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	if m.broken {
		return nil, errBroken
	}
	m.logBytes = 0
	return persistent{m.snapshot(), m.dir, m.closing}, nil
}

// snapshot of the state as it is now. It takes the lock that Apply takes: a copy marks the containers that it shares.
func (m *machine) snapshot() *fsm.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Snapshot()
}

// Restore replaces the state by a snapshot, once it is read and verified wholly; on an error the state stays.
func (m *machine) Restore(source io.ReadCloser) (err error) {
	defer source.Close()
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("cluster: restore of a snapshot: %v", cause)
		}
	}()
	state, err := fsm.Restore(source)
	if err != nil {
		return fmt.Errorf("cluster: restore of a snapshot: %w", err)
	}
	end := Position{Epoch: state.Epoch(), Index: state.AppliedIndex(), Place: lastPlace}
	m.mu.Lock()
	m.state, m.end = state, end
	m.recordings.cut()
	m.mu.Unlock()
	m.logBytes = 0
	m.advance(state.AppliedIndex())
	m.feed.restored(end)
	poke(m.restored)
	return nil
}

// view runs read under the read lock.
func (m *machine) view(read func(*fsm.Machine)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	read(m.state)
}

// alone runs read under the lock that Apply takes.
func (m *machine) alone(read func(*fsm.Machine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	read(m.state)
}

// persistent writes a snapshot to raft's store, while Apply goes on.
type persistent struct {
	*fsm.Snapshot
	dir     string // of raft's store; empty: nobody works beside, so nothing waits
	closing <-chan struct{}
}

func (p persistent) Persist(sink raft.SnapshotSink) error {
	w, done := p.writer(sink)
	defer done()
	if _, err := p.WriteTo(w); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (p persistent) writer(sink raft.SnapshotSink) (w io.Writer, done func()) {
	if p.dir == "" {
		return sink, func() {}
	}
	return newPaced(sink, p.dir, p.closing)
}

func (persistent) Release() {}
