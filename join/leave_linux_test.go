package join

import (
	"bufio"
	"context"
	"io"
	"maps"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestTheLabelAppIsTheNameUnlessGiven(t *testing.T) {
	for _, tc := range []struct {
		name        string
		given, want map[string]string
	}{
		{"none given", nil, map[string]string{"app": "web"}},
		{"others given", map[string]string{"version": "v2"}, map[string]string{"app": "web", "version": "v2"}},
		{"given", map[string]string{"app": "shop"}, map[string]string{"app": "shop"}},
		{"given as none", map[string]string{"app": ""}, map[string]string{"app": ""}},
	} {
		before := maps.Clone(tc.given)
		o := Options{Name: "web", Command: []string{"true"}, Labels: tc.given}
		if err := o.Normalize(); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(o.Labels, tc.want) {
			t.Errorf("%s: labels %v, want %v", tc.name, o.Labels, tc.want)
		}
		if !maps.Equal(tc.given, before) {
			t.Errorf("%s: the caller's labels were changed to %v", tc.name, tc.given)
		}
	}
}

// waiting starts an application that tells each signal on a line.
func waiting(t *testing.T) (*app, *bufio.Reader) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	a := &app{cmd: exec.Command(self(t), "play", "wait"), done: make(chan struct{}), tty: -1}
	a.cmd.Stdout = w
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	go a.wait()
	out := bufio.NewReader(r)
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return a, out
}

func TestTheApplicationIsStoppedAfterTheMeshKnows(t *testing.T) {
	a, out := waiting(t)
	signals, asked, left := make(chan os.Signal, 4), make(chan struct{}), make(chan struct{})
	leave := func() <-chan struct{} { close(asked); return left }
	ended := make(chan int)
	go func() { ended <- a.run(context.Background(), signals, leave, func() {}, time.Minute) }()

	signals <- syscall.SIGTERM
	<-asked
	signals <- syscall.SIGHUP // others pass meanwhile
	if line, _ := out.ReadString('\n'); line != "got hangup\n" {
		t.Fatalf("before the mesh knows the application hears %q", line)
	}
	close(left)
	if line, _ := out.ReadString('\n'); line != "got terminated\n" {
		t.Errorf("then the application hears %q", line)
	}
	if code := <-ended; code != 7 {
		t.Errorf("exit code %d", code)
	}
}

func TestASecondSignalDoesNotWaitForTheMesh(t *testing.T) {
	a, out := waiting(t)
	signals := make(chan os.Signal, 4)
	never := func() <-chan struct{} { return make(chan struct{}) }
	ended := make(chan int)
	go func() { ended <- a.run(context.Background(), signals, never, func() {}, time.Minute) }()
	signals <- syscall.SIGTERM
	signals <- syscall.SIGTERM
	if line, _ := out.ReadString('\n'); line != "got terminated\n" {
		t.Errorf("the application hears %q", line)
	}
	_, _ = io.Copy(io.Discard, out)
	if code := <-ended; code != 7 {
		t.Errorf("exit code %d", code)
	}
}
