//go:build failpoint

package cluster

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// The third committed batch with an enqueue kills the process before its caller is answered.
func TestFailpointKillsBeforeTheAnswer(t *testing.T) {
	if os.Getenv("FAIRLANE_FAILPOINT") != "" {
		w := newWorld(t, StoreWAL, 1, nil)
		for range 3 {
			w.propose(w.nodes[0], checkpoint())
			w.propose(w.nodes[0], enqueue(1))
			os.Stdout.WriteString("!")
		}
		return
	}
	child := exec.Command(os.Args[0], "-test.run", "^TestFailpointKillsBeforeTheAnswer$")
	child.Env = append(os.Environ(), "FAIRLANE_FAILPOINT=after_commit:Enqueue:3")
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL || bytes.Count(out, []byte("!")) != 2 {
		t.Errorf("ended with %v after %q", err, out)
	}
}

func TestClockFileShiftsTheWallClock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	t.Setenv("FAIRLANE_CLOCK_FILE", path)
	if err := os.WriteFile(path, []byte("-3000 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shifted, system := newClock().WallMillis(), systemClock{}.WallMillis()
	if off := system - shifted; off < 2900 || off > 3100 {
		t.Errorf("the clock is %d ms behind, want 3000", off)
	}
	if holds(&logv1.Batch{Commands: []*logv1.Command{enqueue(1)}}, "Claim") {
		t.Error("an enqueue is taken for a claim")
	}
}
