package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
)

// diskUse of a node, in bytes.
type diskUse struct{ snapshots, log int64 }

// diskWatch looks now and then at what a node takes on the disk.
type diskWatch struct {
	node              *harness.Node
	first, most, last diskUse
	snapshot          int64 // the largest whole one
}

// newDiskWatch has its first look.
func newDiskWatch(t *testing.T, n *harness.Node) *diskWatch {
	t.Helper()
	d := &diskWatch{node: n}
	d.look(t)
	d.first = d.last
	return d
}

func (d *diskWatch) look(t *testing.T) {
	t.Helper()
	d.last = diskUse{}
	for name, into := range map[string]*int64{"snapshots": &d.last.snapshots, "wal": &d.last.log, "log.db": &d.last.log} {
		use, err := d.node.DiskUse(name)
		if err != nil {
			t.Fatal(err)
		}
		*into += use
	}
	d.most = diskUse{max(d.most.snapshots, d.last.snapshots), max(d.most.log, d.last.log)}
	names, err := snapshotNames(d.node)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(snapshotDir(d.node), name, "state.bin")); err == nil { // else it was removed meanwhile
			d.snapshot = max(d.snapshot, info.Size())
		}
	}
}

func (d *diskWatch) text() string {
	mb := func(u diskUse) string {
		return fmt.Sprintf("%d MB of snapshots and %d MB of log", u.snapshots/1e6, u.log/1e6)
	}
	return fmt.Sprintf("%s at first, %s at most, %s at last; a snapshot has %d MB", mb(d.first), mb(d.most), mb(d.last), d.snapshot/1e6)
}

const (
	// walSegment is what raft-wal lays out at once.
	walSegment = 64 << 20
	// mostSegments of a log that is cut: the 10,240 entries that stay behind a snapshot, those until the next one is written and those meanwhile are
	// some 20,000 of less than 1 KB, which lie in two segments at most. One is laid out ahead, and one goes only with the next cut. The filling alone
	// took more: a million jobs of 256 bytes and more.
	mostSegments = 4
	// boltGrowth: the file of raft-boltdb keeps the size of the filling, and what comes later goes to the pages that were cut free. Until the first
	// cut it may grow by those 20,000 entries, each with a page or so at the worst.
	boltGrowth = 20_000 * 4096
)

// check what must hold after a few snapshots, so many that the log of the filling is behind them: two whole ones are kept and one is being written, or three
// are whole until the oldest is removed, each with a tenth for the blocks that it does not fill and the jobs that were added; and the log was cut.
func (d *diskWatch) check(store string) error {
	if most := 3 * (d.snapshot + d.snapshot/10); d.snapshot == 0 || d.most.snapshots > most {
		return fmt.Errorf("snapshots took %d bytes, want %d at most: three of the largest", d.most.snapshots, most)
	}
	most := int64(mostSegments * walSegment)
	if store == harness.LogStores[1] {
		most = d.first.log + boltGrowth
	}
	if d.last.log > most {
		return fmt.Errorf("the log takes %d bytes at last, want %d at most: it was not cut", d.last.log, most)
	}
	return nil
}

// TestDiskCheck: the check of the disk finds snapshots that are not removed, and logs that are not cut.
func TestDiskCheck(t *testing.T) {
	wal, bolt := harness.LogStores[0], harness.LogStores[1]
	if !strings.HasSuffix(wal, "wal") || !strings.HasSuffix(bolt, "boltdb") {
		t.Fatalf("the log stores are %v", harness.LogStores)
	}
	const mb, filling = 1_000_000, 6 * walSegment
	for _, c := range []struct {
		name, store string
		watch       diskWatch
		sound       bool
	}{
		{"as it should be", wal, diskWatch{first: diskUse{400 * mb, filling}, most: diskUse{1230 * mb, filling}, last: diskUse{820 * mb, 3 * walSegment}, snapshot: 400 * mb}, true},
		{"no snapshot was seen", wal, diskWatch{}, false},
		{"snapshots stay", wal, diskWatch{most: diskUse{1600 * mb, filling}, last: diskUse{1600 * mb, walSegment}, snapshot: 400 * mb}, false},
		{"the log is not cut", wal, diskWatch{first: diskUse{400 * mb, filling}, most: diskUse{800 * mb, filling}, last: diskUse{800 * mb, filling}, snapshot: 400 * mb}, false},
		{"a file of bolt keeps its size", bolt, diskWatch{first: diskUse{400 * mb, filling}, last: diskUse{800 * mb, filling + 50*mb}, snapshot: 400 * mb}, true},
		{"a file of bolt grows", bolt, diskWatch{first: diskUse{400 * mb, filling}, last: diskUse{800 * mb, filling + 90*mb}, snapshot: 400 * mb}, false},
	} {
		if err := c.watch.check(c.store); (err == nil) != c.sound {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
