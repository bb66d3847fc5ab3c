//go:build failpoint

package cluster

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// diskLook is how often a stalled write looks whether it may go on.
const diskLook = 50 * time.Millisecond

// diskFault is what FAIRLANE_DISK_FILE says: "stall" holds writes of the log for as long as it says so, "full" lets them fail, "free N" makes N bytes
// all that is free. No file: the disk is sound.
func diskFault() []string {
	path := os.Getenv("FAIRLANE_DISK_FILE")
	if path == "" {
		return nil
	}
	text, _ := os.ReadFile(path)
	return strings.Fields(string(text))
}

func diskIs(fault string) bool {
	words := diskFault()
	return len(words) > 0 && words[0] == fault
}

// hookWrite runs before each write of the log.
func hookWrite() error {
	for diskIs("stall") {
		time.Sleep(diskLook)
	}
	if diskIs("full") {
		return &os.PathError{Op: "write", Path: "log", Err: syscall.ENOSPC}
	}
	return nil
}

// hookRoom is the room of the disk that holds a directory.
func hookRoom(dir string) (free, of uint64, ok bool) {
	free, of, ok = roomOf(dir)
	switch words := diskFault(); {
	case len(words) > 0 && words[0] == "full":
		free = 0
	case len(words) > 1 && words[0] == "free":
		if n, err := strconv.ParseUint(words[1], 10, 64); err == nil {
			free = n
		}
	}
	return free, of, ok
}
