//go:build !failpoint

package cluster

import (
	"time"

	logv1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/log/v1"
)

// afterCommit runs when a batch is committed and applied, before anybody is answered.
func afterCommit(*logv1.Batch) {}

func newClock() ClockSource { return systemClock{time.Now()} }

func hookTiming(t Timing) Timing { return t }
