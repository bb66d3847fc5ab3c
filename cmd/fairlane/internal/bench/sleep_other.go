//go:build unix && !linux

package bench

import (
	"context"
	"time"
)

// preciseSleep is as precise as the runtime's timers.
func preciseSleep(ctx context.Context, l *ledger, at int64) bool {
	left := time.Duration(at - l.now())
	return left <= 0 && ctx.Err() == nil || pause(ctx, left)
}

// inMemory is known on Linux only.
func inMemory(string) bool { return false }
