package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/demo"
)

// demoFiles is as many as take well under a minute on two cores, kills included.
const demoFiles = 10000

func newDemoCmd(a *app) *cobra.Command {
	o := demo.Options{Out: a.out, OnAbort: a.onAbort}
	cmd := &cobra.Command{
		Use: "demo", Short: "The main job on real input, the leader killed twice, every promise checked", Args: cobra.NoArgs,
		Long: `Start three servers and two workers as processes of their own, let three users have files hashed (SHA-256), of whom one
floods, kill the leader with SIGKILL while it runs, and check every promise in the end. The exit code is 1 when one broke.`,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "dir", "", "`directory` whose files are hashed; default: the sources of the Go distribution")
	flags.IntVar(&o.Files, "files", demoFiles, "most files to hash; 0: all")
	flags.IntVar(&o.Kills, "kills", 2, "how often the leader is killed")
	flags.Int64Var(&o.Seed, "seed", 1, "which files, whose they are, and when the leader is killed")
	flags.StringVar(&o.LogStore, "log-store", defaultLogStore, "where the log lies: raft-wal or raft-boltdb")
	flags.BoolVar(&o.Keep, "keep", false, "leave the nodes' states and the logs behind")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.Files < 0 || o.Kills < 0 {
			return usagef("--files and --kills cannot be negative")
		}
		if err := checkLogStore(o.LogStore); err != nil {
			return err
		}
		var err error
		if o.Dir == "" {
			if o.Dir, err = goSources(); err != nil {
				return err
			}
		}
		if o.Dir, err = filepath.Abs(o.Dir); err != nil {
			return err
		}
		if o.Binary, err = os.Executable(); err != nil {
			return err
		}
		o.Terminal = isTerminal(os.Stdout) && a.out == os.Stdout
		return demo.Run(cmd.Context(), o)
	}
	return cmd
}

// goSources asks the Go distribution, which whoever built this has, where its sources are.
func goSources() (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", usagef("go env GOROOT: %v; name a directory with --dir", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src"), nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return false
	}
	null, err := os.Stat(os.DevNull) // a character device where nobody sits
	return err != nil || !os.SameFile(info, null)
}

// newDemoWorkerCmd is the demonstration's worker; it is started by the verb demo and speaks to it on its standard output.
func newDemoWorkerCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "demo-worker", Hidden: true, Args: cobra.NoArgs}
	var lanes, capacity string
	laneFlags(cmd, &lanes, &capacity)
	name := cmd.Flags().String("worker-name", "", "")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		text, err := a.lanesOf(cmd, lanes, capacity)
		if err != nil {
			return err
		}
		return demo.ServeHash(cmd.Context(), a.endpoints, *name, text, demo.NewReporter(a.out))
	}
	return cmd
}
