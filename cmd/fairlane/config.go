package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cluster/certs"
	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/config"
	"github.com/fairlane-scheduler/fairlane/scheduler"
)

func newConfigCmd(a *app) *cobra.Command {
	group := &cobra.Command{Use: "config", Short: "See where settings come from, and check a configuration file"}
	group.AddCommand(newConfigShowCmd(a), newConfigValidateCmd(a))
	return group
}

// workerSettings have a rule of their own when they are used (lanes and capacity exclude each other), so they are not in settings.
var workerSettings = []config.Setting{
	{Flag: "lanes", Env: "FAIRLANE_LANES", Key: "worker.lanes"},
	{Flag: "capacity", Env: "FAIRLANE_CAPACITY", Key: "worker.capacity"},
	{Flag: "worker-name", Env: "FAIRLANE_WORKER_NAME", Key: "worker.name"},
}

func newConfigShowCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Short: "The settings as a node, a worker and the verbs would take them from here", Args: cobra.NoArgs,
		Long: `The settings as they would be taken here and now: from flags, which this verb takes like server, else from FAIRLANE_* variables, else from the
file of --config, else the defaults. Nothing is opened and no node is asked. Files are named, never read.`,
		Example: "  fairlane config show --origin -c /etc/fairlane/fairlane.toml",
	}
	cmd.Flags().AddFlagSet(serverCmd(a, &serverFlags{}).Flags())
	cmd.Flags().String("lanes", config.DefaultLanes, "of a worker")
	cmd.Flags().String("capacity", "", "of a worker")
	cmd.Flags().String("worker-name", "", "of a worker; default: host and process")
	origin := cmd.Flags().Bool("origin", false, "say where each value comes from")
	var found []config.Resolved
	// Who gave a value is only to be seen before it is put in its flag.
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		file, err := a.file()
		if err != nil {
			return err
		}
		all := append(append([]config.Setting{}, settings[:len(settings)-1]...), workerSettings...)
		found = config.Resolve(cmd.Flags(), all, a.env, file)
		return a.fill(cmd, file)
	}
	cmd.RunE = func(*cobra.Command, []string) error {
		return a.printJSON(shownSettings(found), func(w io.Writer) {
			head := []any{"SETTING", "VALUE"}
			if *origin {
				head = append(head, "ORIGIN")
			}
			row(w, head...)
			for _, r := range found {
				cells := []any{r.Key, r.Value}
				if *origin {
					cells = append(cells, r.Origin)
				}
				row(w, cells...)
			}
		})
	}
	return cmd
}

type shownSetting struct {
	Key      string `json:"key"`
	Value    string `json:"value"`
	Origin   string `json:"origin"`
	Flag     string `json:"flag"`
	Variable string `json:"variable"`
}

func shownSettings(found []config.Resolved) []shownSetting {
	out := make([]shownSetting, 0, len(found))
	for _, r := range found {
		out = append(out, shownSetting{r.Key, r.Value, r.Origin, "--" + r.Flag, r.Env})
	}
	return out
}

func newConfigValidateCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE", Short: "Check a configuration file; exit code 2 when a node or a worker would refuse it", Args: cobra.ExactArgs(1),
		Long: `Reads the file as server and work do, and refuses what they would refuse before they open anything: unknown keys, values of the wrong kind,
addresses, sizes, levels and lanes that cannot be. Variables and other files do not count, and nothing is opened.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := validateFile(a, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.out, "%s is valid\n", args[0])
			return err
		},
	}
}

// validateFile gives all that is wrong at once, except that an unreadable file hides the rest.
func validateFile(a *app, path string) error {
	file, err := config.ReadFile(path)
	if err != nil {
		return err
	}
	none := func(string) (string, bool) { return "", false }
	var f serverFlags
	scratch := newApp(a.in, a.out, a.err, a.env) // the flags of all verbs write here
	server := serverCmd(scratch, &f)
	root := newRoot(scratch)
	server.Flags().AddFlagSet(root.PersistentFlags())
	var problems []error
	for _, s := range settings {
		problems = append(problems, config.Apply(server.Flags(), []config.Setting{s}, none, file))
	}
	if scratch.output != outputTable && scratch.output != outputJSON {
		problems = append(problems, usagef("client.output %q: want table or json", scratch.output))
	}
	if scratch.tls.CA != "" && scratch.tls.Cert != "" && scratch.tls.Key != "" {
		// There will be TLS. The files may be elsewhere: they are not what is looked at here. It does not protect gossip.
		machine := f.options.machine
		problems = append(problems, completeGossip(&machine, address{"raft", f.raft, "raft-advertise", f.raftAdvertise}, f.insecure))
		scratch.tls, f.insecure = certs.Files{}, true
	}
	if hasTable(file, "node") && errors.Join(problems...) == nil {
		_, err := f.complete(scratch)
		problems = append(problems, err)
	}
	lanes, err := config.Lanes(config.LaneSources{Env: none, File: file})
	if err == nil {
		_, _, err = scheduler.ParseLanes(lanes)
	}
	if problems = append(problems, err); errors.Join(problems...) != nil {
		return usagef("%s: %w", path, errors.Join(problems...))
	}
	return nil
}

// hasTable tells whether the file has a value in a table: a file for callers alone needs no data directory.
func hasTable(file *config.File, table string) bool {
	for _, key := range config.Keys() {
		if _, ok := file.Value(key); ok && strings.HasPrefix(key, table+".") {
			return true
		}
	}
	return false
}
