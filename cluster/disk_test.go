package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

func testDisk(t *testing.T, limits DiskConfig) *disk {
	return newDisk(Config{DataDir: t.TempDir(), Disk: limits, Logger: hclog.NewNullLogger()})
}

func TestDiskMeasuresWrites(t *testing.T) {
	d := testDisk(t, DiskConfig{})
	if s := d.status(); s != (DiskStatus{}) {
		t.Errorf("before any write: %+v", s)
	}
	for i := range 2 * writesKept { // only the second half counts for the quantiles
		took := time.Hour
		if i >= writesKept {
			took = time.Duration(i-writesKept+1) * time.Millisecond
		}
		d.wrote(took)
	}
	s := d.status()
	if s.Writes != 2*writesKept || s.P50 != 512*time.Millisecond || s.P99 != 1013*time.Millisecond || s.Max != 1024*time.Millisecond {
		t.Errorf("%+v", s)
	}
	n := &Node{disk: d}
	stats := n.WriteStats()
	if last := stats.Counts[len(stats.Bounds)]; last != writesKept || stats.Counts[3] != 1 {
		t.Errorf("%d writes above the last bound and %d of 1 ms, want %d and 1", last, stats.Counts[3], writesKept)
	}
}

// Below the low water a node does not lead, with the numbers in the reason; it may again when a quarter more is free.
func TestLowWater(t *testing.T) {
	d := testDisk(t, DiskConfig{})
	free, _, ok := hookRoom(d.dir)
	if !ok {
		t.Skip("the room of a disk is not known on this system")
	}
	d.limits.LowWater = free / 2
	if why := d.look(); why != "" {
		t.Errorf("with twice the low water: %q", why)
	}
	d.limits.LowWater = 2 * free
	if why := d.look(); !strings.Contains(why, inBytes(d.limits.LowWater)) || !strings.Contains(why, d.dir) {
		t.Errorf("below the low water: %q", why)
	}
	d.limits.LowWater = free / 10 * 9
	if why := d.look(); why == "" {
		t.Error("a little above the low water it leads at once")
	}
	d.limits.LowWater = free / 2
	if why := d.look(); why != "" {
		t.Errorf("well above the low water: %q", why)
	}
}

func TestReserve(t *testing.T) {
	const size = 1 << 20
	full := fmt.Errorf("open: %w", syscall.ENOSPC)
	d := testDisk(t, DiskConfig{LowWater: 1, Reserve: size})
	path := filepath.Join(d.dir, reserveFile)
	d.keepReserve()
	info, err := os.Stat(path)
	if err != nil || info.Size() != size {
		t.Fatal(info, err)
	}
	if blocks := info.Sys().(*syscall.Stat_t).Blocks * 512; blocks < size {
		t.Errorf("the reserve of %d bytes holds %d on the disk", size, blocks)
	}
	attempts := 0
	if _, err := d.openWithReserve(func() (*stores, error) {
		if attempts++; attempts == 1 {
			return nil, full
		}
		return &stores{}, nil
	}); err != nil || attempts != 2 || !d.hasGivenUp() {
		t.Errorf("%v after %d attempts, given up: %v", err, attempts, d.hasGivenUp())
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the reserve is still there")
	}
	var again *RestartError
	if _, err := d.openWithReserve(func() (*stores, error) { return nil, full }); !errors.As(err, &again) || !strings.Contains(err.Error(), "free") {
		t.Errorf("a disk that stays full: %v", err)
	}
	d.keepReserve()
	if d.hasGivenUp() {
		t.Error("the reserve was not made anew")
	}
	if err := d.broken("a write of the log", full); ExitCode(err) != exitRestart || !strings.Contains(err.Error(), "bytes") || !d.hasGivenUp() {
		t.Errorf("a failed write: %v", err)
	}
	d.limits.LowWater = 1 << 62
	if d.keepReserve(); !d.hasGivenUp() {
		t.Error("the reserve was made though there is no room")
	}
}
