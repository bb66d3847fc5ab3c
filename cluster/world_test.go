package cluster

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/fsm"
	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// everyStore lists the log stores that every test of the whole runs on.
var everyStore = []string{StoreWAL, StoreBolt}

// world is a cluster of this process: real raft, disks and sockets.
type world struct {
	t     testing.TB
	store string
	edit  func(*Config)
	nodes []*Node
}

// newWorld starts a cluster of n nodes and waits until all of them vote.
func newWorld(t testing.TB, store string, n int, edit func(*Config)) *world {
	t.Helper()
	w := &world{t: t, store: store, edit: edit}
	for i := range n {
		w.nodes = append(w.nodes, w.open(t.TempDir(), i == 0))
		if i == 0 {
			w.leader()
			continue
		}
		w.join(w.nodes[i])
	}
	w.until("all nodes vote", func() bool {
		voters := 0
		for _, m := range w.leader().Status().Members {
			if m.Voter {
				voters++
			}
		}
		return voters == n
	})
	return w
}

func (w *world) config(dir string) Config {
	c := Config{
		DataDir: dir, LogStore: w.store, RaftListen: "127.0.0.1:0", APIAdvertise: "api-of-" + dir,
		Logger:  hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: w.t.Output()}),
		OnFatal: func(err error) { w.t.Error("node ended: ", err) },
		Timing:  Timing{PromoteAfter: 300 * time.Millisecond},
	}
	if w.edit != nil {
		w.edit(&c)
	}
	return c
}

func (w *world) open(dir string, bootstrap bool) *Node {
	w.t.Helper()
	c := w.config(dir)
	c.Bootstrap = bootstrap
	return w.start(c)
}

// reopen a closed node where it was: the others find it there.
func (w *world) reopen(closed *Node) *Node {
	w.t.Helper()
	c := w.config(closed.config.DataDir)
	c.RaftListen = string(closed.wire.LocalAddr())
	return w.start(c)
}

func (w *world) start(c Config) *Node {
	w.t.Helper()
	node, err := Open(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.close(node) })
	return node
}

func (w *world) close(node *Node) {
	w.t.Helper()
	if err := node.Shutdown(w.limit(20 * time.Second)); err != nil {
		w.t.Error(err)
	}
}

// limit is a context that ends on its own, also while the test cleans up.
func (w *world) limit(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) join(node *Node) {
	w.t.Helper()
	s := node.Status()
	if err := w.leader().AddNode(w.limit(10*time.Second), s.ID, s.RaftAddress, s.APIAddress, s.Rules); err != nil {
		w.t.Fatal(err)
	}
}

// leader waits for a node that takes commands.
func (w *world) leader() (found *Node) {
	w.t.Helper()
	w.until("a leader", func() bool {
		for _, n := range w.nodes {
			if n.IsLeader() && !n.isClosing() {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	end := time.After(20 * time.Second)
	for !done() {
		select {
		case <-look.C:
		case <-end:
			w.t.Fatal("waited in vain for ", what)
		}
	}
}

func (w *world) propose(n *Node, c *logv1.Command) *logv1.Result {
	w.t.Helper()
	result, err := n.Propose(w.limit(10*time.Second), c)
	if err != nil {
		w.t.Fatal(err)
	}
	if result.GetRefusal() != nil {
		w.t.Fatal("refused: ", result.GetRefusal())
	}
	return result
}

// worker registers one with a lane of so many slots over all queues.
func (w *world) worker(n *Node, name string, slots uint32) uint64 {
	w.t.Helper()
	lanes := []*logv1.Lane{{Chain: []string{"*"}, Slots: slots}}
	r := w.propose(n, &logv1.Command{Op: &logv1.Command_Register{Register: &logv1.Register{Name: name, Nonce: 1, Lanes: lanes}}})
	return r.GetSession().GetSession()
}

func enqueue(jobs int) *logv1.Command {
	e := &logv1.Enqueue{}
	for range jobs {
		e.Jobs = append(e.Jobs, &logv1.NewJob{Kind: "test", Queue: "default", User: "ana", Payload: []byte("x")})
	}
	return &logv1.Command{Op: &logv1.Command_Enqueue{Enqueue: e}}
}

func claim(session uint64) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Claim{Claim: &logv1.Claim{Session: session}}}
}

func finish(session, fence uint64) *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Finish{Finish: &logv1.Finish{
		Session: session, Fence: fence, Outcome: &logv1.Finish_Success{Success: &logv1.Success{}},
	}}}
}

func checkpoint() *logv1.Command {
	return &logv1.Command{Op: &logv1.Command_Checkpoint{Checkpoint: &logv1.Checkpoint{}}}
}

// parkedClaim is a claim that waits in a goroutine of its own.
type parkedClaim struct {
	result *logv1.Result
	parked time.Duration
	err    error
	done   chan struct{}
}

func (w *world) claimLater(n *Node, session uint64, wait time.Duration) *parkedClaim {
	c := &parkedClaim{done: make(chan struct{})}
	ctx := w.limit(30 * time.Second)
	go func() {
		defer close(c.done)
		c.result, c.parked, c.err = n.Claim(ctx, claim(session), wait)
	}()
	return c
}

func (w *world) parked(n *Node, count int) {
	w.t.Helper()
	w.until("claims to park", func() bool { return n.Status().Parked == count })
}

func (c *parkedClaim) wait(t testing.TB) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(20 * time.Second):
		t.Fatal("a claim was never answered")
	}
}

// sameDigests takes a checkpoint and compares the digests of all nodes at it.
func (w *world) sameDigests() {
	w.t.Helper()
	index := w.propose(w.leader(), checkpoint()).GetIndex()
	var first [32]byte
	for i, n := range w.nodes {
		digest, err := n.Digest(w.limit(10*time.Second), index)
		if err != nil {
			w.t.Fatal(err)
		}
		if i == 0 {
			first = digest
		} else if digest != first {
			w.t.Fatalf("node %d has digest %x at %d, node 0 %x", i, digest, index, first)
		}
	}
}

func (w *world) stateOf(n *Node, job uint64) (state logv1.State) {
	n.View(func(m *fsm.Machine) {
		if j, ok := m.Job(fsm.JobID(job)); ok {
			state = j.GetState()
		}
	})
	return state
}

// together runs f on so many goroutines and waits for them.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
