package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one program that the bench started and will end.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *tail
	done chan struct{} // closed once Wait has returned
	err  error         // of Wait; read after done
}

// startProcess starts argv inside ns. The child dies with the bench. extra are inherited
// descriptors from 3 on, env is added to the environment.
func startProcess(ns *namespace, name string, argv, env []string, extra ...*os.File) (*process, error) {
	p := &process{name: name, out: &tail{}, done: make(chan struct{})}
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.ExtraFiles = extra
	// A group of its own keeps Ctrl-C at the bench, which ends its children in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := ns.start(p.cmd); err != nil {
		return nil, &problem{what: "cannot start " + name, why: err.Error(), err: err}
	}
	go p.wait()
	return p, nil
}

// wait collects the process; it ends when the process does.
func (p *process) wait() {
	p.err = p.cmd.Wait()
	close(p.done)
}

// pid gives the process id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// cpu gives the processor time that the process has used in its life. It must have ended.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// stop ends the process: a polite signal, and after a second the certain one.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return
	case <-time.After(time.Second):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// failure says why the process ended, for messages.
func (p *process) failure() error {
	return &problem{what: p.name + " ended by itself", why: fmt.Sprintf("%v: %s", p.err, excerpt(p.out.bytes()))}
}

// cpuTime gives the processor time that the process used so far, all its threads, in nanoseconds.
//
// It is the clock behind utime+stime of /proc/PID/stat (which are the same time, split and rounded
// to ticks of 10 ms); clock_getcpuclockid(3) makes the number of the clock from the pid.
func cpuTime(pid int) (time.Duration, error) {
	const cpuclockSched = 2
	if pid < 1 || pid > 1<<28 { // a number that does not fit would name another clock
		return 0, fmt.Errorf("processor time of process %d: no such process", pid)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// userTime gives the user part of it, from /proc.
func userTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	st, err := parseProcStat(b)
	return st.user, err
}

// await waits until check succeeds, a process ends, or ctx does; check is tried every 10 ms.
func await(ctx context.Context, what string, ps []*process, check func(context.Context) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		for _, p := range ps {
			select {
			case <-p.done:
				return p.failure()
			default:
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
					why += "; " + p.name + ": " + excerpt(p.out.bytes())
				}
				return &problem{what: what + " did not become ready", why: why, err: last}
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
