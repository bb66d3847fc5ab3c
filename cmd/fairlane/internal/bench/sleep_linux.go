package bench

import (
	"context"
	"runtime"
	"syscall"
	"time"
)

// preciseSleep waits with the kernel's own timer, on a thread of its own: the runtime's timers come up to a millisecond late when the
// process is idle, which would stand in every latency. It looks at ctx every 10 ms.
func preciseSleep(ctx context.Context, l *ledger, at int64) bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		left := time.Duration(at - l.now())
		if left <= 0 || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		ts := syscall.NsecToTimespec(int64(min(left, 10*time.Millisecond)))
		_ = syscall.Nanosleep(&ts, nil) // woken early, it sleeps again
	}
}

// inMemory reports that a directory is in a file system without a disk.
func inMemory(dir string) bool {
	const tmpfs = 0x01021994
	var s syscall.Statfs_t
	return syscall.Statfs(dir, &s) == nil && s.Type == tmpfs
}
