package fsm_test

import (
	"syscall"
	"time"
)

// On Linux benchmarks that compare short spells count the processor time of the process: a busy computer does not decide.
func init() {
	now = func() time.Duration {
		var use syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
			panic(err)
		}
		return time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
}
