package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
)

// network is three machines and a caller, each a network namespace with a cable to one switch. Making it needs root.
type network struct {
	t      *testing.T
	prefix string
	binary string
	dir    string
	names  string // the endpoints of the present addresses
	nodes  [4]*exec.Cmd
}

func (n *network) space(i int) string { return fmt.Sprintf("%s%d", n.prefix, i) }

func (n *network) ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// build the namespaces: 0 is the switch, 1 to 3 the nodes, 4 the caller.
func (n *network) build() error {
	n.t.Cleanup(func() {
		for i := range 5 {
			_ = n.ip("netns", "del", n.space(i))
		}
	})
	steps := [][]string{{"netns", "add", n.space(0)}, {"-n", n.space(0), "link", "add", "br0", "type", "bridge"}, {"-n", n.space(0), "link", "set", "br0", "up"}}
	for i := 1; i <= 4; i++ {
		space, port := n.space(i), fmt.Sprintf("p%d", i)
		steps = append(steps, []string{"netns", "add", space},
			[]string{"link", "add", "v0", "netns", space, "type", "veth", "peer", "name", port, "netns", n.space(0)},
			[]string{"-n", n.space(0), "link", "set", port, "master", "br0", "up"},
			[]string{"-n", space, "link", "set", "lo", "up"}, []string{"-n", space, "link", "set", "v0", "up"},
			[]string{"-n", space, "addr", "add", n.address(i, 0) + "/24", "dev", "v0"}, []string{"netns", "exec", space, "true"})
	}
	for _, step := range steps {
		if err := n.ip(step...); err != nil {
			return err
		}
	}
	return nil
}

func (n *network) address(i, move int) string { return fmt.Sprintf("10.77.0.%d", i+10*move) }

// start all three nodes; move counts how often they moved.
func (n *network) start(move int) {
	n.t.Helper()
	var joins []string
	for i := 1; i <= 3; i++ {
		joins = append(joins, n.address(i, move)+":7171")
	}
	n.names = strings.Join(joins, ",")
	for i := 1; i <= 3; i++ {
		at, certs := n.address(i, move), filepath.Join(n.dir, "tls")
		cmd := exec.Command("ip", "netns", "exec", n.space(i), n.binary, "server", "--data", filepath.Join(n.dir, fmt.Sprint("data", i)),
			"--listen", at+":7171", "--raft", at+":7172", "--bootstrap-expect", "3", "--join", n.names, "--gossip-keys", filepath.Join(n.dir, "keys"),
			"--tls-ca", filepath.Join(certs, "ca.pem"), "--tls-cert", filepath.Join(certs, fmt.Sprintf("node%d.pem", i)), "--tls-key", filepath.Join(certs, fmt.Sprintf("node%d.key", i)))
		log, err := os.OpenFile(filepath.Join(n.dir, fmt.Sprintf("node%d.log", i)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			n.t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			n.t.Fatal(err)
		}
		log.Close()
		n.nodes[i] = cmd
	}
}

func (n *network) kill() {
	for _, node := range n.nodes {
		if node != nil && node.ProcessState == nil {
			_ = node.Process.Kill()
			_ = node.Wait()
		}
	}
}

// call the command line from the caller's machine, with the operator's certificate.
func (n *network) call(ctx context.Context, args ...string) (string, error) {
	certs := filepath.Join(n.dir, "tls")
	all := append([]string{"netns", "exec", n.space(4), n.binary}, args...)
	all = append(all, "-e", n.names, "--timeout", "3s", "--tls-ca", filepath.Join(certs, "ca.pem"),
		"--tls-cert", filepath.Join(certs, "operator.pem"), "--tls-key", filepath.Join(certs, "operator.key"))
	out, err := exec.CommandContext(ctx, "ip", all...).CombinedOutput()
	return string(out), err
}

// until a command ends well; its output.
func (n *network) until(ctx context.Context, args ...string) string {
	n.t.Helper()
	for {
		out, err := n.call(ctx, args...)
		if err == nil {
			return out
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			n.t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
}

// TestOwnMachines: three nodes with addresses of their own, under certificates and gossip keys, form a cluster; all move to new addresses at once; the
// leader's cable is pulled and plugged in again.
func TestOwnMachines(t *testing.T) {
	binary, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, prefix: fmt.Sprintf("fl%dn", os.Getpid()), binary: binary, dir: t.TempDir()}
	if err := n.build(); err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	t.Cleanup(n.kill)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	certs := []string{"tls", "init", "--dir", filepath.Join(n.dir, "tls")}
	for i := 1; i <= 3; i++ {
		certs = append(certs, "--node", fmt.Sprintf("node%d,%s,%s", i, n.address(i, 0), n.address(i, 1)))
	}
	if out, err := exec.CommandContext(ctx, binary, certs...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	key, err := exec.CommandContext(ctx, binary, "gossip", "keygen").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n.dir, "keys"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	n.start(0)
	n.until(ctx, "check", "cluster")
	job := strings.TrimSpace(n.until(ctx, "enqueue", "kind"))

	n.kill()
	for i := 1; i <= 3; i++ {
		for _, step := range [][]string{{"del", n.address(i, 0)}, {"add", n.address(i, 1)}} {
			if err := n.ip("-n", n.space(i), "addr", step[0], step[1]+"/24", "dev", "v0"); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now()
	n.start(1)
	n.until(ctx, "check", "cluster")
	t.Logf("all at new addresses: whole after %v", time.Since(began).Round(10*time.Millisecond))
	n.until(ctx, "cluster", "verify")
	n.until(ctx, "job", "get", job)

	leader := n.leader(ctx)
	if err := n.ip("-n", n.space(leader), "link", "set", "v0", "down"); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	n.until(ctx, "enqueue", "kind", "--key", "pulled")
	t.Logf("the leader's cable is pulled: the next job after %v", time.Since(began).Round(10*time.Millisecond))
	if err := n.ip("-n", n.space(leader), "link", "set", "v0", "up"); err != nil {
		t.Fatal(err)
	}
	n.until(ctx, "check", "cluster")
	n.until(ctx, "cluster", "verify")
}

// leader is the number of the node that leads.
func (n *network) leader(ctx context.Context) int {
	n.t.Helper()
	for line := range strings.Lines(n.until(ctx, "cluster", "status")) {
		for i := 1; i <= 3; i++ {
			if strings.Contains(line, " leader ") && strings.Contains(line, n.address(i, 1)+":7172") {
				return i
			}
		}
	}
	n.t.Fatal("nobody leads")
	return 0
}
