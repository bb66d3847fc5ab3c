package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// devRaftOffset is the distance between the API port of a development node and its raft port. Both are fixed, so that a
// cluster with --data finds itself again.
const devRaftOffset = 100

func newDevCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dev", Short: "Run a development cluster in this process", Args: cobra.NoArgs,
		Long: "Run a development cluster in this process: real raft and real sockets on loopback, but one process and one disk.",
	}
	nodes := cmd.Flags().Int("nodes", 3, "number of nodes, 1 to 7")
	data := cmd.Flags().String("data", "", "`directory` that keeps the state; default: a temporary one, removed at the end")
	port := cmd.Flags().Int("port", 7171, "API port of the first node; the others follow")
	logStore := cmd.Flags().String("log-store", defaultLogStore, "where the log lies: raft-wal or raft-boltdb")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *nodes < 1 || *nodes > 7 {
			return usagef("--nodes %d: want 1 to 7", *nodes)
		}
		if *port < 1 || *port+devRaftOffset+*nodes > 65535 {
			return usagef("--port %d: want a port from 1 to %d", *port, 65535-devRaftOffset-*nodes)
		}
		if err := checkLogStore(*logStore); err != nil {
			return err
		}
		return runDev(cmd, a, devOptions{*nodes, *data, *port, *logStore})
	}
	return cmd
}

type devOptions struct {
	nodes    int
	data     string
	port     int
	logStore string
}

func runDev(cmd *cobra.Command, a *app, o devOptions) error {
	kept := o.data != ""
	if !kept {
		dir, err := os.MkdirTemp("", "fairlane-dev-")
		if err != nil {
			return err
		}
		remove := func() { os.RemoveAll(dir) }
		defer remove()
		defer a.onAbort(remove)()
		o.data = dir
	}
	life, ctx := errgroup.WithContext(cmd.Context())
	var nodes []*node
	for i := range o.nodes {
		n, err := openNode(o.node(a, i, nodes))
		if err != nil {
			life.Go(func() error { return fmt.Errorf("node n%d: %w", i+1, err) })
			break
		}
		nodes = append(nodes, n)
		life.Go(func() error { return n.run(ctx) })
	}
	life.Go(func() error {
		if len(nodes) < o.nodes || waitWhole(ctx, nodes) != nil {
			return nil // whoever failed says why
		}
		_, err := fmt.Fprint(a.out, devBanner(o, kept, nodes))
		return err
	})
	return life.Wait()
}

// waitWhole waits until there is a leader and every node is a voter.
func waitWhole(ctx context.Context, nodes []*node) error {
	if err := nodes[0].cluster.WaitLeader(ctx); err != nil {
		return err
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		voters := 0
		for _, m := range nodes[0].cluster.Status().Members {
			if m.Voter {
				voters++
			}
		}
		if voters == len(nodes) {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o devOptions) node(a *app, i int, before []*node) nodeOptions {
	local := func(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
	n := nodeOptions{
		data:      filepath.Join(o.data, "n"+strconv.Itoa(i+1)),
		api:       address{flag: "port", listen: local(o.port + i)},
		raft:      address{flag: "port", listen: local(o.port + devRaftOffset + i)},
		bootstrap: i == 0,
		logStore:  o.logStore,
		logger:    hclog.New(&hclog.LoggerOptions{Name: "n" + strconv.Itoa(i+1), Level: hclog.Error, Output: a.err}),
		onFatal:   a.fatal,
	}
	n.machine.Timing.PromoteAfter = 300 * time.Millisecond // one process and one disk: nothing to wait and see
	if i > 0 {
		n.join = []string{before[0].api}
	}
	return n
}

// devBanner says what runs and what to do with it; every line of it is true of this version.
func devBanner(o devOptions, kept bool, nodes []*node) string {
	state := "in " + o.data
	if !kept {
		state = "in a temporary directory that goes with it; --data DIR keeps it"
	}
	leader, _, _ := nodes[0].cluster.Leader()
	var list []string
	for i, n := range nodes {
		text := fmt.Sprintf("n%d %s", i+1, n.api)
		if n.cluster.ID() == leader {
			text += " leader"
		}
		list = append(list, text)
	}
	return fmt.Sprintf(`Fairlane dev cluster: %d nodes in one process, not for production
State is %s

  API         http://%s            Connect, gRPC, JSON
  Health      http://%s/readyz
  Nodes       %s

  Next:       fairlane enqueue hello '{"name":"world"}' --user ana
              fairlane work -- sh -c 'cat; sleep 1'
              fairlane job list
`, o.nodes, state, nodes[0].api, nodes[0].api, strings.Join(list, ", "))
}
