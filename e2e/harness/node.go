package harness

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Node is one server process and its data folder. It outlives its process: Kill and Start may follow each other.
// One goroutine at a time calls Start, Kill, Stop, Freeze and Thaw.
type Node struct {
	Number int    // from 0
	API    string // host:port
	Raft   string // host:port
	Gossip string // host:port, or "off"
	Dir    string // holds data/ and node.log
	Binary string // of the next start; empty: that of this version
	// Enter are the flags of the next start by which the node finds or begins its cluster; nil: the first one bootstraps, the others join it.
	Enter []string

	cluster *Cluster
	command *exec.Cmd     // nil before the first start
	exited  chan struct{} // closed when the process has ended
}

// serverArgs is the one place that knows the flags of `fairlane server`.
func (n *Node) serverArgs() []string {
	args := []string{"server",
		"--data", filepath.Join(n.Dir, "data"),
		"--listen", n.API,
		"--raft", n.Raft,
		"--log-store", n.cluster.options.LogStore,
	}
	if n.cluster.tls != nil {
		args = append(args, n.cluster.CertFlags(n.certName())...)
	}
	if n.Enter != nil {
		return append(args, n.Enter...)
	}
	if n.Number == 0 {
		return append(args, "--bootstrap")
	}
	var others []string
	for _, other := range n.cluster.Nodes {
		if other != n {
			others = append(others, other.API)
		}
	}
	return append(args, "--join", strings.Join(others, ","))
}

// Start starts the process with env added to its environment. It does not wait until the node is ready.
func (n *Node) Start(env ...string) error {
	binary := n.Binary
	if binary == "" {
		var err error
		if binary, err = Binary(); err != nil {
			return err
		}
	}
	if n.Running() {
		return fmt.Errorf("node %d runs already", n.Number)
	}
	log, err := os.OpenFile(n.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- start %s %v\n", time.Now().UTC().Format("15:04:05.000"), env)
	command := exec.Command(binary, n.serverArgs()...)
	command.Stdout, command.Stderr = log, log
	// In the environment, not as a flag: former versions do not know it.
	command.Env = append(os.Environ(), "FAIRLANE_CUT_FILE="+n.cutFile(), "FAIRLANE_GOSSIP="+n.Gossip, "FAIRLANE_PROMOTE_AFTER=300ms")
	command.Env = append(command.Env, n.cluster.options.Env...)
	if n.cluster.options.NodeEnv != nil {
		command.Env = append(command.Env, n.cluster.options.NodeEnv(n.Number)...)
	}
	command.Env = append(command.Env, env...)
	// Should the test process die without cleaning up, the kernel ends its servers.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	n.command, n.exited = command, exited
	go func() {
		_ = command.Wait()
		close(exited)
	}()
	return nil
}

// LogPath of what the process writes; starts append.
func (n *Node) LogPath() string { return filepath.Join(n.Dir, "node.log") }

// Running reports whether the process is there (frozen counts).
func (n *Node) Running() bool {
	if n.command == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// Kill ends the process with SIGKILL and waits until it is gone.
func (n *Node) Kill() {
	if n.Running() {
		_ = n.command.Process.Signal(syscall.SIGKILL)
		<-n.exited
	}
}

// Stop ends the process with SIGTERM, and with SIGKILL when it is still there after the patience.
func (n *Node) Stop(patience time.Duration) error {
	if !n.Running() {
		return nil
	}
	_ = n.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.exited:
		return nil
	case <-time.After(patience):
		n.Kill()
		return fmt.Errorf("node %d was still there %v after SIGTERM", n.Number, patience)
	}
}

// Signal the process.
func (n *Node) Signal(s syscall.Signal) error { return n.command.Process.Signal(s) }

// Freeze stops the process in its tracks (SIGSTOP). Thaw lets it go on.
func (n *Node) Freeze() error { return n.command.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (n *Node) Thaw() error { return n.command.Process.Signal(syscall.SIGCONT) }

// WaitExit waits until the process has ended by itself, as it does at a failpoint, and gives its exit code
// (137 for one that was killed by SIGKILL).
func (n *Node) WaitExit(ctx context.Context) (int, error) {
	select {
	case <-n.exited:
	case <-ctx.Done():
		return 0, fmt.Errorf("node %d has not ended: %w", n.Number, ctx.Err())
	}
	status := n.command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// Exited is closed when the present process has ended.
func (n *Node) Exited() <-chan struct{} { return n.exited }

// WaitReady waits until /readyz answers 200.
func (n *Node) WaitReady(ctx context.Context) error {
	last := "no answer yet"
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := n.cluster.http.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			last = response.Status
		} else {
			last = err.Error()
		}
		select {
		case <-n.exited:
			return fmt.Errorf("node %d ended while it started:\n%s", n.Number, n.logTail())
		case <-ctx.Done():
			return fmt.Errorf("node %d is not ready (%s):\n%s", n.Number, last, n.logTail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Snapshots counts the finished snapshots in the node's data folder.
func (n *Node) Snapshots() (int, error) {
	entries, err := os.ReadDir(filepath.Join(n.Dir, "data", "snapshots"))
	count := 0
	for _, e := range entries {
		if e.IsDir() && !strings.HasSuffix(e.Name(), ".tmp") {
			count++
		}
	}
	return count, err
}

// WaitSnapshot waits until the node has a snapshot. Its environment should ask for frequent ones.
func (n *Node) WaitSnapshot(ctx context.Context) error {
	for {
		if count, err := n.Snapshots(); err != nil || count > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %d has no snapshot: %w", n.Number, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logTail gives the last lines of the node's log.
func (n *Node) logTail() string {
	text, err := os.ReadFile(n.LogPath())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	return strings.Join(lines, "\n")
}
