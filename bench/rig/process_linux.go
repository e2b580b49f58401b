package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is one program that the bench started and will end.
type Process struct {
	Name string
	Done <-chan struct{} // closed once it has ended and was waited for

	cmd  *exec.Cmd
	out  *tail
	done chan struct{} // Done
	err  error         // of Wait; read after done
}

// Start starts argv inside ns. The child dies with the bench. extra are inherited
// descriptors from 3 on, env is added to the environment.
func Start(ns *Namespace, name string, argv, env []string, extra ...*os.File) (*Process, error) {
	p := &Process{Name: name, out: &tail{}, done: make(chan struct{})}
	p.Done = p.done
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.ExtraFiles = extra
	// A group of its own keeps Ctrl-C at the bench, which ends its children in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := ns.Run(p.cmd.Start); err != nil {
		return nil, &Problem{What: "cannot start " + name, Why: err.Error(), Err: err}
	}
	go p.wait()
	return p, nil
}

// wait collects the process; it ends when the process does.
func (p *Process) wait() {
	p.err = p.cmd.Wait()
	close(p.done)
}

// PID gives the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU gives the processor time that the process has used in its life. It must have ended.
func (p *Process) CPU() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// Stop ends the process: a polite signal, and after a second the certain one.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return
	case <-time.After(time.Second):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Failure says why the process ended, for messages.
func (p *Process) Failure() error {
	return &Problem{What: p.Name + " ended by itself", Why: fmt.Sprintf("%v: %s", p.err, Excerpt(p.Output()))}
}

// Interrupt asks the process to end as Ctrl-C does.
func (p *Process) Interrupt() { _ = p.cmd.Process.Signal(syscall.SIGINT) }

// Err tells how it ended, as exec.Cmd.Wait does. It must have ended.
func (p *Process) Err() error { return p.err }

// Output gives the end of what it wrote so far.
func (p *Process) Output() []byte { return p.out.bytes() }

// Ended reports whether it has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Await waits until check succeeds, a process ends, or ctx does; check is tried every 10 ms.
func Await(ctx context.Context, what string, ps []*Process, check func(context.Context) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		for _, p := range ps {
			if p.Ended() {
				return p.Failure()
			}
		}
		try, cancel := context.WithTimeout(ctx, time.Second)
		err := check(try)
		cancel()
		if err == nil {
			return nil
		}
		if !errors.Is(err, context.Canceled) {
			last = err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				why := fmt.Sprint(last)
				for _, p := range ps {
					why += "; " + p.Name + ": " + Excerpt(p.Output())
				}
				return &Problem{What: what + " did not become ready", Why: why, Err: last}
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// tail keeps the last 64 KiB that were written to it. It is safe for concurrent use.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer and never fails.
func (t *tail) Write(p []byte) (int, error) {
	const keep = 64 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - keep; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.buf...)
}
