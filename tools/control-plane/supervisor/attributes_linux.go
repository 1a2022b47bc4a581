package main

import "syscall"

// attributes has the kernel kill a child whose supervisor was killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
