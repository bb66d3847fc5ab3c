package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	raftWALName  = "raw raft, raft-wal"
	raftBoltName = "raw raft, raft-boltdb"

	raftNodeCommand = "raft-node"
	raftNodes       = 3
)

// raftWith a store: hashicorp/raft alone, three processes, with Fairlane's settings and packing. The callers live in the leader's process,
// so nothing but raft, its transport and its disks is in the way.
func raftWith(store string) func(context.Context, options, string) (system, error) {
	return func(context.Context, options, string) (system, error) {
		self, err := os.Executable()
		if err != nil {
			return system{}, err
		}
		module := map[string]string{storeWAL: "github.com/hashicorp/raft-wal", storeBolt: "github.com/hashicorp/raft-boltdb/v2"}[store]
		return system{
			version:   fmt.Sprintf("hashicorp/raft %s, %s; commands of %d bytes", moduleVersion("github.com/hashicorp/raft"), moduleVersion(module), commandBytes),
			reference: true,
			measure: func(ctx context.Context, s step, dir string, length time.Duration) (outcome, error) {
				if !strings.HasPrefix(s.name, "raft ") {
					return outcome{}, errNotOffered
				}
				return measureRaft(ctx, self, store, s.callers, dir, length)
			},
		}, nil
	}
}

// measureRaft starts the nodes; the first leads, is the load too, and says how it went.
func measureRaft(ctx context.Context, self, store string, callers int, dir string, length time.Duration) (outcome, error) {
	addresses, err := freeAddresses(raftNodes)
	if err != nil {
		return outcome{}, err
	}
	dirs, err := nodeDirs(dir, raftNodes)
	if err != nil {
		return outcome{}, err
	}
	start := func(i int, stdout *os.File) (*process, func(), error) {
		settings, err := json.Marshal(raftNode{ID: i, Dir: dirs[i], Store: store, Addresses: addresses, Callers: callers, Length: length})
		if err != nil {
			return nil, nil, err
		}
		command := exec.CommandContext(ctx, self, raftNodeCommand, string(settings))
		stdin, err := command.StdinPipe() // the node ends when this closes
		if err != nil {
			return nil, nil, err
		}
		if stdout != nil {
			command.Stdout = stdout
		}
		p, err := startProcess(filepath.Join(dirs[i], "output"), command)
		if err != nil {
			return nil, nil, err
		}
		return p, func() { stdin.Close(); p.stop() }, nil
	}
	for i := 1; i < raftNodes; i++ {
		_, stop, err := start(i, nil)
		if err != nil {
			return outcome{}, err
		}
		defer stop()
	}
	read, write, err := os.Pipe()
	if err != nil {
		return outcome{}, err
	}
	defer read.Close()
	leader, stop, err := start(0, write)
	write.Close()
	if err != nil {
		return outcome{}, err
	}
	defer stop()
	line, err := bufio.NewReader(read).ReadBytes('\n')
	if err != nil {
		return outcome{}, fmt.Errorf("the leader ended without a figure: %w: %s", err, tail(leader.log))
	}
	var result raftResult
	if err := json.Unmarshal(line, &result); err != nil {
		return outcome{}, err
	}
	if result.Error != "" {
		return outcome{}, fmt.Errorf("%s", result.Error)
	}
	return outcome{perSecond: result.PerSecond}, nil
}

// untilClosed returns when the other end closes: then whoever started this process wants it to end, or is gone.
func untilClosed(stdin io.Reader) { _, _ = io.Copy(io.Discard, stdin) }
