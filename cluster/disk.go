package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// writesKept are the newest writes of the log of which DiskStatus tells.
	writesKept = 1024
	// lowWaterSlack times the low water must be free again before a node leads as before: room that comes and goes must not move the leadership.
	lowWaterSlack = 1.25
	// reserveFile lies in the data directory.
	reserveFile = "reserve"
)

// writeBounds of the histogram of the writes, inclusive. What took longer is in one more bucket.
var writeBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// disk measures the writes of the log and the room of the data directory, and keeps the reserve.
type disk struct {
	dir    string
	limits DiskConfig
	log    hclog.Logger

	mu      sync.Mutex
	newest  []time.Duration // a ring
	next    int
	buckets [len(writeBounds) + 1]uint64
	sum     time.Duration
	writes  int64

	free, of uint64 // as of the last look
	known    bool
	low      bool
	gaveUp   bool // the reserve, since the process started
	warned   bool // that the reserve cannot be made
}

func newDisk(c Config) *disk {
	return &disk{dir: c.DataDir, limits: c.Disk, log: c.Logger.Named("disk")}
}

// wrote one write of the log that took so long, fsync included.
func (d *disk) wrote(took time.Duration) {
	bucket, _ := slices.BinarySearch(writeBounds[:], took)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.buckets[bucket]++
	d.sum += took
	d.writes++
	if len(d.newest) < writesKept {
		d.newest = append(d.newest, took)
		return
	}
	d.newest[d.next] = took
	d.next = (d.next + 1) % writesKept
}

func (d *disk) status() DiskStatus {
	d.mu.Lock()
	s := DiskStatus{Writes: d.writes, FreeBytes: d.free, OfBytes: d.of}
	sorted := slices.Clone(d.newest)
	d.mu.Unlock()
	if n := len(sorted); n > 0 {
		slices.Sort(sorted)
		s.P50, s.P99, s.Max = sorted[(n-1)*50/100], sorted[(n-1)*99/100], sorted[n-1]
	}
	return s
}

// WriteStats are the writes of the log since this process started.
type WriteStats struct {
	// Bounds of the buckets, and how many writes took at most so long and longer than the bound before; the last of Counts has no bound.
	Bounds []time.Duration
	Counts []uint64
	Sum    time.Duration
}

// WriteStats of this node's log.
func (n *Node) WriteStats() WriteStats {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	return WriteStats{Bounds: writeBounds[:], Counts: slices.Clone(d.buckets[:]), Sum: d.sum}
}

// look at the room that is left. It says why the node should not lead; empty: nothing keeps it.
func (d *disk) look() string {
	free, of, ok := hookRoom(d.dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free, d.of, d.known = free, of, ok
	low := d.limits.LowWater
	if d.low {
		low = uint64(float64(low) * lowWaterSlack)
	}
	d.low = ok && free < low
	if !d.low {
		return ""
	}
	return fmt.Sprintf("%s has %s free of %s, and a leader needs %s: make room on that disk", d.dir, inBytes(free), inBytes(of), inBytes(low))
}

// room in words, as it is now.
func (d *disk) room() string {
	free, of, ok := hookRoom(d.dir)
	if !ok {
		return "the room on its disk is not known"
	}
	return fmt.Sprintf("%d bytes (%s) of %s are free in %s", free, inBytes(free), inBytes(of), d.dir)
}

// broken explains a failed write, and gives up the reserve when the disk is full, so that the next start has room to compact the log.
func (d *disk) broken(doing string, cause error) error {
	err := fmt.Errorf("%s failed: %w; %s", doing, cause, d.room())
	if errors.Is(cause, syscall.ENOSPC) && d.giveUpReserve() {
		err = fmt.Errorf("%w; the reserve of %s was given up, so that the next start has room: make more", err, inBytes(d.limits.Reserve))
	}
	return &RestartError{err}
}

// keepReserve makes the file if there is room for it beside what a leader needs. It is not an error if there is not.
func (d *disk) keepReserve() {
	path := filepath.Join(d.dir, reserveFile)
	if info, err := os.Stat(path); err == nil && uint64(info.Size()) == d.limits.Reserve {
		return
	}
	free, _, ok := hookRoom(d.dir)
	if !ok || free < d.limits.Reserve+uint64(float64(d.limits.LowWater)*lowWaterSlack) {
		return
	}
	err := makeReserve(path, d.limits.Reserve)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && !d.warned {
		d.log.Warn("no room is kept in reserve for a full disk", "file", path, "error", err)
	}
	d.warned = err != nil
	if err == nil {
		d.gaveUp = false
	}
}

// makeReserve writes the file whole or not at all: half of one must not pass for a reserve after a crash.
func makeReserve(path string, size uint64) error {
	half := path + ".new"
	file, err := os.OpenFile(half, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(allocate(file, int64(size)), file.Close())
	if err == nil {
		err = os.Rename(half, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(half))
	}
	return nil
}

// fill a file with zeros, for file systems that cannot allocate without writing.
func fill(file *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for size > 0 {
		n, err := file.Write(zeros[:min(size, int64(len(zeros)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

// giveUpReserve tells whether there was one.
func (d *disk) giveUpReserve() bool {
	if os.Remove(filepath.Join(d.dir, reserveFile)) != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gaveUp = true
	return true
}

// openWithReserve opens the stores. What a full disk does not let be opened is tried once more without the reserve.
func (d *disk) openWithReserve(open func() (*stores, error)) (*stores, error) {
	if free, _, ok := hookRoom(d.dir); ok && free < d.limits.Reserve && d.giveUpReserve() {
		d.log.Warn("the disk is all but full: the reserve is given up", "free", inBytes(free), "reserve", inBytes(d.limits.Reserve))
	}
	s, err := open()
	if err != nil && errors.Is(err, syscall.ENOSPC) && d.giveUpReserve() {
		d.log.Warn("the disk is full: the reserve is given up", "reserve", inBytes(d.limits.Reserve), "error", err)
		s, err = open()
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = &RestartError{fmt.Errorf("%w; %s: make room and start again", err, d.room())}
	}
	return s, err
}

// hasGivenUp the reserve in the life of this process, and not made it again.
func (d *disk) hasGivenUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gaveUp
}

// inBytes writes a size for people.
func inBytes(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
