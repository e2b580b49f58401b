package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

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
