//go:build unix && !linux

package process

import "syscall"

// dieWithParent: only Linux can promise it. Elsewhere the callers' own clean-up has to do.
func dieWithParent(*syscall.SysProcAttr) {}
