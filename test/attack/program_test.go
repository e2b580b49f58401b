//go:build linux

package attack

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is a process under test.
type program struct {
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it was waited for
}

// output keeps the end of what a program prints.
type output struct {
	mu  sync.Mutex
	buf []byte
}

const keptOutput = 16 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, p...)
	if len(o.buf) > 2*keptOutput {
		o.buf = o.buf[:copy(o.buf, o.buf[len(o.buf)-keptOutput:])]
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(bytes.ToValidUTF8(o.buf, []byte("?")))
}

// starter starts children on one thread that lives as long as the tests, so that children die with it:
// the kernel ties PR_SET_PDEATHSIG to the thread that forked.
var starter = struct {
	once sync.Once
	jobs chan func()
	done chan struct{}
}{jobs: make(chan func()), done: make(chan struct{})}

func onStarter(f func()) {
	starter.once.Do(func() {
		go func() { // ends in endShared
			runtime.LockOSThread()
			defer close(starter.done)
			for job := range starter.jobs {
				job()
			}
		}()
	})
	done := make(chan struct{})
	starter.jobs <- func() { f(); close(done) }
	<-done
}

// launch starts a program. extra are inherited from descriptor 3 on.
func launch(env []string, extra []*os.File, name string, args ...string) (*program, error) {
	p := &program{name: filepath.Base(name), cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + work, "TMPDIR=" + work, "NO_COLOR=1"}, env...)
	p.cmd.Dir, p.cmd.ExtraFiles = work, extra
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = 3 * time.Second
	var err error
	onStarter(func() { err = p.cmd.Start() })
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	go func() { // ends with the process
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// end stops it: a polite signal, then the certain one.
func (p *program) end() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s had ended by itself: %s\n%s", p.name, p.cmd.ProcessState, p.out.String())
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(2 * time.Second): // work in flight is what these tests leave behind on purpose
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return nil
}

// rss gives resident memory in bytes.
func (p *program) rss(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("%s: no VmRSS", p.name)
	return 0
}

// cpu gives the processor time used so far, to 10 ms.
func (p *program) cpu(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which may hold spaces
	f := strings.Fields(rest)
	if len(f) < 13 {
		t.Fatalf("%s: stat is %q", p.name, text)
	}
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// freePort gives a port on which nobody listens.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// eventually polls until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) { // polling, with a deadline
		if time.Now().After(deadline) {
			t.Fatalf("in %s it did not come about that %s", patience, what)
		}
	}
}

// answers waits until something listens.
func answers(p *program, network, addr string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // polling, with a deadline
		c, err := net.Dial(network, addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.name, p.out.String())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen on %s: %w\n%s", p.name, addr, err, p.out.String())
		}
	}
}
