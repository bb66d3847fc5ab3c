//go:build !failpoint

package cluster

import (
	"net"
	"time"

	"github.com/hashicorp/raft"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// afterCommit runs when a batch is committed and applied, before anybody is answered.
func afterCommit(*logv1.Batch) {}

func newClock() ClockSource { return systemClock{time.Now()} }

func hookTiming(t Timing) Timing { return t }

func hookDial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(target), timeout)
}

func hookWrite() error { return nil }

func hookRoom(dir string) (free, of uint64, ok bool) { return roomOf(dir) }
