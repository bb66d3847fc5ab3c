package rpc

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/fairlane-scheduler/fairlane/cluster"
	"github.com/fairlane-scheduler/fairlane/fsm"
)

// testNode is a node of this process and the port that serves it.
type testNode struct {
	*cluster.Node
	url  string
	stop func()
}

// edit changes how a test's node runs.
type edit func(*cluster.Config, *Config)

// startNode starts a cluster of one node and waits until it leads.
func startNode(t testing.TB, edits ...edit) *testNode {
	t.Helper()
	node := openNode(t, true, edits...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := node.WaitLeader(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := node.ReadBarrier(ctx); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, ctx, "the node has recorded itself and named the cluster", func() (done bool) { // else that moves the machine in the midst of a test
		node.View(func(m *fsm.Machine) {
			id, _ := m.ClusterID()
			done = len(m.Nodes()) == 1 && (id != "" || m.Rules() < 4)
		})
		return done
	})
	return node
}

// openNode opens and serves a node on ports of the kernel's choice. It ends with the test.
func openNode(t testing.TB, bootstrap bool, edits ...edit) *testNode {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: t.Output()})
	settings := cluster.Config{
		DataDir: t.TempDir(), LogStore: "raft-wal", RaftListen: "127.0.0.1:0", APIAdvertise: listener.Addr().String(),
		Bootstrap: bootstrap, Logger: logger, OnFatal: func(err error) { t.Error(err) },
		Timing: cluster.Timing{PromoteAfter: 300 * time.Millisecond},
	}
	config := Config{Version: "test", Logger: logger}
	for _, edit := range edits {
		edit(&settings, &config)
	}
	node, err := cluster.Open(settings)
	if err != nil {
		listener.Close()
		t.Fatal(err)
	}
	handler, release := NewHandler(node, config)
	serving, stopServing := context.WithCancel(context.Background())
	served := make(chan error, 2)
	go func() { served <- Serve(serving, listener, handler) }()
	go func() { served <- Serve(serving, node.Calls(), handler) }()
	stopped := false
	out := &testNode{Node: node, url: "http://" + listener.Addr().String()}
	out.stop = func() {
		if stopped {
			return
		}
		stopped = true
		limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := node.Shutdown(limit); err != nil {
			t.Error(err)
		}
		stopServing()
		for range 2 {
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
		release()
	}
	t.Cleanup(out.stop)
	return out
}

// fingerprint of the machine: its index and a digest of all its state.
type fingerprint struct {
	index  uint64
	digest [32]byte
}

func (n *testNode) fingerprint(t testing.TB) fingerprint {
	t.Helper()
	var out fingerprint
	var snapshot *fsm.Snapshot
	n.View(func(m *fsm.Machine) {
		out.index = m.AppliedIndex()
		snapshot = m.Snapshot()
	})
	var err error
	if out.digest, err = snapshot.Digest(); err != nil {
		t.Fatal(err)
	}
	return out
}
