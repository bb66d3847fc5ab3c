package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// readyLimit is how long a server may take until it serves.
	readyLimit = 30 * time.Second
	// stopLimit is how long a server may take to end; then it is killed.
	stopLimit = 10 * time.Second
)

// process is a server that this program started. Its output goes to a file, which is told when it does not come up.
type process struct {
	command *exec.Cmd
	log     string
	ended   chan struct{} // closed once it has ended
}

// startProcess starts a program whose output goes to logPath. It runs until stop, or until this program ends.
func startProcess(logPath string, command *exec.Cmd) (*process, error) {
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if command.Stdout == nil {
		command.Stdout = log
	}
	command.Stderr = log
	tie(command)
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	p := &process{command: command, log: logPath, ended: make(chan struct{})}
	go func() {
		_ = command.Wait() // how it ended shows in its output
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopLimit):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// await asks try until it succeeds, the process ends, or readyLimit is over.
func (p *process) await(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready: %s", filepath.Base(p.command.Path), tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", filepath.Base(p.command.Path), err, tail(p.log))
		}
	}
}

// tail is the end of a file, for a message.
func tail(path string) string {
	const most = 2_000
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	text, _ := io.ReadAll(file)
	return strings.TrimSpace(string(text))
}

// cpuOf some processes with all that they started, in seconds.
func cpuOf(pids []int) (float64, error) { return sumOf(pids, cpuSeconds) }

// memoryOf some processes with all that they started, in MB.
func memoryOf(pids []int) (float64, error) { return sumOf(pids, residentMB) }

func sumOf(pids []int, measure func(int) (float64, error)) (float64, error) {
	var sum float64
	for _, pid := range pids {
		value, err := measure(pid)
		if err != nil {
			return 0, err
		}
		sum += value
		for _, child := range children(pid) {
			if value, err := measure(child); err == nil { // it may have ended meanwhile
				sum += value
			}
		}
	}
	return sum, nil
}

// freeAddresses on loopback. Another program could take one before it is used; then the server says so and the measurement fails.
func freeAddresses(count int) ([]string, error) {
	var out []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // only when all are found, so that they differ
		out = append(out, listener.Addr().String())
	}
	return out, nil
}
