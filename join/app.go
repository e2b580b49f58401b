package join

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/node"
)

// app is the running application.
type app struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and been waited for
	// tty is the terminal that it shares with us, or -1. With a terminal as its input the
	// application stays in our process group: that is what job control, pipelines and
	// programs that read the keyboard expect. Else it has a group of its own and every signal
	// reaches it exactly once, through us.
	tty int
}

// startApp starts the application on the thread, whose namespaces it inherits.
func startApp(o *Options, env []string, thread *node.Thread) (*app, int, error) {
	a := &app{done: make(chan struct{}), tty: -1}
	if f, ok := o.Stdin.(*os.File); ok && f != nil && isTerminal(int(f.Fd())) {
		a.tty = int(f.Fd())
	}
	a.cmd = exec.Command(o.Command[0], o.Command[1:]...)
	a.cmd.Env, a.cmd.Dir = env, o.Dir
	a.cmd.Stdin, a.cmd.Stdout, a.cmd.Stderr = o.Stdin, o.Stdout, o.Stderr
	a.cmd.SysProcAttr = attributes(a.tty < 0)
	a.cmd.WaitDelay = 2 * time.Second // for children of it that hold a stream which is not a file
	if err := thread.Do(a.cmd.Start); err != nil {
		code, coded := cannotStart(o.Command[0], err)
		return nil, code, coded
	}
	go a.wait()
	return a, 0, nil
}

// cannotStart codes the failure and gives the exit code of shells for it.
func cannotStart(name string, err error) (int, error) {
	e := codes.New("W4104", fmt.Sprintf("%s could not be started", name))
	e.Why, e.Err = err.Error(), err
	e.Next = []string{"command -v " + name, "ls -l " + name}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return 127, e
	}
	return 126, e
}

func (a *app) wait() {
	_ = a.cmd.Wait() // the process state says it
	close(a.done)
}

// run passes signals until the application ends, and gives its exit code. When ctx ends first,
// the application is asked to end and, after the timeout, killed.
//
// leave, if not nil, announces that the application takes no new requests. It goes before the
// SIGTERM of a supervisor, so that nobody is sent to an application that has closed its socket.
// ending is called whenever the application is about to be asked to end.
func (a *app) run(ctx context.Context, signals <-chan os.Signal, leave func() <-chan struct{}, ending func(), timeout time.Duration) int {
	cancelled := ctx.Done()
	var late <-chan time.Time
	var left <-chan struct{} // not nil: SIGTERM waits for it
	end := func() {
		left = nil
		terminate(a.cmd.Process)
	}
	for {
		select {
		case <-a.done:
			return exitCode(a.cmd.ProcessState)
		case <-left:
			end()
		case s := <-signals:
			if ends(s) {
				ending()
			}
			if left != nil && ends(s) { // impatience
				end()
			}
			switch {
			case isTerminate(s) && leave != nil:
				left, leave = leave(), nil
			case a.tty < 0 || !fromKeyboard(s, a.tty):
				_ = a.cmd.Process.Signal(s)
			}
		case <-cancelled:
			cancelled = nil
			ending()
			if leave != nil {
				left, leave = leave(), nil
			} else if left == nil {
				end()
			}
			t := time.NewTimer(timeout)
			defer t.Stop()
			late = t.C
		case <-late:
			kill(a.cmd.Process, a.tty < 0)
		}
	}
}
