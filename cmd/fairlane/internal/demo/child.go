package demo

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

// child is a process of the demonstration.
type child struct {
	name  string
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{} // closed when the process is reaped
	err   error         // how it ended; read only after ended
}

// start runs this binary with other arguments. Its error output goes to the log file, its standard output to out. The
// environment is emptied of Fairlane's own variables: the demonstration's arguments alone decide.
func start(name, binary, logPath string, out io.Writer, args ...string) (*child, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	c := &child{name: name, cmd: exec.Command(binary, args...), log: log, ended: make(chan struct{})}
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
		c.err = c.cmd.Wait()
		log.Close()
		close(c.ended)
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

// kill ends the process as a power cut would, and waits until it is gone.
func (c *child) kill() {
	_ = process.Signal(c.cmd, syscall.SIGKILL)
	<-c.ended
}

// stop asks the process to end and kills it after the limit. The error is how it ended, when not well.
func (c *child) stop(limit time.Duration) error {
	if err := process.Signal(c.cmd, syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.ended:
	case <-time.After(limit):
		c.kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM", c.name, limit)
	}
	if c.err != nil {
		return fmt.Errorf("%s: %w%s", c.name, c.err, c.lastWords())
	}
	return nil
}

// alive reports that the process was not reaped yet.
func (c *child) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// lastWords are the last lines of the log, for an error message.
func (c *child) lastWords() string {
	text, err := os.ReadFile(c.log.Name())
	if err != nil || len(text) == 0 {
		return ""
	}
	return "; its log ends: " + string(bytes.TrimSpace(text[max(0, len(text)-600):]))
}

// killAll ends what is left, in any order.
func killAll(children []*child) {
	for _, c := range children {
		if c != nil && c.alive() {
			c.kill()
		}
	}
}

var errNoLeader = errors.New("no node leads")
