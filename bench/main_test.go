package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes the test binary the server of the references too, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == raftNodeCommand || os.Args[1] == echoCommand) {
		if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestQuick measures a little of Fairlane and of the references with real processes: every figure is there.
func TestQuick(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "fairlane")
	build := exec.Command("go", "build", "-o", binary, "./cmd/fairlane")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{
		"--quick", "--json", "--dir", t.TempDir(), "--fairlane", binary,
		"--systems", "raft-wal|echo", "--steps", "^(cycle 1.1|enqueue 16|raft 128|echo 128)$",
	}, &stdout, &stderr)
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var got struct {
		Notes   []string
		Figures []struct {
			Name, System string
			Median       float64
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, &stdout)
	}
	var seen []string
	for _, f := range got.Figures {
		if f.Median <= 0 {
			t.Errorf("%s of %s is %g, want something", f.Name, f.System, f.Median)
		}
		seen = append(seen, f.System+": "+f.Name)
	}
	want := "Fairlane raft-wal: jobs/1+1, Fairlane raft-wal: enqueue/16/p50, Fairlane raft-wal: cpu/1+1, raw raft, raft-wal: raft/128, Connect echo: echo/128"
	if text := strings.Join(seen, ", "); text != want || len(got.Notes) > 0 {
		t.Errorf("figures:\n%s, notes %q, want\n%s", text, got.Notes, want)
	}
}

func TestFlags(t *testing.T) {
	for _, wrong := range [][]string{{"--rounds", "0"}, {"--seconds", "0s"}, {"--steps", "("}, {"--systems", "("}, {"more"}} {
		if _, err := parse(wrong, &bytes.Buffer{}); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
	o, err := parse([]string{"--quick", "--rounds", "7"}, &bytes.Buffer{})
	if err != nil || o.rounds != 1 || o.seconds.Seconds() != 1 {
		t.Errorf("--quick gives %d rounds of %v, %v; want one of a second", o.rounds, o.seconds, err)
	}
}

// TestVersions: raft alone says something about Fairlane only if it is the same raft.
func TestVersions(t *testing.T) {
	versions := func(dir string) map[string]string {
		list := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "all")
		list.Dir = dir
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		of := make(map[string]string)
		for line := range strings.Lines(string(out)) {
			path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
			of[path] = version
		}
		return of
	}
	here, there := versions("."), versions("..")
	for _, path := range []string{
		"github.com/hashicorp/raft", "github.com/hashicorp/raft-wal", "github.com/hashicorp/raft-boltdb/v2", "go.etcd.io/bbolt",
		"github.com/hashicorp/go-msgpack/v2", "github.com/hashicorp/go-metrics", "connectrpc.com/connect", "google.golang.org/protobuf",
	} {
		if here[path] == "" || here[path] != there[path] {
			t.Errorf("%s is %q here and %q in Fairlane", path, here[path], there[path])
		}
	}
}
