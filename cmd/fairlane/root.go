package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
)

// settings are the flags whose values may also come from a variable or from the file. Variables that a job's command
// finds in its environment (FAIRLANE_USER, FAIRLANE_QUEUE and their like, see docs/cli.md) are never settings: a command
// that enqueues more jobs would inherit them unseen.
var settings = []config.Setting{
	{Flag: "output", Env: "FAIRLANE_OUTPUT", Key: "client.output"},
	{Flag: "endpoints", Env: "FAIRLANE_ENDPOINTS", Key: "client.endpoints"},
	{Flag: "timeout", Env: "FAIRLANE_TIMEOUT", Key: "client.timeout"},
	{Flag: "data", Env: "FAIRLANE_DATA", Key: "node.data"},
	{Flag: "listen", Env: "FAIRLANE_LISTEN", Key: "node.listen"},
	{Flag: "advertise", Env: "FAIRLANE_ADVERTISE", Key: "node.advertise"},
	{Flag: "raft", Env: "FAIRLANE_RAFT", Key: "node.raft"},
	{Flag: "raft-advertise", Env: "FAIRLANE_RAFT_ADVERTISE", Key: "node.raft_advertise"},
	{Flag: "bootstrap", Env: "FAIRLANE_BOOTSTRAP", Key: "node.bootstrap"},
	{Flag: "join", Env: "FAIRLANE_JOIN", Key: "node.join"},
	{Flag: "log-store", Env: "FAIRLANE_LOG_STORE", Key: "node.log_store"},
	{Flag: "insecure-listen", Env: "FAIRLANE_INSECURE_LISTEN", Key: "node.insecure_listen"},
	{Flag: "cluster-name", Env: "FAIRLANE_CLUSTER_NAME", Key: "node.cluster_name"},
	{Flag: "bootstrap-expect", Env: "FAIRLANE_BOOTSTRAP_EXPECT", Key: "node.bootstrap_expect"},
	{Flag: "promote-after", Env: "FAIRLANE_PROMOTE_AFTER", Key: "node.promote_after"},
	{Flag: "dead-after", Env: "FAIRLANE_DEAD_AFTER", Key: "node.dead_after"},
	{Flag: "disk-low-water", Env: "FAIRLANE_DISK_LOW_WATER", Key: "node.disk_low_water"},
	{Flag: "disk-reserve", Env: "FAIRLANE_DISK_RESERVE", Key: "node.disk_reserve"},
	{Flag: "operator-listen", Env: "FAIRLANE_OPERATOR_LISTEN", Key: "node.operator_listen"},
	{Flag: "tls-ca", Env: "FAIRLANE_TLS_CA", Key: "tls.ca"},
	{Flag: "tls-cert", Env: "FAIRLANE_TLS_CERT", Key: "tls.cert"},
	{Flag: "tls-key", Env: "FAIRLANE_TLS_KEY", Key: "tls.key"},
	{Flag: "gossip", Env: "FAIRLANE_GOSSIP", Key: "gossip.listen"},
	{Flag: "gossip-advertise", Env: "FAIRLANE_GOSSIP_ADVERTISE", Key: "gossip.advertise"},
	{Flag: "gossip-keys", Env: "FAIRLANE_GOSSIP_KEYS", Key: "gossip.keys"},
	{Flag: "backup-dir", Env: "FAIRLANE_BACKUP_DIR", Key: "backup.dir"},
	{Flag: "backup-every", Env: "FAIRLANE_BACKUP_EVERY", Key: "backup.every"},
	{Flag: "backup-keep", Env: "FAIRLANE_BACKUP_KEEP", Key: "backup.keep"},
	{Flag: "log-level", Env: "FAIRLANE_LOG_LEVEL", Key: "log.level"},
	{Flag: "worker-name", Env: "FAIRLANE_WORKER_NAME", Key: "worker.name"},
}

// otherSpellings of flags.
var otherSpellings = map[string]string{"workloops": "lanes", "endpoint": "endpoints", "raft-listen": "raft"}

