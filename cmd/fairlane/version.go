package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version of the next release; the revision that a binary was built from stands beside it.
const version = "0.1.0-dev"

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "The version of this binary", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.output == outputJSON {
				text, err := json.MarshalIndent(map[string]string{
					"version": version, "revision": revision(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				}, "", "  ")
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "%s\n", text)
				return err
			}
			_, err := fmt.Fprintf(a.out, "fairlane %s %s %s/%s %s\n", version, revision(), runtime.GOOS, runtime.GOARCH, runtime.Version())
			return err
		},
	}
}

// revision is the commit that the build recorded, or "unknown" when it recorded none.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	found, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			found = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+changes"
			}
		}
	}
	return found + dirty
}
