package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"path/filepath"
	"strings"
)

// The users of the demonstration. The first one floods: its jobs are enqueued before anybody else's.
const (
	Flooder = "ana"
	Second  = "ben"
	Third   = "cho"
)

// Users in the order in which they enqueue.
var Users = []string{Flooder, Second, Third}

// smallBytes is the size up to which a file takes the fast lane.
const smallBytes = 1 << 10

// Work is one job to be: a file, whose it is and in which queue it waits.
type Work struct {
	Path  string
	User  string
	Queue string
}

// Find lists the regular files below dir and deals at most limit of them (0: all) to the users: four of five to the
// flooder, the rest to the others in turn. Which files, and whose they are, depends on the seed alone. Small files go to
// the queue fast_lane, files of testdata folders to default, all others to manual.
func Find(dir string, limit int, seed int64) ([]Work, error) {
	var found []Work
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		found = append(found, Work{Path: path, Queue: queueOf(path, info.Size())})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(found) < len(Users) {
		return nil, fmt.Errorf("only %d files below %s: want at least %d", len(found), dir, len(Users))
	}
	rng := rand.New(rand.NewSource(seed))
	rng.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	if limit > 0 && limit < len(found) {
		found = found[:limit]
	}
	for i := range found {
		found[i].User = []string{Flooder, Flooder, Flooder, Flooder, Second, Flooder, Flooder, Flooder, Flooder, Third}[i%10]
	}
	return found, nil
}

func queueOf(path string, size int64) string {
	switch {
	case size <= smallBytes:
		return "fast_lane"
	case strings.Contains(filepath.ToSlash(path), "/testdata/"):
		return "default"
	}
	return "manual"
}
