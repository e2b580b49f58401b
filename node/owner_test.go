package node

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

func TestOwnerSurvivesBeingWrittenAndRead(t *testing.T) {
	self := Self()
	got, err := ParseOwner(self.String())
	if err != nil || got != self {
		t.Fatalf("ParseOwner(%q) = %v, %v; want %v", self, got, err, self)
	}
}

func TestParseOwnerRefusesAnythingElse(t *testing.T) {
	for _, s := range []string{"", "1", "1-2", "0-1-2", "-1-2-3", "1-2-3-4", "1-2-3 ", " 1-2-3", "01-2-3", "1-2-x", "1--2-3", "a-b-c"} {
		if o, err := ParseOwner(s); err == nil {
			t.Errorf("ParseOwner(%q) = %v, want an error", s, o)
		}
	}
}

func TestTheLivingAreNotDead(t *testing.T) {
	if Self().Dead() {
		t.Error("this very process counts as dead; its property would be removed")
	}
}

func TestADeadOwnerIsKnown(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: start times are known on Linux only")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := lookOwner(cmd.Process.Pid)
	if o.Start == 0 || o.Dead() {
		t.Errorf("a running child: %+v, dead %v", o, o.Dead())
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !o.Dead() {
		t.Errorf("a child that was killed and waited for does not count as dead: %+v", o)
	}
}

func TestAPidUsedAgainDoesNotKeepADeadOwnerAlive(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: start times are known on Linux only")
	}
	o := Self()
	o.Start-- // somebody with our pid who started earlier
	if !o.Dead() {
		t.Error("an owner whose pid was used again counts as living")
	}
}

func TestAnOwnerOfAnotherPidNamespaceIsLeftAlone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: pid namespaces are of Linux")
	}
	o := Owner{PID: 1 << 22, Start: 1, Space: pidSpace() + 1}
	if o.Dead() {
		t.Error("a container sharing the network would lose its link")
	}
}

func TestStartTimeIsFoundBehindAnOddProcessName(t *testing.T) {
	for _, tc := range []struct {
		name, stat string
		want       uint64
		ok         bool
	}{
		{"a plain one", "7 (cat) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1", 4242, true},
		{"blanks and parentheses in the name", "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1", 4242, true},
		{"a zombie has ended", "7 (cat) Z 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1", 0, false},
		{"cut short", "7 (cat) S 1 7", 0, false},
		{"no name", "7", 0, false},
		{"empty", "", 0, false},
	} {
		if got, ok := parseStart(tc.stat); got != tc.want || ok != tc.ok {
			t.Errorf("%s: %d, %v; want %d, %v", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}

func FuzzParseOwner(f *testing.F) {
	f.Add("4711-12-4026531836")
	f.Add("7 (a) b (c) S 1")
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := ParseOwner(s); err == nil && o.String() != s {
			t.Errorf("%q was read as %v", s, o)
		}
		_, _ = parseStart(s)
	})
}

func TestThreadRunsEverythingOnOneThread(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: thread ids are asked on Linux only")
	}
	th := NewThread()
	defer th.Close()
	var first, second string
	_ = th.Do(func() (err error) { first, err = os.Readlink("/proc/thread-self"); return err })
	_ = th.Do(func() (err error) { second, err = os.Readlink("/proc/thread-self"); return err })
	if first == "" || first != second {
		t.Errorf("two functions ran on %q and %q", first, second)
	}
}

func TestThreadIsNeverTheFirstOneOfTheProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: threads are told apart on Linux only")
	}
	// Many at once, so that every thread of the runtime is in use, the first one too.
	var threads []*Thread
	for range 64 {
		threads = append(threads, NewThread())
	}
	for _, th := range threads {
		var first bool
		_ = th.Do(func() error { first = onFirstThread(); return nil })
		if first {
			t.Error("a thread is the process's first one, whose namespaces count as the process's")
		}
		th.Close()
	}
}
