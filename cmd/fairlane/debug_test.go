package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// TestSeeingOneNode runs the verbs of an operator against a real node; and the bundle of it has all its parts and nothing of the jobs: each
// thing that a caller gave is a word that must not be found in it.
func TestSeeingOneNode(t *testing.T) {
	const canary = "k4n4ry"
	socket := unixPrefix + filepath.Join(t.TempDir(), "o.sock")
	t.Setenv("FAIRLANE_WORKER_NAME", canary+"variable")
	_, api := server(t, t.TempDir(), "raft-wal", "--operator-listen", socket)
	ok := func(args ...string) string {
		t.Helper()
		code, out, errs := cli{}.run(t, append(args, "-e", api)...)
		if code != 0 {
			t.Fatalf("%v: %d %s %s", args, code, out, errs)
		}
		return out
	}
	ok("enqueue", "kind", `{"secret":"`+canary+`payload"}`, "--user", canary+"user", "--queue", "seen", "--key", canary+"key")
	if _, err := workersOf(http.DefaultClient, "http://"+api).Register(t.Context(), &fairlanev1.RegisterRequest{
		Name: canary + "worker", Nonce: 7, Lanes: "other:3", User: canary + "only"}); err != nil {
		t.Fatal(err)
	}
	// DISK-P99, CERT and the like are empty here: no column is left out for that.
	if out := ok("cluster", "status"); !strings.Contains(out, "WHY") || !strings.Contains(out, "1 vote and 1 must agree") || !strings.Contains(out, "leader") {
		t.Error(out)
	}
	if out := ok("cluster", "status", "-o", "json"); !strings.Contains(out, `"nodes": [`) || !strings.Contains(out, `"leaderId"`) {
		t.Error(out)
	}
	if out := ok("cluster", "verify"); !strings.Contains(out, "DIGEST") {
		t.Error(out)
	}
	if out := ok("log", "level", "info"); !strings.Contains(out, "before warn") {
		t.Error(out)
	}
	checks(t, api)

	path := filepath.Join(t.TempDir(), "b.tar.gz")
	ok("debug", "bundle", "--file", path, "--operator", socket)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	parts := unpack(t, path)
	for _, name := range []string{"bundle.json", "status.json", "nodes.json", "settings.json", "queues.json", "workers.json", "verify.json",
		"endpoint-1/readyz.txt", "endpoint-1/metrics.txt", "process/goroutines.txt", "process/heap.pprof", "process/loglevel.txt"} {
		if len(parts[name]) == 0 {
			t.Errorf("no %s in it", name)
		}
	}
	if len(parts["errors.txt"]) > 0 || !strings.Contains(string(parts["queues.json"]), "seen") || string(parts["process/loglevel.txt"]) != "info\n" {
		t.Errorf("%s %s %s", parts["errors.txt"], parts["queues.json"], parts["process/loglevel.txt"])
	}
	for name, text := range parts {
		if bytes.Contains(bytes.ToLower(text), []byte(canary)) {
			t.Errorf("%s tells what a caller gave: %.300s", name, text)
		}
	}
	if code, _, errs := (cli{}).run(t, "debug", "bundle", "--file", path, "-e", api); code != exitFailed || !strings.Contains(errs, "file exists") {
		t.Errorf("a file was written over: %d %s", code, errs)
	}
	// Nobody answers: what there is to say is still written, and the errors do not repeat a password.
	lost := filepath.Join(t.TempDir(), "lost.tar.gz")
	code, out, errs := cli{}.run(t, "debug", "bundle", "--file", lost, "-e", "http://u:"+canary+"@127.0.0.1:1", "--timeout", "1s")
	if parts = unpack(t, lost); code != 0 || !strings.Contains(out, "errors.txt") || len(parts["bundle.json"]) == 0 ||
		!strings.Contains(string(parts["errors.txt"]), "status.json") || strings.Contains(string(parts["errors.txt"]), canary) {
		t.Errorf("%d %s %s %s", code, out, errs, parts["errors.txt"])
	}
	http.DefaultClient.CloseIdleConnections()
}

// checks of a node with one waiting job that no worker takes.
func checks(t *testing.T, api string) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"check cluster", 0, "OK: node "},
		{"check lag --format nagios", 0, "FAIRLANE LAG OK - "},
		{"check queue seen", 0, "1 jobs wait in queue seen"},
		{"check queue seen --warn 0s --crit 1h", 1, "WARNING"},
		{"check queue seen --by jobs --warn 1 --crit 1", 2, "CRITICAL"},
		{"check queue nosuch", 3, "there is no queue nosuch"},
		{"check queue seen --warn soon", 3, ""},
		{"check queue seen --by jobs", 3, ""},
		{"check queue", 3, ""},
		{"check queue seen --nosuch", 3, ""},
		{"check lag --format xml", 3, ""},
		{"check workers", 1, "which no worker takes"},
		{"check workers --format prometheus", 1, `fairlane_check_state{check="workers"} 1`},
		{"check workers --warn 2 --crit 1 --format json", 2, `"state": "critical"`},
		{"check cluster -e 127.0.0.1:1", 3, "UNKNOWN: no node answers"},
	} {
		args := strings.Fields(c.args)
		if !strings.Contains(c.args, "-e ") {
			args = append(args, "-e", api)
		}
		if code, out, errs := (cli{}).run(t, args...); code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: %d %s%s", c.args, code, out, errs)
		}
	}
}

func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := make(map[string][]byte)
	for archive := tar.NewReader(compressed); ; {
		head, err := archive.Next()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(head.Name, "/")
		if parts[name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
