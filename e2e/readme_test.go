package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
)

// documentAddress is where the documents say that a node listens.
const documentAddress = "127.0.0.1:7171"

// curlTimeUp is curl's exit code when --max-time is over.
const curlTimeUp = 28

// TestReadmeCurl runs the curl commands of README.md against a fresh cluster, in their order, each at another node. All
// must be answered with success, or with events if it asks for a stream (A10).
func TestReadmeCurl(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is missing: .ci/run installs it")
	}
	document, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := curlCommands(string(document))
	if len(commands) == 0 {
		t.Fatal("README.md shows no curl command")
	}
	cluster := harness.Start(t, harness.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for i, command := range commands {
		node := cluster.Nodes[i%len(cluster.Nodes)]
		if !strings.Contains(command, documentAddress) {
			t.Errorf("it does not ask %s: %s", documentAddress, command)
			continue
		}
		// A refusal fails the command, and its text is still seen.
		script := "curl() { command curl --fail-with-body --max-time 20 \"$@\"; }\n" +
			strings.ReplaceAll(command, documentAddress, node.API)
		if strings.HasPrefix(command, "curl -N ") {
			script = strings.Replace(script, "--max-time 20", "--max-time 2", 1)
		}
		out, err := exec.CommandContext(ctx, "sh", "-euc", script).CombinedOutput()
		t.Logf("%s\n%s", command, out)
		if exit := (*exec.ExitError)(nil); strings.HasPrefix(command, "curl -N ") && errors.As(err, &exit) && exit.ExitCode() == curlTimeUp &&
			strings.Contains(string(out), "event: job_finished") {
			err = nil // a stream has no end of its own, and it said what there was to say
		}
		if err != nil {
			t.Errorf("%v: %s\n%s", err, command, out)
		}
		// An answer can be a success and still carry bad news.
		for _, bad := range []string{`"error"`, "STATUS_LOST", "EMPTY_REASON", `"code"`} {
			if strings.Contains(string(out), bad) {
				t.Errorf("the answer says %s: %s\n%s", bad, command, out)
			}
		}
	}
}

// curlCommands gives the commands that begin with curl in the sh and console blocks of a document. A line that ends with
// a backslash goes on in the next one. In console blocks commands follow "$ ", and other lines are what they print.
func curlCommands(document string) []string {
	var commands []string
	block, open := "", ""
	for _, line := range strings.Split(document, "\n") {
		if fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			if block == "" {
				block = strings.TrimSpace(fence) + " " // never empty while inside
			} else {
				block = ""
			}
			open = ""
			continue
		}
		kind := strings.TrimSpace(block)
		if kind != "sh" && kind != "console" {
			continue
		}
		text := strings.TrimSpace(line)
		if open == "" && kind == "console" {
			var prompted bool
			if text, prompted = strings.CutPrefix(text, "$ "); !prompted {
				continue
			}
		}
		if open == "" && text != "curl" && !strings.HasPrefix(text, "curl ") {
			continue
		}
		if rest, more := strings.CutSuffix(text, "\\"); more {
			open += strings.TrimSpace(rest) + " "
			continue
		}
		commands = append(commands, open+text)
		open = ""
	}
	return commands
}

func TestCurlCommands(t *testing.T) {
	document := "text curl no\n```sh\nmake\ncurl -s a \\\n  -d '{\"x\": 1}'\ncurl b\n```\ncurl outside\n" +
		"```console\n$ curl c\n{\"curl\": 1}\n$ ls\n```\n```go\ncurl d\n```\n```\ncurl e\n```\n"
	got := strings.Join(curlCommands(document), "|")
	if want := `curl -s a -d '{"x": 1}'|curl b|curl c`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if none := curlCommands("no block\n```sh\nmake test\n```\n"); len(none) != 0 {
		t.Errorf("found %q", none)
	}
}
