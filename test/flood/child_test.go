//go:build linux

package flood

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that should be there at once.
const patience = 20 * time.Second

// roleArg makes this test program another: PROGRAM roleArg ROLE, with its order on standard input.
const roleArg = "play-role"

// play is the main function of such a child.
func play(role string) int {
	roles := map[string]func(io.Reader, io.Writer) error{"app": serveApp, "attack": runAttack}
	f := roles[role]
	if f == nil {
		fmt.Fprintln(os.Stderr, "no such role:", role)
		return 2
	}
	if err := f(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

// child is a program that the test started.
type child struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *os.File // what it says
	says  *json.Decoder
	tail  tail // what it logs
	done  chan struct{}
	ended bool
}

// launch starts a program; extra are inherited from descriptor 3 on. It is ended with the test.
func launch(t testing.TB, env []string, extra []*os.File, name string, args ...string) *child {
	t.Helper()
	c := &child{t: t, name: name, done: make(chan struct{})}
	c.cmd = exec.Command(name, args...)
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.ExtraFiles = extra
	c.cmd.Stderr = &c.tail
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	c.cmd.WaitDelay = 3 * time.Second
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out, c.says, c.cmd.Stdout = r, json.NewDecoder(r), w
	err = c.cmd.Start()
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		defer close(c.done)
		_ = c.cmd.Wait()
	}()
	t.Cleanup(c.end)
	return c
}

// playing starts this program in a role with an order.
func playing(t testing.TB, role string, order any) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := launch(t, nil, nil, exe, roleArg, role)
	if err := json.NewEncoder(c.in).Encode(order); err != nil {
		t.Fatal(err)
	}
	return c
}

// hear decodes what the child says next.
func (c *child) hear(into any) {
	c.t.Helper()
	if err := c.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	if err := c.says.Decode(into); err != nil {
		c.t.Fatalf("%s says nothing: %v\n%s", c.name, err, c.tail.String())
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// end stops the child, in order if it listens.
func (c *child) end() {
	if c.ended {
		return
	}
	c.ended = true
	_ = c.in.Close()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Errorf("signalling %s: %v", c.name, err)
	}
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	_ = c.out.Close()
	if c.t.Failed() && len(c.tail.String()) > 0 {
		c.t.Logf("--- %s %v\n%s", c.name, c.cmd.Args[1:], c.tail.String())
	}
}

// tail keeps the end of what a process logs. The zero value is ready.
type tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

const tailSize = 4 << 10

// Write implements io.Writer.
func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if n := len(l.text) - tailSize; n > tailSize {
		l.text = append(l.text[:0], l.text[n:]...)
	}
	return len(b), nil
}

// String gives what is kept.
func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Clone(l.text))
}
