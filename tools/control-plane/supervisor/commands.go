package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// command does what a line on standard input asks for.
func (p *plane) command(line string) error {
	switch strings.TrimSpace(line) {
	case "stop-server":
		p.server.end(2 * time.Second)
		return nil
	case "kill-server":
		p.server.end(0)
		return nil
	case "start-server":
		return p.startServer()
	case "freeze-server":
		return p.server.command.Process.Signal(syscall.SIGSTOP)
	case "thaw-server":
		return p.server.command.Process.Signal(syscall.SIGCONT)
	case "compact":
		return p.compact()
	case "backup":
		return p.offline(func() error {
			if err := os.RemoveAll(p.path("backup")); err != nil {
				return err
			}
			return os.CopyFS(p.path("backup"), os.DirFS(p.path("etcd")))
		})
	case "restore":
		return p.offline(func() error {
			if err := os.RemoveAll(p.path("etcd")); err != nil {
				return err
			}
			return os.CopyFS(p.path("etcd"), os.DirFS(p.path("backup")))
		})
	case "start-controllers":
		if p.controllers != nil && !p.controllers.ended() {
			return nil
		}
		return p.startControllers()
	default:
		return fmt.Errorf("no such command: %q", line)
	}
}

// offline does something to etcd's files while nothing uses them.
func (p *plane) offline(work func() error) error {
	p.server.end(2 * time.Second)
	p.etcd.end(5 * time.Second)
	if err := work(); err != nil {
		return err
	}
	if err := p.startEtcd(); err != nil {
		return err
	}
	return p.startServer()
}

// compact has etcd forget all versions but the last, through its JSON gateway.
func (p *plane) compact() error {
	var state struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	if err := p.gateway("/v3/kv/range", map[string]any{"key": "AA=="}, &state); err != nil {
		return err
	}
	return p.gateway("/v3/kv/compaction", map[string]any{"revision": state.Header.Revision, "physical": true}, nil)
}

func (p *plane) gateway(path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	answer, err := p.http.Post(p.etcdURL+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd answered %s to %s", answer.Status, path)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
