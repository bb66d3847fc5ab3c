package shell

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sh(script string) Command {
	return Command{Argv: []string{"sh", "-c", script}, Grace: 5 * time.Second, Stderr: io.Discard}
}

func TestRunGivesOutput(t *testing.T) {
	var errors bytes.Buffer
	c := sh(`cat; printf " $FAIRLANE_JOB_ID"; echo heard >&2`)
	c.Stderr = &errors
	got, err := c.Run(t.Context(), append(os.Environ(), "FAIRLANE_JOB_ID=7"), []byte(`{"n":1}`))
	if err != nil || string(got) != `{"n":1} 7` {
		t.Fatalf("got %q, %v", got, err)
	}
	if errors.String() != "heard\n" {
		t.Fatalf("error output passed on: %q", errors.String())
	}
}

// TestRunPassesOutputOn: the command's output is seen while it runs, and is its result all the same.
func TestRunPassesOutputOn(t *testing.T) {
	out, in := io.Pipe()
	defer out.Close()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	c := sh(`echo first; read line < "$FIFO"; echo "$line"`)
	c.Stdout = in
	type end struct {
		result []byte
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		result, err := c.Run(t.Context(), append(os.Environ(), "FIFO="+fifo), nil)
		ended <- end{result, err}
	}()
	read := bufio.NewReader(out)
	if line, err := read.ReadString('\n'); err != nil || line != "first\n" {
		t.Fatalf("while it runs: %q, %v", line, err)
	}
	if err := os.WriteFile(fifo, []byte("second\n"), 0); err != nil { // it waits for that
		t.Fatal(err)
	}
	if line, err := read.ReadString('\n'); err != nil || line != "second\n" {
		t.Fatalf("then: %q, %v", line, err)
	}
	if e := <-ended; e.err != nil || string(e.result) != "first\nsecond\n" {
		t.Errorf("the result is %q, %v", e.result, e.err)
	}
}

// TestRunEndsWithItsReader: a reader of the output that fails ends the run with its error.
func TestRunEndsWithItsReader(t *testing.T) {
	out, in := io.Pipe()
	gone := errors.New("gone")
	out.CloseWithError(gone)
	c := sh("echo first")
	c.Stdout = in
	if _, err := c.Run(t.Context(), os.Environ(), nil); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestRunExitCodes(t *testing.T) {
	for _, c := range []struct {
		script string
		code   int
		text   string
	}{
		{"echo broken >&2; exit 3", 3, "exit status 3: broken"},
		{"exit 100", ExitDiscard, "exit status 100"},
		{"exit 75", ExitSnooze, "exit status 75"},
		{"kill -9 $$", -1, "signal: killed"},
	} {
		_, err := sh(c.script).Run(t.Context(), os.Environ(), nil)
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Code != c.code || err.Error() != c.text {
			t.Errorf("%s: got %v, want code %d and %q", c.script, err, c.code, c.text)
		}
	}
}

func TestRunKeepsTheTailOfErrors(t *testing.T) {
	_, err := sh(`i=0; while [ $i -lt 2000 ]; do echo "line $i" >&2; i=$((i+1)); done; exit 1`).Run(t.Context(), os.Environ(), nil)
	if err == nil || !strings.HasSuffix(err.Error(), "line 1999") || len(err.Error()) > tailBytes+100 {
		t.Fatalf("got %v", err)
	}
}

func TestRunBoundsTheResult(t *testing.T) {
	exact, err := sh("head -c "+strconv.Itoa(ResultBytes)+" /dev/zero").Run(t.Context(), os.Environ(), nil)
	if err != nil || len(exact) != ResultBytes {
		t.Fatalf("at the bound: %d bytes, %v", len(exact), err)
	}
	if _, err := sh("head -c "+strconv.Itoa(ResultBytes+1)+" /dev/zero").Run(t.Context(), os.Environ(), nil); !errors.Is(err, ErrResultTooLarge) {
		t.Fatalf("one byte over: %v", err)
	}
}

func TestRunUnknownProgram(t *testing.T) {
	c := Command{Argv: []string{"/no/such/program"}, Stderr: io.Discard}
	if _, err := c.Run(t.Context(), os.Environ(), nil); err == nil {
		t.Fatal("started a program that does not exist")
	}
}

// TestRunKillsTheGroup: when the claim is lost, the command and what it started end, also when they ignore SIGTERM.
func TestRunKillsTheGroup(t *testing.T) {
	for name, script := range map[string]string{
		"obeys":   `sleep 1000 & echo $! > "$PIDFILE.new"; mv "$PIDFILE.new" "$PIDFILE"; wait`,
		"ignores": `trap "" TERM; sleep 1000 & echo $! > "$PIDFILE.new"; mv "$PIDFILE.new" "$PIDFILE"; while :; do sleep 1000; done`,
	} {
		t.Run(name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "pid")
			lost := errors.New("claim lost")
			ctx, cancel := context.WithCancelCause(t.Context())
			c := sh(script)
			c.Grace = 50 * time.Millisecond
			ended := make(chan error)
			go func() {
				_, err := c.Run(ctx, append(os.Environ(), "PIDFILE="+pidFile), nil)
				ended <- err
			}()
			child := readPID(t, pidFile)
			cancel(lost)
			if err := <-ended; !errors.Is(err, lost) {
				t.Errorf("got %v, want the cause", err)
			}
			waitGone(t, child)
		})
	}
}

// readPID waits for the file that the command writes: the command offers no other signal.
func readPID(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if text, err := os.ReadFile(path); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the command did not start its child")
	return 0
}

// waitGone waits until the killed grandchild is reaped by whoever inherited it, or is a zombie that nobody reaps.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("process %d is still alive", pid)
}
