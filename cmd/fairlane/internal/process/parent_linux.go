package process

import "syscall"

// dieWithParent relies on the runtime keeping its threads: the kernel watches the thread that forked, and Go ends a thread
// only when a goroutine that was locked to it ends locked.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
