//go:build failpoint

package cluster

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// committed counts the batches that hold the operation of FAIRLANE_FAILPOINT.
var committed struct {
	sync.Mutex
	count int
}

// afterCommit kills the process when FAIRLANE_FAILPOINT says so: "after_commit:Enqueue:3" is the third committed batch that
// holds an Enqueue, before its answers.
func afterCommit(batch *logv1.Batch) {
	point, rest, _ := strings.Cut(os.Getenv("FAIRLANE_FAILPOINT"), ":")
	op, times, _ := strings.Cut(rest, ":")
	if point != "after_commit" || !holds(batch, op) {
		return
	}
	nth, err := strconv.Atoi(times)
	if err != nil {
		nth = 1
	}
	committed.Lock()
	defer committed.Unlock()
	committed.count++
	if committed.count == nth {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way: nobody may be answered
	}
}

func holds(batch *logv1.Batch, op string) bool {
	for _, c := range batch.GetCommands() {
		if strings.EqualFold(strings.TrimPrefix(fmt.Sprintf("%T", c.GetOp()), "*logv1.Command_"), op) {
			return true
		}
	}
	return false
}

// hookTiming makes snapshots as often as FAIRLANE_SNAPSHOT_BATCHES says, so that short runs have some.
func hookTiming(t Timing) Timing {
	if batches, err := strconv.ParseUint(os.Getenv("FAIRLANE_SNAPSHOT_BATCHES"), 10, 64); err == nil {
		t.SnapshotBatches, t.SnapshotInterval = batches, 500*time.Millisecond
	}
	return t
}

// shiftedClock moves the wall clock by what FAIRLANE_CLOCK_FILE holds: "offset_ms rate", looked at every 100 ms at most.
type shiftedClock struct {
	systemClock
	path string

	mu     sync.Mutex
	looked time.Time
	offset int64
	rate   float64
}

func newClock() ClockSource {
	system := systemClock{time.Now()}
	path := os.Getenv("FAIRLANE_CLOCK_FILE")
	if path == "" {
		return system
	}
	return &shiftedClock{systemClock: system, path: path, rate: 1}
}

func (c *shiftedClock) WallMillis() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= 100*time.Millisecond {
		c.looked = time.Now()
		c.read()
	}
	ran := float64(c.MonotonicMillis()) * c.rate
	return c.start.UnixMilli() + int64(ran) + c.offset
}

// read keeps the former values when the file is missing or half written.
func (c *shiftedClock) read() {
	text, err := os.ReadFile(c.path)
	if err != nil {
		return
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return
	}
	offset, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return
	}
	c.offset = offset
	if len(fields) > 1 {
		if rate, err := strconv.ParseFloat(fields[1], 64); err == nil {
			c.rate = rate
		}
	}
}
