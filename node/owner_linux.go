package node

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func selfPID() int { return os.Getpid() }

// lookOwner reads the start time of a process; 0 if it cannot be read.
func lookOwner(pid int) Owner {
	o := Owner{PID: pid, Space: pidSpace()}
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		o.Start, _ = parseStart(string(stat))
	}
	return o
}

// exists reports whether pid is a process that still runs. A zombie does not.
func exists(pid int) bool {
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err != nil {
		return true
	}
	_, running := parseStart(string(stat))
	return running
}

// pidSpace is the identity of the pid namespace of this process.
func pidSpace() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0
	}
	return st.Ino
}

// onFirstThread reports whether the calling thread is the one that the process began with.
func onFirstThread() bool { return unix.Gettid() == os.Getpid() }
