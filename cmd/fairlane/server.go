package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cluster"
)

type serverFlags struct {
	options       nodeOptions
	listen, raft  string
	advertise     string
	raftAdvertise string
	insecure      bool
	logLevel      string
	readyFile     string

	diskLowWater, diskReserve string
	operatorListen            string
}

func newServerCmd(a *app) *cobra.Command { return serverCmd(a, &serverFlags{}) }

// serverCmd puts the values of its flags into f.
func serverCmd(a *app, f *serverFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "server", Short: "Run a node of the cluster", Args: cobra.NoArgs,
		Long: `Run a node of the cluster. Three nodes that are started together take --bootstrap-expect 3 and --join; or the first one takes
--bootstrap, and each further one --join. All of it may stay in place for later starts. With --tls-ca, --tls-cert and --tls-key both
ports speak TLS only. SIGHUP reads certificates and gossip keys again. SIGTERM hands leadership over, answers what waits, closes the stores and ends; a second one ends
at once. A node that must not go on (a log it does not understand) ends with exit code 70. One that ended by itself and may be started again (a
disk that hung or was full, a leadership without effect) ends with exit code 75.`,
		Example: `  fairlane server --data /var/lib/fairlane --bootstrap
  fairlane server --data /var/lib/fairlane --listen 10.0.0.12:7171 --raft 10.0.0.12:7172 --join 10.0.0.11:7171 --insecure-listen`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServer(cmd, a, *f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.options.data, "data", "", "`directory` of the node's state; required")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:7171", "`address` of the API; port 0 takes a free one")
	flags.StringVar(&f.advertise, "advertise", "", "`address` at which others reach the API; default: where it listens")
	flags.StringVar(&f.raft, "raft", "127.0.0.1:7172", "`address` for the other nodes, for raft and calls; port 0 takes a free one")
	flags.StringVar(&f.raftAdvertise, "raft-advertise", "", "`address` at which others reach raft; default: where it listens")
	flags.BoolVar(&f.options.bootstrap, "bootstrap", false, "begin a new cluster of which this is the first node")
	flags.StringSliceVar(&f.options.join, "join", nil, "API `addresses` of nodes of the cluster to join")
	flags.StringVar(&f.options.logStore, "log-store", defaultLogStore, "where the log lies: raft-wal or raft-boltdb")
	flags.BoolVar(&f.insecure, "insecure-listen", false, "listen on other than loopback addresses without TLS")
	flags.StringVar(&f.logLevel, "log-level", "warn", "trace, debug, info, warn or error")
	m := &f.options.machine
	flags.StringVar(&m.ClusterName, "cluster-name", "fairlane", "`name` that keeps clusters on one network apart; it never changes")
	flags.IntVar(&m.BootstrapExpect, "bootstrap-expect", 0, "begin a new cluster together with others, `N` fresh nodes in all")
	flags.DurationVar(&m.Timing.PromoteAfter, "promote-after", m.Timing.PromoteAfter, "how long a node that joins must be healthy before it votes; 0: 10s")
	flags.DurationVar(&m.Timing.DeadAfter, "dead-after", m.Timing.DeadAfter, "without a sign of life so long a voter is dead, and is removed when a successor votes; 0: 1m")
	flags.BoolVar(&m.Rejoin, "rejoin", false, "this node was removed: set its data aside and begin anew")
	flags.StringVar(&m.Gossip.Listen, "gossip", "", "`address` for gossip, UDP and TCP; off: none; default: the host of --raft, and the port after its port")
	flags.StringVar(&m.Gossip.Advertise, "gossip-advertise", "", "`address` at which others reach gossip; default: where it listens")
	flags.StringVar(&m.Gossip.KeyFile, "gossip-keys", "", "`file` of keys for gossip, one on a line, the first one encrypts")
	flags.StringVar(&m.Backup.Dir, "backup-dir", "", "`directory` for archives that this node writes by itself; none: it writes none")
	flags.DurationVar(&m.Backup.Every, "backup-every", 0, "how often; 0: 1h")
	flags.IntVar(&m.Backup.Keep, "backup-keep", 0, "how many of them are kept; 0: 24")
	flags.StringVar(&f.diskLowWater, "disk-low-water", "256MiB", "free `room` below which this node does not lead")
	flags.StringVar(&f.diskReserve, "disk-reserve", "64MiB", "`size` of a file that is given up when the disk is full")
	flags.StringVar(&f.operatorListen, "operator-listen", "", "loopback `address` or unix:PATH for profiles and the log level; none: off")
	flags.StringVar(&f.readyFile, "ready-file", "", "`file` to write the listening line to")
	return cmd
}

// defaultLogStore is the one that faults and figures earned: see docs/decisions.
const defaultLogStore = "raft-wal"

// complete checks the flags together and makes the node's options of them.
func (f serverFlags) complete(a *app) (nodeOptions, error) {
	o := f.options
	o.api = address{"listen", f.listen, "advertise", f.advertise}
	o.raft = address{"raft", f.raft, "raft-advertise", f.raftAdvertise}
	var problems []error
	if o.data == "" {
		problems = append(problems, usagef("--data is not set: name the directory of this node's state"))
	}
	bundle, err := a.loadCerts(o.machine.ClusterName)
	o.machine.Certs = bundle
	open := f.insecure || bundle != nil
	problems = append(problems, err, o.api.check(open), o.raft.check(open), checkLogStore(o.logStore))
	for flag, field := range map[string]*uint64{"disk-low-water": &o.machine.Disk.LowWater, "disk-reserve": &o.machine.Disk.Reserve} {
		text := f.diskLowWater
		if flag == "disk-reserve" {
			text = f.diskReserve
		}
		size, err := parseSize(flag, text)
		*field = size
		problems = append(problems, err)
	}
	level := hclog.LevelFromString(f.logLevel)
	if level == hclog.NoLevel {
		problems = append(problems, usagef("--log-level %q: want trace, debug, info, warn or error", f.logLevel))
	}
	problems = append(problems, checkOperatorListen(f.operatorListen), completeGossip(&o.machine, o.raft, f.insecure), checkForming(o))
	o.logger = hclog.New(&hclog.LoggerOptions{Name: "fairlane", Level: level, Output: a.err})
	o.onFatal = a.fatal
	return o, errors.Join(problems...)
}

func checkLogStore(name string) error {
	if name != "raft-wal" && name != "raft-boltdb" {
		return usagef("--log-store %q: want raft-wal or raft-boltdb", name)
	}
	return nil
}

func runServer(cmd *cobra.Command, a *app, f serverFlags) error {
	o, err := f.complete(a)
	if err != nil {
		return err
	}
	operator, err := openOperator(f.operatorListen, o.logger)
	if err != nil {
		return err
	}
	defer operator.close()
	keepHeapFloor()
	n, err := openNode(o)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("listening api=%s raft=%s\n", n.api, n.raft)
	if f.readyFile != "" {
		if err := writeReadyFile(f.readyFile, line); err != nil {
			n.listener.Close()
			return errors.Join(err, n.cluster.Shutdown(cmd.Context()))
		}
	}
	fmt.Fprint(a.out, line)
	return n.run(cmd.Context())
}

// fatal ends the process of a node that must not run any longer. It does not return: whoever calls it relies on that.
func (a *app) fatal(err error) {
	fmt.Fprintf(a.err, "fairlane: this node cannot go on: %v\n", err)
	os.Exit(cluster.ExitCode(err))
}
