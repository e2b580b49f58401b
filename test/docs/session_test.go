package docs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Deadlines of one command, and of a wait for what a background command prints.
const (
	commandLimit = 25 * time.Second
	waitLimit    = 15 * time.Second
	poll         = 20 * time.Millisecond
)

// session is a shell in a directory of its own, with the programs on its PATH and nothing of this
// machine's meshes in sight. As root it has a network of its own too, so that the ports that pages
// name are free.
type session struct {
	t     *testing.T
	dir   string // everything of it is below
	mark  string // in the environment of all that it starts
	shell *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	calls int
	seen  map[string]int // bytes of a background command's output that a page has shown
}

// The directories as pages show them.
const (
	homeShown    = "/home/me"
	runtimeShown = "/run/user/1000"
)

func newSession(t *testing.T, programs string) *session {
	t.Helper()
	dir, err := os.MkdirTemp("", "wd") // short: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, dir: dir, mark: "WEFT_DOCS_TEST=" + filepath.Base(dir), seen: map[string]int{}}
	t.Cleanup(func() { s.end() })
	for _, d := range []string{"run", "home/shop", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.shell = exec.Command("bash", "--noprofile", "--norc")
	s.shell.Dir = filepath.Join(dir, "home/shop")
	s.shell.Env = []string{
		s.mark, "PATH=" + programs + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + filepath.Join(dir, "home"),
		"XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"), "XDG_STATE_HOME=" + filepath.Join(dir, "home/.local/state"),
		"TMPDIR=" + filepath.Join(dir, "tmp"), "LANG=C.UTF-8", "TERM=dumb", "PYTHONUNBUFFERED=1",
	}
	s.shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ownNetwork(s.shell)
	in, err := s.shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	s.in, s.out = in, bufio.NewReader(r)
	s.shell.Stdout, s.shell.Stderr = w, w
	if err := s.shell.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if os.Geteuid() == 0 {
		s.run("ip link set lo up 2>/dev/null")
	}
	return s
}

// run runs one command in the shell and gives what it printed and its exit code.
func (s *session) run(command string) (out []string, code int) {
	s.t.Helper()
	s.calls++
	mark := fmt.Sprintf("end-of-%d-%s", s.calls, filepath.Base(s.dir))
	// The command's input is empty, or it would read what follows. A syntax error must not take
	// the marker along, therefore eval.
	fmt.Fprintf(s.in, "eval %s </dev/null\necho; echo %s $?\n", quote(command), mark)
	type end struct {
		out  []string
		code int
		err  error
	}
	done := make(chan end, 1)
	go func() { // ends with the marker, or when the shell's output is closed at the session's end
		var e end
		for {
			l, err := s.out.ReadString('\n')
			l = strings.TrimSuffix(l, "\n")
			if rest, ok := strings.CutPrefix(l, mark+" "); ok {
				e.code, e.err = strconv.Atoi(rest)
				break
			}
			if err != nil {
				e.err = err
				break
			}
			e.out = append(e.out, s.shown(l))
		}
		done <- e
	}()
	select {
	case e := <-done:
		if e.err != nil {
			s.t.Fatalf("the shell ended while it ran %q: %v\n%s", command, e.err, strings.Join(e.out, "\n"))
		}
		return trim(e.out), e.code
	case <-time.After(commandLimit):
		s.t.Fatalf("%q did not end within %v", command, commandLimit)
	}
	return nil, 0
}

func quote(command string) string { return "'" + strings.ReplaceAll(command, "'", `'\''`) + "'" }

// background starts a command that goes on running.
func (s *session) background(name, command string) {
	s.t.Helper()
	if out, code := s.run(fmt.Sprintf(": >%[2]s; { %[1]s\n} >>%[2]s 2>&1 </dev/null &", command, quote(s.log(name)))); code != 0 {
		s.t.Fatalf("starting %q: %s", command, out)
	}
}

func (s *session) log(name string) string { return filepath.Join(s.dir, "tmp", name+".out") }

// await waits until a background command printed what want says, beyond what was shown before.
func (s *session) await(name string, want []string) (got []string, ok bool) {
	s.t.Helper()
	for end := time.Now().Add(waitLimit); ; time.Sleep(poll) {
		text, err := os.ReadFile(s.log(name))
		if err != nil {
			s.t.Fatalf("no command called %q runs: %v", name, err)
		}
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		got = strings.Split(strings.TrimSuffix(s.shown(string(whole[min(s.seen[name], len(whole)):])), "\n"), "\n")
		if matches(want, got) {
			s.seen[name] = len(whole)
			return got, true
		}
		if time.Now().After(end) {
			return got, false
		}
	}
}

// shown replaces the session's directories by those that pages show.
func (s *session) shown(text string) string {
	text = strings.ReplaceAll(text, filepath.Join(s.dir, "home"), homeShown)
	return strings.ReplaceAll(text, filepath.Join(s.dir, "run"), runtimeShown)
}

// end ends everything that the session started, and tells what would not.
func (s *session) end() {
	if s.shell != nil && s.shell.Process != nil {
		s.in.Close()
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			left := s.processes()
			if len(left) > 0 && sig == syscall.SIGKILL {
				s.t.Errorf("these did not end on SIGTERM: %v", left)
			}
			for pid := range left {
				syscall.Kill(pid, sig) //nolint:errcheck // it may have ended meanwhile
			}
			for end := time.Now().Add(12 * time.Second); len(s.processes()) > 0 && time.Now().Before(end); time.Sleep(poll) {
			}
		}
		s.shell.Wait() //nolint:errcheck // it was ended by a signal
	}
	if s.t.Failed() {
		for name := range s.seen {
			if text, err := os.ReadFile(s.log(name)); err == nil {
				s.t.Logf("%s printed at last:\n%s", name, s.shown(string(text[max(0, len(text)-600):])))
			}
		}
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Errorf("clean-up: %v", err)
	}
}

// processes gives those that carry the session's mark: only what it started itself has that.
func (s *session) processes() map[int]string {
	found := map[int]string{}
	list, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range list {
		env, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+s.mark+"\x00")) {
			continue
		}
		dir := filepath.Dir(f)
		pid, err := strconv.Atoi(filepath.Base(dir))
		cmd, cerr := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err == nil && cerr == nil && len(cmd) > 0 { // the dead have none
			found[pid] = strings.ReplaceAll(string(cmd), "\x00", " ")
		}
	}
	return found
}
