package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// ticks in a second of /proc: the kernel's interface has them at 100, whatever its own clock.
const ticks = 100

// usageOf a process: CPU seconds so far, of all its threads, and resident bytes. false: the process is gone.
func usageOf(pid int) (cpu float64, rss int64, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	// The name of the command, in parentheses, may hold spaces; after it come the fields from the third on.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, false
	}
	number := func(field int) int64 {
		n, _ := strconv.ParseInt(string(fields[field-3]), 10, 64)
		return n
	}
	return float64(number(14)+number(15)) / ticks, number(24) * int64(os.Getpagesize()), true
}
