// Command supervisor starts etcd, kube-apiserver and, if asked to, kube-controller-manager on loopback, and takes
// them down again.
//
// It prints one line of JSON when the API server is ready. Then each line on its standard input is a command (see
// commands.go) that it answers with one line of JSON. It ends when its standard input closes, which is how it learns
// that its parent is gone, and on SIGINT, SIGTERM and SIGHUP. Arguments after "--" go to kube-apiserver.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func init() {
	// A child is told of the death of the thread that started it: all are started by the main goroutine, on the main
	// thread.
	runtime.LockOSThread()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "control plane:", err)
		os.Exit(1)
	}
}

func run() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	binaries := flag.String("binaries", filepath.Dir(self), "directory with the binaries")
	keep := flag.Bool("keep", false, "keep the data directory")
	controllers := flag.Bool("controllers", false, "start kube-controller-manager too")
	timeout := flag.Duration("timeout", 90*time.Second, "how long to wait until the API server is ready")
	flag.Parse()

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	lines := make(chan string)
	go read(lines)

	dir, err := os.MkdirTemp("", "control-plane-")
	if err != nil {
		return err
	}
	if !*keep {
		defer os.RemoveAll(dir)
	}
	plane, err := newPlane(dir, *binaries, *timeout, flag.Args(), func() error {
		select {
		case signal := <-signals:
			return fmt.Errorf("stopped by %s", signal)
		case _, open := <-lines:
			if !open {
				return fmt.Errorf("the parent is gone")
			}
		default:
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer plane.stop()
	if err := plane.start(*controllers); err != nil {
		return err
	}

	answer(plane.description())
	for {
		select {
		case line, open := <-lines:
			if !open {
				return nil
			}
			if err := plane.command(line); err != nil {
				answer(map[string]any{"error": err.Error()})
			} else {
				answer(map[string]any{"ok": true})
			}
		case <-signals:
			return nil
		}
	}
}

// read hands on the lines of standard input, and closes the channel with it.
func read(lines chan<- string) {
	scanner := bufio.NewScanner(os.Stdin)
	for scanner.Scan() {
		lines <- scanner.Text()
	}
	close(lines)
}

func answer(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}
