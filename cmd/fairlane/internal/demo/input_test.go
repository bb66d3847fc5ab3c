package demo

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 60 {
		write("a/f"+strconv.Itoa(i)+".go", 5000)
	}
	write("small", 10)
	write("x/testdata/big", 5000)
	if err := os.Symlink(filepath.Join(dir, "small"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	all, err := Find(dir, 0, 1)
	if err != nil || len(all) != 62 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	queues, users := map[string]int{}, map[string]int{}
	for _, w := range all {
		queues[w.Queue]++
		users[w.User]++
	}
	if queues["fast_lane"] != 1 || queues["default"] != 1 || queues["manual"] != 60 {
		t.Errorf("queues %v", queues)
	}
	if users[Flooder] != 50 || users[Second] != 6 || users[Third] != 6 {
		t.Errorf("users %v", users)
	}
	again, _ := Find(dir, 0, 1)
	other, _ := Find(dir, 0, 2)
	if !slices.Equal(all, again) || slices.Equal(all, other) {
		t.Error("the deal does not depend on the seed alone")
	}
	if few, _ := Find(dir, 10, 1); len(few) != 10 {
		t.Errorf("limit 10 gave %d", len(few))
	}
	if _, err := Find(t.TempDir(), 0, 1); err == nil {
		t.Error("an empty folder is no input")
	}
}
