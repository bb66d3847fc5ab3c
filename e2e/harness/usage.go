package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what a server process has used so far.
type Usage struct {
	CPU      time.Duration // user and system
	Resident int64         // bytes in memory now
}

// PeakResident is the most memory that the running process has held so far (VmHWM), in bytes.
func (n *Node) PeakResident() (int64, error) {
	path := fmt.Sprintf("/proc/%d/status", n.command.Process.Pid)
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s says no VmHWM", path)
}

// DiskUse is what a file or a folder below the node's data folder takes on the disk, in bytes: blocks, not lengths, as files are laid out ahead. One
// that is not there takes nothing.
func (n *Node) DiskUse(name string) (int64, error) {
	var total int64
	err := filepath.WalkDir(filepath.Join(n.Dir, "data", name), func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the node removes files meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			total += stat.Blocks * 512
		}
		return nil
	})
	return total, err
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
