package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/process"
)

// program is this test binary, run as the command that it tests.
type program struct {
	*exec.Cmd
	out *bufio.Reader
	err *lockedBuffer
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(os.Args[0], args...), err: &lockedBuffer{}}
	p.Env = append(os.Environ(), beMain+"=1")
	read, write := io.Pipe()
	p.Stdout, p.Stderr, p.out = write, p.err, bufio.NewReader(read)
	process.Own(p.Cmd)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = process.Signal(p.Cmd, syscall.SIGKILL)
			go io.Copy(io.Discard, read)
			_ = p.Wait()
		}
		write.Close()
		if t.Failed() {
			t.Logf("%s: %s", args[0], p.err)
		}
	})
	return p
}

// line reads the next line of the output.
func (p *program) line(t *testing.T) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		text, _ := p.out.ReadString('\n')
		got <- text
	}()
	select {
	case text := <-got:
		return text
	case <-time.After(20 * time.Second):
		t.Fatalf("no line of output; errors: %s", p.err)
		return ""
	}
}

// stop asks the program to end and gives its exit code.
func (p *program) stop(t *testing.T, s syscall.Signal) int {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, p.out)
	ended := make(chan struct{})
	go func() {
		_ = p.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = process.Signal(p.Cmd, syscall.SIGKILL)
		<-ended
		t.Fatalf("did not end within 20 s; errors: %s", p.err)
	}
	return p.ProcessState.ExitCode()
}

