package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Usage is what a server process has used so far.
type Usage struct {
	CPU      time.Duration // user and system
	Resident int64         // bytes in memory now
}

// clockTicks of /proc in one second; the kernel's ABI fixes it on Linux.
const clockTicks = 100

// Usage of the running process, from /proc.
func (n *Node) Usage() (Usage, error) {
	dir := fmt.Sprintf("/proc/%d/", n.command.Process.Pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return Usage{}, err
	}
	// The name in parentheses may hold spaces; the fields behind it do not. utime and stime are the 12th and 13th of those.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("%sstat has %d fields", dir, len(fields))
	}
	var ticks, pages int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Usage{}, err
		}
		ticks += n
	}
	if pages, err = strconv.ParseInt(fields[21], 10, 64); err != nil {
		return Usage{}, err
	}
	return Usage{CPU: time.Duration(ticks) * time.Second / clockTicks, Resident: pages * int64(os.Getpagesize())}, nil
}

// Fairlane runs the binary with a verb, and gives what it printed.
func Fairlane(args ...string) ([]byte, error) {
	binary, err := Binary()
	if err != nil {
		return nil, err
	}
	out, err := exec.Command(binary, args...).Output()
	if err != nil {
		var text string
		if exit, ok := err.(*exec.ExitError); ok {
			text = string(exit.Stderr)
		}
		return out, fmt.Errorf("fairlane %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return out, nil
}
