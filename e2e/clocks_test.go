package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// clocks are the files from which nodes take how wrong their wall clocks are.
type clocks struct {
	dir string
}

// apart is how far the nodes' wall clocks are from each other.
const apart = 3 * time.Second

func newClocks(dir string) *clocks { return &clocks{dir: dir} }

func (c *clocks) file(node int) string { return filepath.Join(c.dir, fmt.Sprintf("clock%d", node)) }

// env gives the node its file, which says at first that every second node is ahead.
func (c *clocks) env(node int) []string {
	if err := c.set(node, time.Duration(node%2)*apart); err != nil {
		panic(err)
	}
	return []string{"FAIRLANE_CLOCK_FILE=" + c.file(node)}
}

// set writes whole files only: a node never reads half of one.
func (c *clocks) set(node int, offset time.Duration) error {
	temporary := c.file(node) + ".new"
	if err := os.WriteFile(temporary, fmt.Appendf(nil, "%d 1\n", offset.Milliseconds()), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, c.file(node))
}

// strobe makes one clock after the other jump by 3 s, forth or back, until all work is done.
func (c *clocks) strobe(ctx context.Context, rng *rand.Rand, done *atomic.Bool) error {
	for !done.Load() {
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		if err := c.set(rng.IntN(3), time.Duration(rng.IntN(2))*apart); err != nil {
			return err
		}
	}
	return nil
}
