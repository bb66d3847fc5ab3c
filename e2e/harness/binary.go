package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// Binary builds ./cmd/fairlane once for each test process and gives its path. FAIRLANE_E2E_BINARY names one that is
// there already; it must have been built with -tags failpoint.
func Binary() (string, error) {
	built.once.Do(func() {
		if given := os.Getenv("FAIRLANE_E2E_BINARY"); given != "" {
			built.path, built.err = filepath.Abs(given)
			return
		}
		built.dir, built.err = os.MkdirTemp("", "fairlane-e2e-bin-")
		if built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "fairlane")
		build := exec.Command("go", "build", "-tags", "failpoint", "-o", built.path,
			"github.com/fairlane-scheduler/fairlane/cmd/fairlane")
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build the binary: %w\n%s", err, out)
		}
	})
	return built.path, built.err
}

// RemoveBinary removes what Binary built. TestMain calls it last.
func RemoveBinary() {
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
}