// newRoot builds the tree of verbs. Building it anew for every run keeps tests apart.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "fairlane",
		Short: "A job scheduler cluster in one binary",
		Long: `Fairlane hands jobs to workers: each once, under hard caps, in a fair order between users.

A setting is taken from its flag, else from its FAIRLANE_* variable, else from the file given by --config, else it has
its default. Exit codes: 0 ok, 1 failed, 2 usage, 3 the cluster cannot be reached or has no leader.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&a.output, "output", "o", outputTable, "`format` of the output: table or json")
	flags.StringSliceVarP(&a.endpoints, "endpoints", "e", []string{"127.0.0.1:7171"}, "`addresses` of nodes, any number of them")
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long to try to reach the cluster")
	flags.StringVarP(&a.configPath, "config", "c", "", "configuration `file` (TOML); variable FAIRLANE_CONFIG")
	flags.StringVar(&a.tls.CA, "tls-ca", "", "`file` of the authority that certificates are checked with (PEM); turns TLS on")
	flags.StringVar(&a.tls.Cert, "tls-cert", "", "`file` of the certificate to show (PEM)")
	flags.StringVar(&a.tls.Key, "tls-key", "", "`file` of its key (PEM)")
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if same, ok := otherSpellings[name]; ok {
			name = same
		}
		return pflag.NormalizedName(name)
	})
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	root.AddCommand(
		newServerCmd(a), newDevCmd(a), newDemoCmd(a), newDemoWorkerCmd(a),
		newEnqueueCmd(a), newWorkCmd(a),
		newJobCmd(a), newQueueCmd(a), newScheduleCmd(a), newCoordinatorCmd(a), newWorkerCmd(a), newEventsCmd(a), newLogCmd(a), newClusterCmd(a),
		newSnapshotCmd(a), newOfflineCmd(a), newCheckCmd(a), newDebugCmd(a), newConfigCmd(a), newTLSCmd(a), newGossipCmd(a),
		newTraceCmd(a), newSimulateCmd(a), newBenchCmd(a), newVersionCmd(a),
	)
	finish(root)
	return root
}

// prepare fills in the settings that the command line left out and checks what all verbs share.
func (a *app) prepare(cmd *cobra.Command) error {
	file, err := a.file()
	if err != nil {
		return err
	}
	if err := a.fill(cmd, file); err != nil {
		return err
	}
	return a.openHTTP()
}

// fill in the settings alone: nothing is opened.
func (a *app) fill(cmd *cobra.Command, file *config.File) error {
	if err := config.Apply(cmd.Flags(), settings, a.env, file); err != nil {
		return err
	}
	if a.output != outputTable && a.output != outputJSON && (a.output != outputTOML || cmd.Annotations[outputTOML] == "") {
		err := usagef("--output %q: want table or json", a.output)
		if a.output == outputTOML {
			err = usagef("--output toml: only schedule get and schedule list have it; want table or json")
		}
		a.output = outputTable
		return err
	}
	return nil
}

// file reads the configuration file that the flag or its variable names; nil when neither does.
func (a *app) file() (*config.File, error) {
	path := a.configPath
	if path == "" {
		path, _ = a.env("FAIRLANE_CONFIG")
	}
	if path == "" {
		return nil, nil
	}
	return config.ReadFile(path)
}

// finish gives every verb the same treatment of a wrong command line: a group without a known verb and a wrong number of
// arguments are usage errors, never help with exit code 0.
func finish(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(c *cobra.Command, given []string) error {
			if err := args(c, given); err != nil {
				return usagef("%s: %w; usage: %s", c.CommandPath(), err, c.UseLine())
			}
			return nil
		}
	}
	if cmd.HasSubCommands() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(c *cobra.Command, given []string) error { return unknownVerb(c, given) }
	}
	for _, sub := range cmd.Commands() {
		finish(sub)
	}
}

func unknownVerb(c *cobra.Command, given []string) error {
	if len(given) == 0 {
		if err := c.Help(); err != nil {
			return err
		}
		return &exitError{code: exitUsage}
	}
	var known []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	hint := ""
	if near, ok := config.Nearest(given[0], known); ok {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return usagef("unknown verb %q for %q%s (known: %s)", given[0], c.CommandPath(), hint, strings.Join(known, ", "))
}

// skipLeadingDashes drops a "--" between the verb work and its flags, which npm and its like leave there. The one that
// separates the command stays: no program's name begins with a dash.
func skipLeadingDashes(args []string) []string {
	if len(args) > 2 && args[0] == "work" && args[1] == "--" && strings.HasPrefix(args[2], "--") {
		return append([]string{"work"}, args[2:]...)
	}
	return args
}