// server starts a node and gives its API address.
func server(t *testing.T, data, store string, more ...string) (*program, string) {
	t.Helper()
	p := start(t, append([]string{"server", "--data", data, "--listen", "127.0.0.1:0", "--raft", "127.0.0.1:0", "--bootstrap", "--log-store", store}, more...)...)
	var api, raft string
	if _, err := fmt.Sscanf(p.line(t), "listening api=%s raft=%s", &api, &raft); err != nil {
		t.Fatalf("%v; errors: %s", err, p.err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return p, api
}

// TestServer: a node of its own from the first start to the second, on both log stores, by the verbs that people use.
func TestServer(t *testing.T) {
	for _, store := range []string{"raft-wal", "raft-boltdb"} {
		t.Run(store, func(t *testing.T) {
			dir := t.TempDir()
			ready := filepath.Join(dir, "ready")
			node, api := server(t, filepath.Join(dir, "data"), store, "--ready-file", ready)
			if text, err := os.ReadFile(ready); err != nil || !strings.Contains(string(text), "listening api="+api+" raft=") {
				t.Errorf("ready file: %q, %v", text, err)
			}
			fl := func(want int, args ...string) string {
				t.Helper()
				code, out, errs := cli{}.run(t, append(args, "-e", api)...)
				if code != want {
					t.Fatalf("%v: exit code %d, want %d: %s %s", args, code, want, out, errs)
				}
				return out
			}
			if out := fl(0, "enqueue", "hello", `{"n":1}`, "--user", "ana"); out != "1\n" {
				t.Errorf("enqueue printed %q", out)
			}
			fl(0, "enqueue", "hello", "--in", "1h")
			if out := fl(0, "job", "list"); !strings.Contains(out, "pending") || !strings.Contains(out, "scheduled") {
				t.Errorf("list:\n%s", out)
			}
			fl(0, "job", "cancel", "2")
			fl(5, "job", "wait", "2")
			if out := fl(0, "job", "retry", "2"); out != "3\n" {
				t.Errorf("retry printed %q", out)
			}
			fl(1, "job", "retry", "1")
			fl(1, "job", "get", "99")
			fl(0, "queue", "set", "default", "--mode", "fifo", "--max-running", "3")
			fl(0, "queue", "pause", "default")
			if out := fl(0, "queue", "get", "default"); !strings.Contains(out, "fifo") || !strings.Contains(out, "paused") || !strings.Contains(out, "max_running") {
				t.Errorf("queue:\n%s", out)
			}
			if out := fl(0, "job", "why", "1"); !strings.Contains(out, "queue default is paused") || !strings.Contains(out, "enqueued") {
				t.Errorf("why:\n%s", out)
			}
			fl(0, "queue", "resume", "default")
			if out := fl(0, "queue", "order", "default", "-n", "1"); !strings.Contains(out, "1     1   hello  default  ana") || strings.Count(out, "\n") != 2 {
				t.Errorf("order:\n%s", out)
			}
			if out := fl(0, "queue", "users", "default"); !strings.Contains(out, "ana   1        0") {
				t.Errorf("users:\n%s", out)
			}
			if out := fl(0, "job", "cancel", "--all-matching", "--queue", "default", "--dry-run"); out != "2 jobs would be cancelled\n" {
				t.Errorf("dry run: %q", out)
			}
			if out := fl(0, "job", "cancel", "--all-matching", "--id-prefix", "3", "--yes"); out != "1 job cancelled\n" {
				t.Errorf("bulk cancel: %q", out)
			}
			fl(1, "log", "explain", "1")
			if out := fl(0, "log", "tail", "-n", "1000"); !strings.Contains(out, "enqueue a job: hello") || !strings.Contains(out, "user=ana payload=7B") ||
				!strings.Contains(out, "the cluster is named fairlane") || strings.Contains(out, `"n"`) {
				t.Errorf("log:\n%s", out)
			}
			if out := fl(0, "log", "show", "1"); !strings.Contains(out, "configuration") || !strings.Contains(out, "votes") {
				t.Errorf("first entry:\n%s", out)
			}
			fl(1, "log", "show", "123456")
			if out := fl(0, "cluster", "status"); !strings.Contains(out, "leader") || !strings.Contains(out, store) {
				t.Errorf("status:\n%s", out)
			}
			if code := node.stop(t, syscall.SIGTERM); code != 0 {
				t.Fatalf("SIGTERM: exit code %d; errors: %s", code, node.err)
			}
			_, api = server(t, filepath.Join(dir, "data"), store)
			if out := fl(0, "job", "get", "1"); !strings.Contains(out, "pending") || !strings.Contains(out, `{"n":1}`) {
				t.Errorf("after a restart:\n%s", out)
			}
		})
	}
}

// TestWork: the command of work -- CMD runs for each job; its exit code decides; a cancelled job's command ends.
func TestWork(t *testing.T) {
	dir := t.TempDir()
	_, api := server(t, filepath.Join(dir, "data"), "raft-wal")
	fl := func(want int, args ...string) string {
		t.Helper()
		code, out, errs := cli{}.run(t, append(args, "-e", api)...)
		if code != want {
			t.Fatalf("%v: exit code %d, want %d: %s %s", args, code, want, out, errs)
		}
		return out
	}
	script := `case "$FAIRLANE_KIND" in
		echo) cat; printf " %s %s %s" "$FAIRLANE_JOB_ID" "$FAIRLANE_USER" "$FAIRLANE_QUEUE";;
		fail) echo "it broke" >&2; exit 3;;
		never) exit 100;;
		slow) echo begun >>"$BEGUN"; sleep 1000;;
	esac`
	begun := filepath.Join(dir, "begun")
	t.Setenv("BEGUN", begun)
	worker := start(t, "work", "--lanes", "manual>*:2", "--worker-name", "w1", "-e", api, "--grace", "1s", "--kill-after", "1s", "--", "sh", "-c", script)

	if out := fl(0, "enqueue", "echo", `{"n":1}`, "--user", "ana", "--queue", "manual", "--wait"); !strings.Contains(out, `{"n":1} 1 ana manual`) {
		t.Errorf("echo:\n%s", out)
	}
	if out := fl(4, "enqueue", "fail", "--max-attempts", "2", "--backoff", "0s", "--wait"); !strings.Contains(out, "exit status 3: it broke") || !strings.Contains(out, "2 (2 of 2 charged)") {
		t.Errorf("fail:\n%s", out)
	}
	if out := fl(4, "enqueue", "never", "--wait"); !strings.Contains(out, "1 (1 of 4 charged)") {
		t.Errorf("discard:\n%s", out)
	}
	id := strings.TrimSpace(fl(0, "enqueue", "slow", "--heartbeat", "1s", "--lease", "3s"))
	eventually(t, "the slow command began", func() bool { _, err := os.Stat(begun); return err == nil })
	if out := fl(0, "worker", "list"); !strings.Contains(out, "w1") || !strings.Contains(out, "manual>* 1/2") {
		t.Errorf("workers:\n%s", out)
	}
	fl(0, "job", "cancel", id)
	eventually(t, "the cancelled command let go of its slot", func() bool {
		return strings.Contains(fl(0, "worker", "list"), "manual>* 0/2")
	})
	fl(0, "worker", "drain", "w1")
	fl(0, "enqueue", "echo", "1")
	if code := worker.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit code %d; errors: %s", code, worker.err)
	}
	if out := fl(0, "job", "list", "--state", "pending"); !strings.Contains(out, "echo") {
		t.Errorf("a draining worker took a job:\n%s", out)
	}
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// TestDemo: the demonstration in small, with one kill, keeps every promise and leaves nothing behind.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv(beMain, "1")
	code, out, errs := cli{}.run(t, "demo", "--files", "1500", "--kills", "1")
	if code != exitOK || !strings.Contains(out, "Every promise held.") {
		t.Errorf("exit code %d: %s\n%s", code, errs, out)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSecondSignal: the first signal drains the worker, which waits for its command; the second one ends both at once, and what the command started.
func TestSecondSignal(t *testing.T) {
	dir := t.TempDir()
	_, api := server(t, filepath.Join(dir, "data"), "raft-wal")
	begun := filepath.Join(dir, "begun")
	worker := start(t, "work", "-e", api, "--grace", "10m", "--", "sh", "-c", "sleep 1000 & echo $! >"+begun+".new; mv "+begun+".new "+begun+"; wait")
	if code, _, errs := (cli{}).run(t, "enqueue", "slow", "-e", api); code != exitOK {
		t.Fatal(errs)
	}
	eventually(t, "the command began", func() bool { _, err := os.Stat(begun); return err == nil })
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the worker drains", func() bool {
		_, out, _ := cli{}.run(t, "worker", "list", "-e", api)
		return strings.Contains(out, "draining")
	})
	<-time.After(2 * echo) // a signal within this time would be the first one's echo
	if code := worker.stop(t, syscall.SIGTERM); code != exitSignal+int(syscall.SIGTERM) {
		t.Errorf("exit code %d; errors: %s", code, worker.err)
	}
	text, err := os.ReadFile(begun)
	if err != nil {
		t.Fatal(err)
	}
	left, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "what the command started is gone", func() bool { return !runs(left) })
}

// runs says whether a process does. One that has ended and that nobody waited for does not.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return syscall.Kill(pid, 0) == nil && (err != nil || !strings.Contains(string(stat), ") Z "))
}

// TestOnAbort: what was registered runs when the process is told to end at once, until it is taken out.
func TestOnAbort(t *testing.T) {
	a := newApp(nil, io.Discard, io.Discard, os.LookupEnv)
	runs := 0
	done := a.onAbort(func() { runs++ })
	a.abort()
	done()
	a.abort()
	if runs != 1 {
		t.Errorf("ran %d times", runs)
	}
}
