package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/fairlane-scheduler/fairlane/cmd/fairlane/internal/process"
)

// Child is a process of this machine that this process started.
type Child struct {
	Name  string
	cmd   *exec.Cmd
	log   *os.File
	Ended chan struct{} // closed when the process is reaped
	Err   error         // how it ended; read only after Ended
}

// Start runs a binary with other arguments. Its error output goes to the log file, its standard output to out. The
// environment is emptied of Fairlane's own variables: the arguments alone decide.
func Start(name, binary, logPath string, out io.Writer, args ...string) (*Child, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	c := &Child{Name: name, cmd: exec.Command(binary, args...), log: log, Ended: make(chan struct{})}
	c.cmd.Env = cleanEnv(os.Environ())
	c.cmd.Stderr = log
	c.cmd.Stdout = out
	// A worker's last lines are waited for, but not the output of what it may have left behind.
	c.cmd.WaitDelay = 5 * time.Second
	process.Own(c.cmd)
	if err := c.cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		c.Err = c.cmd.Wait()
		log.Close()
		close(c.Ended)
	}()
	return c, nil
}

// cleanEnv drops the FAIRLANE_* variables, except those of the test hooks.
func cleanEnv(env []string) []string {
	var kept []string
	for _, v := range env {
		own := bytes.HasPrefix([]byte(v), []byte("FAIRLANE_"))
		if !own {
			kept = append(kept, v)
		}
	}
	return kept
}

// Kill ends the process as a power cut would, and waits until it is gone.
func (c *Child) Kill() {
	_ = process.Signal(c.cmd, syscall.SIGKILL)
	<-c.Ended
}

// Stop asks the process to end and kills it after the limit. The error is how it ended, when not well.
func (c *Child) Stop(limit time.Duration) error {
	if err := process.Signal(c.cmd, syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.Ended:
	case <-time.After(limit):
		c.Kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM", c.Name, limit)
	}
	if c.Err != nil {
		return fmt.Errorf("%s: %w%s", c.Name, c.Err, c.LastWords())
	}
	return nil
}

// Alive reports that the process was not reaped yet.
func (c *Child) Alive() bool {
	select {
	case <-c.Ended:
		return false
	default:
		return true
	}
}

// LastWords are the last lines of the log, for an error message.
func (c *Child) LastWords() string {
	text, err := os.ReadFile(c.log.Name())
	if err != nil || len(text) == 0 {
		return ""
	}
	return "; its log ends: " + string(bytes.TrimSpace(text[max(0, len(text)-600):]))
}

// KillAll ends what is left, in any order.
func KillAll(children []*Child) {
	for _, c := range children {
		if c != nil && c.Alive() {
			c.Kill()
		}
	}
}

// ErrNoLeader: no node of the fleet says that it leads.
var ErrNoLeader = errors.New("no node leads")

// Signal sends a signal to the process and to what it started. A process that is gone is no error.
func (c *Child) Signal(s syscall.Signal) error { return process.Signal(c.cmd, s) }

// PID of the process.
func (c *Child) PID() int { return c.cmd.Process.Pid }
