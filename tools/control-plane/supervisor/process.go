package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is one child with its log.
type process struct {
	name    string
	log     string
	command *exec.Cmd
	done    chan struct{}
}

// launch starts a binary in a process group of its own, so that a terminal's Ctrl-C reaches the supervisor alone.
func launch(dir, binary string, arguments ...string) (*process, error) {
	name := filepath.Base(binary)
	path := filepath.Join(dir, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(binary, arguments...)
	command.Stdout, command.Stderr = log, log
	command.Dir = dir
	command.SysProcAttr = attributes()
	if err := command.Start(); err != nil {
		return nil, err
	}
	started := &process{name: name, log: path, command: command, done: make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(started.done)
	}()
	return started, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end asks the process to end, and kills it if it has not after the grace.
func (p *process) end(grace time.Duration) {
	if p == nil {
		return
	}
	if grace > 0 {
		_ = p.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
			return
		case <-time.After(grace):
		}
	}
	_ = p.command.Process.Kill()
	<-p.done
}

// failure is an error that shows the end of the process's log.
func (p *process) failure(what string) error {
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	return fmt.Errorf("%s %s; the end of its log:\n%s", p.name, what, strings.Join(lines, "\n"))
}
