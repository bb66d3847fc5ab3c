package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// transferLimit is the watchdog of the only attempt to hand leadership over.
const transferLimit = 2 * time.Second

// Shutdown ends this node: no schedule fires any more, then parked claims, watches and new commands are told, leadership is handed over
// once, then the transport, raft and the stores are closed, in this order. It may be repeated; every call returns when the end is reached or its
// own ctx ends.
func (n *Node) Shutdown(ctx context.Context) error {
	n.shutdown.once.Do(func() {
		close(n.closing)
		go func() {
			n.shutdown.err = n.close()
			close(n.shutdown.done)
		}()
	})
	select {
	case <-n.shutdown.done:
		return n.shutdown.err
	case <-ctx.Done():
		return fmt.Errorf("cluster: shutdown: %w", ctx.Err())
	}
}

// Closing is closed when Shutdown begins.
func (n *Node) Closing() <-chan struct{} { return n.closing }

func (n *Node) close() error {
	if l := n.leading.Load(); l != nil {
		l.stopFiring()
		l.mu.Lock()
		l.dismiss(ErrShutdown)
		l.endLines(ErrShutdown)
		l.unlock()
		n.handOver()
	}
	n.end()
	n.running.Wait()
	// The transport goes first: raft's shutdown waits for answers of nodes that may never come.
	errs := []error{n.closeGossip(), n.wire.Close()}
	if err := n.raft.Shutdown().Error(); err != nil {
		errs = append(errs, fmt.Errorf("cluster: end of raft: %w", err))
	}
	n.machine.digests.computing.Wait()
	errs = append(errs, n.stores.close())
	return errors.Join(errs...)
}

// handOver the leadership, once: a second attempt can wedge. Failing is no harm: the others elect a leader.
func (n *Node) handOver() {
	others := 0
	for _, server := range n.servers() {
		if isVoter(server) && string(server.ID) != n.id {
			others++
		}
	}
	if others == 0 {
		return
	}
	limit, cancel := context.WithTimeout(context.Background(), transferLimit)
	defer cancel()
	if err := await(limit, n.raft.LeadershipTransfer()); err != nil {
		n.log.Warn("leadership was not handed over", "error", err)
	}
}
