package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/e2e/harness"
	fairlanev1 "github.com/fairlane-scheduler/fairlane/proto/gen/fairlane/v1"
)

// runbook is a section of docs/operations.md with the commands of its sh blocks.
type runbook struct {
	title    string
	commands []pageCommand
}

// pageCommand and the exit code that the page says it has.
type pageCommand struct {
	text string
	code int
}

var saidCode = regexp.MustCompile(`\s+# exit code (\d+)$`)

// runbooks of a page. A block's lines are commands, one each.
func runbooks(page string) []runbook {
	var books []runbook
	inside := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		switch title, isTitle := strings.CutPrefix(line, "## "); {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case isTitle:
			books = append(books, runbook{title: title})
		case inside && strings.TrimSpace(line) != "":
			c := pageCommand{text: line}
			if said := saidCode.FindStringSubmatch(line); said != nil {
				c.text = strings.TrimSuffix(line, said[0])
				c.code, _ = strconv.Atoi(said[1])
			}
			last := &books[len(books)-1]
			last.commands = append(last.commands, c)
		}
	}
	return books
}

// operated is the cluster of the page, and the node that it means by NODE and DATA.
type operated struct {
	*harness.Cluster
	t       *testing.T
	unit    *harness.Node
	id      string
	control *httptest.Server
	dir     string
}

// TestOperations runs every command of docs/operations.md, in the order of the page, against three real nodes. systemctl acts on the node of the
// page; what the page says happened before (a node that died, a lost majority) happens here before.
func TestOperations(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	books := runbooks(string(page))
	o := operate(t)
	// what is so when the section begins, and after it.
	before := map[string]func(context.Context){
		"No leader":                   func(ctx context.Context) { o.Nodes[1].Kill(); o.Nodes[2].Kill(); o.awaitNoLeader(ctx, o.Nodes[0]) },
		"A node is down":              func(context.Context) { o.unit.Kill() },
		"A majority is lost for good": func(context.Context) { o.Nodes[0].Kill(); o.Nodes[2].Kill() },
	}
	after := map[string]func(context.Context){
		"No leader": func(ctx context.Context) { o.must(o.Nodes[2].Start()); o.must(o.Nodes[2].WaitReady(ctx)) },
	}
	run := 0
	for _, book := range books {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		o.learnID(ctx)
		if f := before[book.title]; f != nil {
			f(ctx)
		}
		for _, c := range book.commands {
			o.run(ctx, book.title, c)
			run++
		}
		if f := after[book.title]; f != nil {
			f(ctx)
		}
		cancel()
		if t.Failed() {
			return // what follows stands on it
		}
	}
	if run < 60 {
		t.Errorf("the page has %d commands only", run)
	}
}

// operate starts the cluster and makes a folder like that of an operator.
func operate(t *testing.T) *operated {
	o := &operated{Cluster: harness.Start(t, harness.Options{}), t: t, dir: t.TempDir()}
	o.unit = o.Nodes[1]
	o.control = httptest.NewServer(http.HandlerFunc(o.systemctl))
	t.Cleanup(o.control.Close)
	binary, err := harness.Binary()
	o.must(err)
	o.must(os.Symlink(binary, filepath.Join(o.dir, "fairlane")))
	sample, err := os.ReadFile("../deploy/fairlane.toml")
	o.must(err)
	o.must(os.WriteFile(filepath.Join(o.dir, "fairlane.toml"), sample, 0o600))
	for name, script := range map[string]string{
		"systemctl":   "exec curl -sS --fail-with-body --max-time 60 " + o.control.URL + "/$1",
		"journalctl":  `tail -n "$4" ` + o.unit.LogPath(),
		"timedatectl": "date",
	} {
		o.must(os.WriteFile(filepath.Join(o.dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o.must(o.SetQueue(ctx, "bulk", &fairlanev1.QueueSettings{}))
	return o
}

func (o *operated) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// awaitNoLeader in the eyes of a node that is left: it takes raft's lease to notice.
func (o *operated) awaitNoLeader(ctx context.Context, node *harness.Node) {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		status, err := node.Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
		o.must(err)
		if status.GetLeaderId() == "" {
			return
		}
		<-look.C
	}
}

// learnID of the node of the page: it has another one after it joined anew.
func (o *operated) learnID(ctx context.Context) {
	status, err := o.unit.Dial().Cluster.Status(ctx, &fairlanev1.StatusRequest{})
	o.must(err)
	o.id = status.GetNodeId()
}

func (o *operated) run(ctx context.Context, title string, c pageCommand) {
	script := exec.CommandContext(ctx, "sh", "-euc", c.text)
	script.Dir = o.dir
	script.Env = append(os.Environ(), "PATH="+o.dir+":"+os.Getenv("PATH"), "FAIRLANE_ENDPOINTS="+strings.Join(o.Addresses(), ","),
		"FAIRLANE_TIMEOUT=20s", "NODE="+o.id, "DATA="+filepath.Join(o.unit.Dir, "data"))
	began := time.Now()
	out, err := script.CombinedOutput()
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		o.must(err)
	}
	o.t.Logf("%s, %v: %s\n%s", title, time.Since(began).Round(time.Millisecond), c.text, out)
	if code != c.code {
		o.t.Errorf("%s: exit code %d, the page says %d: %s\n%s", title, code, c.code, c.text, out)
	}
}

// systemctl VERB, of the node of the page. It answers when the node is where the verb wants it.
func (o *operated) systemctl(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 40*time.Second)
	defer cancel()
	start := func() error {
		if o.unit.Running() {
			limit, cancel := context.WithTimeout(ctx, 3*time.Second) // it may be about to end: it was removed
			defer cancel()
			if _, err := o.unit.WaitExit(limit); err != nil {
				return o.unit.WaitReady(ctx)
			}
		}
		if err := o.unit.Start(); err != nil {
			return err
		}
		for _, n := range o.Nodes { // the others too: they may have been without a leader
			if n.Running() {
				if err := n.WaitReady(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var err error
	switch strings.TrimPrefix(r.URL.Path, "/") {
	case "enable", "start":
		err = start()
	case "stop":
		err = o.unit.Stop(20 * time.Second)
	case "restart":
		if err = o.unit.Stop(20 * time.Second); err == nil {
			err = start()
		}
	case "reload":
		err = o.unit.Signal(syscall.SIGHUP)
	default:
		err = fmt.Errorf("no verb %s", r.URL.Path)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func TestRunbooks(t *testing.T) {
	books := runbooks("# t\n```sh\n```\n## one\ntext\n```sh\nfairlane a\nfairlane b   # exit code 2\n```\n```toml\nno\n```\n## two\n")
	if len(books) != 2 || len(books[0].commands) != 2 || books[0].commands[1] != (pageCommand{"fairlane b", 2}) || len(books[1].commands) != 0 {
		t.Errorf("%v", books)
	}
}
