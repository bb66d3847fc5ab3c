package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/rpc"
)

// shutdownLimit bounds the orderly end of a node: parked claims answered, leadership handed over, stores closed.
const shutdownLimit = 10 * time.Second

// nodeOptions say how a node runs; server takes them from its flags, dev makes them up.
type nodeOptions struct {
	data      string
	api, raft address
	bootstrap bool
	join      []string
	logStore  string
	logger    hclog.Logger
	onFatal   func(error)
}

// node is a server of the cluster inside this process: the replicated machine and the port that serves it.
type node struct {
	cluster  *cluster.Node
	listener net.Listener
	api      string // where the API really listens
	raft     string // where raft really listens
	join     []string
	logger   hclog.Logger
}

// openNode opens the listener first: with port 0 the address that other nodes are told is not known before.
func openNode(o nodeOptions) (*node, error) {
	listener, err := net.Listen("tcp", o.api.listen)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", o.api.flag, err)
	}
	real := listener.Addr().String()
	machine, err := cluster.Open(cluster.Config{
		DataDir: o.data, LogStore: o.logStore,
		RaftListen: o.raft.listen, RaftAdvertise: o.raft.advertise, APIAdvertise: o.api.public(real),
		Bootstrap: o.bootstrap, Logger: o.logger, OnFatal: o.onFatal,
	})
	if err != nil {
		listener.Close()
		return nil, err
	}
	return &node{cluster: machine, listener: listener, api: real, raft: machine.Status().RaftAddress, join: o.join, logger: o.logger}, nil
}

// run serves until the context ends, then ends in order: the machine answers its parked claims, hands leadership over and
// closes its stores; then the port closes. It returns when nothing of the node runs any longer.
func (n *node) run(ctx context.Context) error {
	handler, release := rpc.NewHandler(n.cluster, rpc.Config{Version: version, Logger: n.logger})
	defer release()
	serving, stopServing := context.WithCancel(context.Background())
	defer stopServing()
	life, ended := errgroup.WithContext(ctx)
	life.Go(func() error { return rpc.Serve(serving, n.listener, handler) })
	life.Go(func() error {
		if len(n.join) == 0 {
			return nil
		}
		err := rpc.Join(ended, n.cluster, n.join)
		if err != nil && ended.Err() == nil {
			return fmt.Errorf("join %v: %w", n.join, err)
		}
		return nil
	})
	life.Go(func() error {
		<-ended.Done()
		limit, cancel := context.WithTimeout(context.Background(), shutdownLimit)
		defer cancel()
		err := n.cluster.Shutdown(limit)
		stopServing()
		return err
	})
	err := life.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// writeReadyFile tells where the node listens, whole or not at all: a reader never sees half a line.
func writeReadyFile(path, line string) error {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temporary, []byte(line), 0o644); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	return nil
}
