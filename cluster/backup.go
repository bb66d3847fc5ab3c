package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

const (
	// backupRetry after one that failed.
	backupRetry = time.Minute
	// backupLook while there is no state yet.
	backupLook = time.Second
)

// Names of the archives that a node writes by itself: sorted by name they are sorted by age. Other files in the directory are never touched.
var (
	backupName      = regexp.MustCompile(`^fairlane-\d{8}T\d{6}\.\d{3}Z-\d{20}\.archive$`)
	backupTemporary = regexp.MustCompile(`^\.fairlane-backup-\d+\.new$`)
)

const backupTime = "20060102T150405.000Z"

// BackupStatus of the archives that this node writes by itself.
type BackupStatus struct {
	// LastSuccess is the zero time before the first one since the process began, if there is none from before.
	LastSuccess time.Time
	Failures    uint64
}

type backups struct {
	mu     sync.Mutex
	status BackupStatus
}

// Backups tells how the archives of this node go; ok is false when it writes none.
func (n *Node) Backups() (status BackupStatus, ok bool) {
	n.backups.mu.Lock()
	defer n.backups.mu.Unlock()
	return n.backups.status, n.config.Backup.Dir != ""
}

// keepBackups writes an archive every so often until the node's life ends. The time counts from the newest one there is, so that restarts neither
// add any nor leave any out.
func (n *Node) keepBackups() {
	c := n.config.Backup
	if c.Dir == "" {
		return
	}
	wait := time.Duration(0)
	if newest, ok := newestBackup(c.Dir); ok {
		n.backups.status.LastSuccess = newest
		wait = min(c.Every, max(0, time.Until(newest.Add(c.Every))))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-n.life.Done():
			return
		}
		if n.machine.applied() == 0 {
			timer.Reset(min(c.Every, backupLook))
			continue
		}
		path, err := n.backUp()
		n.backups.mu.Lock()
		if err != nil {
			n.backups.status.Failures++
			timer.Reset(min(c.Every, backupRetry))
		} else {
			n.backups.status.LastSuccess = time.Now()
			timer.Reset(c.Every)
		}
		n.backups.mu.Unlock()
		if err != nil {
			n.log.Error("no backup was written", "directory", c.Dir, "error", err)
		} else {
			n.log.Info("backup written", "file", path)
		}
	}
}

// backUp writes one archive of this node's own state, whole or not at all, and deletes the oldest beyond those that are kept.
func (n *Node) backUp() (path string, err error) {
	c := n.config.Backup
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return "", err
	}
	if err := removeOld(c.Dir, backupTemporary, 0); err != nil { // of a process that ended while it wrote
		return "", err
	}
	var now Captured
	n.machine.mu.Lock()
	now = captured(n.machine.state, n.machine.state.Snapshot())
	n.machine.mu.Unlock()
	file, err := os.OpenFile(filepath.Join(c.Dir, fmt.Sprintf(".fairlane-backup-%d.new", os.Getpid())), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name()) // after the rename there is none
	_, err = n.WriteArchive(file, now, c.Version)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", err
	}
	path = filepath.Join(c.Dir, fmt.Sprintf("fairlane-%s-%020d.archive", time.Now().UTC().Format(backupTime), now.header.Index))
	if err := os.Rename(file.Name(), path); err != nil {
		return "", err
	}
	if err := syncDirectory(c.Dir); err != nil {
		return "", err
	}
	return path, removeOld(c.Dir, backupName, c.Keep)
}

// removeOld files of the name but for the newest ones.
func removeOld(dir string, name *regexp.Regexp, keep int) error {
	names, err := namesLike(dir, name)
	if err != nil {
		return err
	}
	for _, old := range names[:max(0, len(names)-keep)] {
		if err := os.Remove(filepath.Join(dir, old)); err != nil {
			return err
		}
	}
	return nil
}

// namesLike the pattern of regular files, sorted.
func namesLike(dir string, pattern *regexp.Regexp) (names []string, err error) {
	list, err := os.ReadDir(dir)
	for _, entry := range list {
		if entry.Type().IsRegular() && pattern.MatchString(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// newestBackup that lies in the directory, by its name.
func newestBackup(dir string) (at time.Time, ok bool) {
	names, err := namesLike(dir, backupName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(names) == 0 {
		return time.Time{}, false
	}
	last := names[len(names)-1]
	at, err = time.Parse(backupTime, last[len("fairlane-"):len("fairlane-")+len(backupTime)])
	return at, err == nil
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
