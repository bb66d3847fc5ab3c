package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// tie a process to this one: it dies when this one does.
func tie(command *exec.Cmd) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
}

// runAs another user, if this program runs as root. The directory home is opened for that user's way through, and data is given to him.
func runAs(command *exec.Cmd, name, home, data string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	other, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(other.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(other.Gid, 10, 32)
	if err != nil {
		return err
	}
	for _, dir := range []string{home, filepath.Dir(home)} {
		if err := os.Chmod(dir, 0o711); err != nil {
			return err
		}
	}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(data, int(uid), int(gid))
}

// ticksPerSecond of /proc/PID/stat; Linux has no other on the machines that Go runs on.
const ticksPerSecond = 100

// cpuSeconds that a process has used, in user and system mode together.
func cpuSeconds(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name of the program stands in parentheses and may hold anything; utime and stime are the 12th and 13th field after it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields after the name, want 13 at least", pid, len(fields))
	}
	var ticks uint64
	for _, field := range fields[11:13] {
		value, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += value
	}
	return float64(ticks) / ticksPerSecond, nil
}

// residentMB is the memory that a process holds now, in units of 1,000,000 bytes; of what it shares with others its part.
func residentMB(pid int) (float64, error) {
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("%s has no Pss", path)
}

// children of a process, as long as they live, with theirs.
func children(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			all = append(append(all, child), children(child)...)
		}
	}
	return all
}

// systemNames are the processor and the kernel.
func systemNames() (model, kernel string) {
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = "Linux " + strings.TrimSpace(string(text))
	}
	return model, kernel
}
