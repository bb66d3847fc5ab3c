package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/cluster"
)

const deployed = "../../deploy/"

// TestDeployedConfiguration: the file that we ship is one that a node takes, and each key of it has its value.
func TestDeployedConfiguration(t *testing.T) {
	code, out, errs := cli{}.run(t, "config", "validate", deployed+"fairlane.toml")
	if code != 0 || !strings.Contains(out, "is valid") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	code, out, errs = cli{}.run(t, "config", "show", "--origin", "-c", deployed+"fairlane.toml")
	if code != 0 || !strings.Contains(out, "node.bootstrap_expect") || strings.Count(out, "fairlane.toml: ") < 12 {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

// TestUnit: the supervisor knows the exit codes and gives the node the time that its end takes.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile(deployed + "fairlane.service")
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			values[key] = value
		}
	}
	if values["RestartPreventExitStatus"] != "70 2" || cluster.ExitCode(os.ErrInvalid) != 70 || exitFatal != 70 || exitUsage != 2 {
		t.Errorf("codes %q", values["RestartPreventExitStatus"])
	}
	if stop, err := time.ParseDuration(values["TimeoutStopSec"]); err != nil || stop < shutdownLimit+10*time.Second {
		t.Errorf("TimeoutStopSec %q, and an orderly end may take %v and the calls", values["TimeoutStopSec"], shutdownLimit)
	}
	for _, key := range []string{"ExecStart", "ExecStartPre"} {
		verb := strings.Fields(values[key])
		found, rest, err := newRoot(newApp(nil, nil, nil, os.LookupEnv)).Find(verb[1:])
		if err != nil || found.ParseFlags(rest) != nil || found.HasSubCommands() {
			t.Errorf("%s=%s: %v", key, values[key], err)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not here: the unit was read by this test alone")
		return
	}
	out, err := exec.Command(analyze, "verify", deployed+"fairlane.service").CombinedOutput()
	if err != nil && !strings.Contains(string(out), "is not executable") {
		t.Errorf("%v: %s", err, out)
	}
}
