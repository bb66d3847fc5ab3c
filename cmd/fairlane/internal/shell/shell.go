// Package shell runs one command for one job: payload in, result out, and nothing left running.
package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/process"
)

const (
	// ResultBytes is the most that a command may print on its standard output; it is the cluster's bound of a result.
	ResultBytes = 1 << 20
	// tailBytes of the error output go into the job's error.
	tailBytes = 4 << 10
)

// Exit codes of a command that mean more than "failed, try again".
const (
	ExitDiscard = 100 // failed, and trying again is no use
	ExitSnooze  = 75  // not now (EX_TEMPFAIL of sysexits.h): costs no attempt
)

// Command is what runs for each job.
type Command struct {
	Argv []string
	// Grace is the time between SIGTERM and SIGKILL when the run is called off.
	Grace time.Duration
	// Stdout also gets the command's standard output, as it comes; nil: nobody does. When it fails, so does the run.
	Stdout io.Writer
	// Stderr also gets the command's error output, as it comes.
	Stderr io.Writer
	// OnAbort registers what kills the run when this process is told to end at once, until the function given back is called; nil: nothing does.
	OnAbort func(kill func()) (done func())
}

// ExitError is a command that ended with another code than 0, or by a signal (code -1).
type ExitError struct {
	Code   int
	Status string // "exit status 3", "signal: killed"
	Tail   string // the end of the error output
}

func (e *ExitError) Error() string {
	if e.Tail == "" {
		return e.Status
	}
	return e.Status + ": " + e.Tail
}

// ErrResultTooLarge is a command that printed more than ResultBytes.
var ErrResultTooLarge = fmt.Errorf("the output is larger than %d bytes", ResultBytes)

// Run runs the command once with env as its whole environment and payload as its input, and gives its standard output. When
// ctx ends, the process group gets SIGTERM, after the grace SIGKILL, and the error is the cause of ctx. What the command
// left in its group is killed in every case.
func (c Command) Run(ctx context.Context, env []string, payload []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	var result bounded
	var tail tail
	cmd.Env, cmd.Stdin, cmd.Stdout = env, bytes.NewReader(payload), &result
	if c.Stdout != nil {
		cmd.Stdout = io.MultiWriter(&result, c.Stdout)
	}
	cmd.Stderr = io.MultiWriter(&tail, c.Stderr)
	process.Own(cmd)
	cmd.Cancel = func() error { return process.Signal(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = c.Grace
	err := cmd.Start()
	if err == nil {
		if c.OnAbort != nil {
			defer c.OnAbort(func() { _ = process.Signal(cmd, syscall.SIGKILL) })()
		}
		err = cmd.Wait()
	}
	sweep := process.Signal(cmd, syscall.SIGKILL)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, &ExitError{exit.ExitCode(), exit.String(), tail.text()}
	case errors.Is(err, exec.ErrWaitDelay):
		// The command ended well and left a child that held its output open: its exit code decides.
	case err != nil:
		return nil, err
	}
	if result.over {
		return nil, ErrResultTooLarge
	}
	return result.kept.Bytes(), sweep
}

// bounded keeps the first ResultBytes and swallows the rest, so that a command that prints too much ends by itself. The
// buffer is not embedded: its ReadFrom would go around the bound.
type bounded struct {
	kept bytes.Buffer
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := ResultBytes - b.kept.Len()
	if len(p) > room {
		b.over = true
	}
	b.kept.Write(p[:min(len(p), room)])
	return len(p), nil
}

// tail keeps the last tailBytes.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) text() string { return strings.TrimSpace(strings.ToValidUTF8(string(t.kept), "?")) }
