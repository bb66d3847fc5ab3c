package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
)

// full turns on the long forms that `make e2e` runs. The short ones are part of `make test`.
var full = flag.Bool("chaos.full", false, "run the long forms: 20,000 jobs and 20 leader kills on each log store, 1,000 rounds of bursts")

// seedFlag repeats a run's choices. It does not repeat its timing: these are real processes.
var seedFlag = flag.Uint64("chaos.seed", 0, "seed of the random choices; 0 draws one")

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for processes more than they compute: more of them at once than there are cores.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	code := m.Run()
	harness.RemoveBinary()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines were left:", err)
			code = 1
		}
	}
	os.Exit(code)
}
