package cluster

import (
	"errors"
	"os"
	"syscall"
)

// roomOf the file system that holds a directory: what this process may still use, and all of it.
func roomOf(dir string) (free, of uint64, ok bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, false
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), true
}

func allocate(file *os.File, size int64) error {
	err := syscall.Fallocate(int(file.Fd()), 0, 0, size)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return fill(file, size)
	}
	return err
}

// writeOut begins to write a part of a file to the disk, and waits until what is before it is there, so that little is under way at any time. It
// promises nothing: fsync does.
func writeOut(file *os.File, offset, size int64) {
	const waitBefore, write, waitAfter = 1, 2, 4
	fd := int(file.Fd())
	if offset > 0 {
		_ = syscall.SyncFileRange(fd, 0, offset, waitBefore|write|waitAfter)
	}
	_ = syscall.SyncFileRange(fd, offset, size, write)
}
