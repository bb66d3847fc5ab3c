package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/cluster/certs"
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
	// machine has what is not named here, as the flags give it.
	machine cluster.Config
	logger  hclog.Logger
	onFatal func(error)
}

// node is a server of the cluster inside this process: the replicated machine and the port that serves it.
type node struct {
	cluster  *cluster.Node
	listener net.Listener
	api      string // where the API really listens
	raft     string // where raft really listens
	join     []string
	expect   int // fresh nodes that form a cluster; 0: none
	logger   hclog.Logger
	certs    *certs.Bundle // nil: no TLS
}

// openNode opens the listener first: with port 0 the address that other nodes are told is not known before.
func openNode(o nodeOptions) (*node, error) {
	listener, err := net.Listen("tcp", o.api.listen)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", o.api.flag, err)
	}
	real := listener.Addr().String()
	settings := o.machine
	settings.DataDir, settings.LogStore, settings.Backup.Version = o.data, o.logStore, version
	settings.RaftListen, settings.RaftAdvertise, settings.APIAdvertise = o.raft.listen, o.raft.advertise, o.api.public(real)
	settings.Bootstrap, settings.Logger, settings.OnFatal = o.bootstrap, o.logger, o.onFatal
	machine, err := cluster.Open(settings)
	if err != nil {
		listener.Close()
		return nil, err
	}
	return &node{cluster: machine, listener: listener, api: real, raft: machine.Status().RaftAddress, join: o.join, expect: settings.BootstrapExpect, logger: o.logger, certs: settings.Certs}, nil
}

// errLeft ends a node that left its cluster, without a failure.
var errLeft = errors.New("the node left its cluster")

// run serves until the context ends, then ends in order: the machine answers its parked claims, hands leadership over and
// closes its stores; then the port closes. It returns when nothing of the node runs any longer.
func (n *node) run(ctx context.Context) error {
	handler, release := rpc.NewHandler(n.cluster, rpc.Config{Version: version, Logger: n.logger, Certs: n.certs})
	defer release()
	serving, stopServing := context.WithCancel(context.Background())
	defer stopServing()
	life, ended := errgroup.WithContext(ctx)
	life.Go(func() error {
		if n.certs != nil {
			return rpc.ServeTLS(serving, n.listener, handler, n.certs, n.logger)
		}
		return rpc.Serve(serving, n.listener, handler)
	})
	life.Go(func() error {
		n.watchCerts(ended)
		return nil
	})
	life.Go(func() error { return rpc.Serve(serving, n.cluster.Calls(), handler) })
	life.Go(func() error { return n.enter(ended) })
	life.Go(func() error { n.findOthers(ended); return nil })
	life.Go(func() error {
		select {
		case <-n.cluster.Left():
			n.logger.Warn("this node was removed from the cluster on its own wish, and ends")
			return errLeft
		case <-ended.Done():
			return nil
		}
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
	if errors.Is(err, context.Canceled) || errors.Is(err, errLeft) {
		return nil
	}
	return err
}

// enter the cluster, unless this node was there already: it forms one with others, or asks one to add it.
func (n *node) enter(ctx context.Context) error {
	var err error
	switch {
	case n.expect > 0:
		err = rpc.FormCluster(ctx, n.cluster, n.certs, n.expect)
	case len(n.join) > 0:
		err = rpc.Join(ctx, n.cluster, n.certs, n.join)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("join %v: %w", n.join, err)
	}
	return nil
}

// findOthers by the addresses to join, and read the keys of gossip again when that is asked for, until ctx ends.
func (n *node) findOthers(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	var finding sync.WaitGroup
	defer finding.Wait()
	if len(n.join) > 0 && n.cluster.GossipAddress() != "" {
		finding.Go(func() { rpc.Discover(ctx, n.cluster, n.certs, n.join) })
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_ = n.cluster.ReloadGossipKeys() // the node's log says so
		}
	}
}

// watchCerts takes up new certificates on SIGHUP and when their files change, until the context ends.
func (n *node) watchCerts(ctx context.Context) {
	if n.certs == nil {
		return
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	n.certs.Watch(ctx, hangup, func(info certs.Info, err error) {
		if err != nil {
			n.logger.Error("the new certificate was not taken; the former one serves on", "ends", info.NotAfter, "error", err)
			return
		}
		n.logger.Info("certificate read again", "ends", info.NotAfter)
	})
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
