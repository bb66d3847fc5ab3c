//go:build unix

// Package process starts children that do not outlive their purpose: each in a process group of its own, so that what it
// started ends with it.
package process

import (
	"errors"
	"os/exec"
	"syscall"
)

// Own puts the command, before it is started, into a process group of its own. On Linux the kernel also kills it when this
// process dies in whatever way.
func Own(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithParent(cmd.SysProcAttr)
}

// Signal sends a signal to the whole group of a started command. A group that is gone is no error.
func Signal(cmd *exec.Cmd, s syscall.Signal) error {
	if cmd.Process == nil {
		return nil
	}
	if err := syscall.Kill(-cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
