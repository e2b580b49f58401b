package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, the unit of times in /proc: 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// procStat is the part of /proc/PID/stat that is used (proc_pid_stat(5)).
type procStat struct {
	user, system time.Duration
	children     time.Duration // user and system time of those that have ended and were waited for
	kernel       bool          // it is one of the kernel's threads
}

// parseProcStat reads one line of /proc/PID/stat. The command name may hold spaces and
// parentheses, so fields count from the last closing one.
func parseProcStat(line []byte) (procStat, error) {
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return procStat{}, fmt.Errorf("no command name in %q", line)
	}
	f := bytes.Fields(line[i+1:])
	const flags, utime, cstime = 9 - 3, 14 - 3, 17 - 3 // fields are numbered from 1; the first after the name is 3
	if len(f) <= cstime {
		return procStat{}, fmt.Errorf("%d fields after the command name, want at least %d", len(f), cstime+1)
	}
	var times [4]time.Duration // utime, stime, cutime, cstime
	for i := range times {
		n, err := strconv.ParseUint(string(f[utime+i]), 10, 62)
		if err != nil {
			return procStat{}, fmt.Errorf("time %d: %w", i, err)
		}
		times[i] = time.Duration(n) * (time.Second / ticksPerSecond)
	}
	fl, err := strconv.ParseUint(string(f[flags]), 10, 63)
	if err != nil {
		return procStat{}, fmt.Errorf("flags: %w", err)
	}
	const kernelThread = 0x00200000 // PF_KTHREAD
	return procStat{user: times[0], system: times[1], children: times[2] + times[3], kernel: fl&kernelThread != 0}, nil
}

// parseKB finds a line such as "VmRSS:   1234 kB" in a file of /proc, and gives its size in MB
// (10^6 bytes).
func parseKB(text []byte, name string) (float64, error) {
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) != 2 || f[1] != "kB" {
			return 0, fmt.Errorf("%s: want a number of kB, have %q", name, strings.TrimSpace(rest))
		}
		kib, err := strconv.ParseUint(f[0], 10, 63)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return float64(kib) * 1024 / 1e6, nil
	}
	return 0, fmt.Errorf("no %s line", name)
}

// parseBusy reads the first line of /proc/stat: the time all processors were busy, and all time.
func parseBusy(stat []byte) (busy, total time.Duration, err error) {
	line, _, _ := bytes.Cut(stat, []byte{'\n'})
	f := strings.Fields(string(line))
	if len(f) < 9 || f[0] != "cpu" {
		return 0, 0, fmt.Errorf("no cpu line of at least 8 figures: %q", line)
	}
	// user nice system idle iowait irq softirq steal; guest times are contained in user.
	for i, x := range f[1:9] {
		v, err := strconv.ParseUint(x, 10, 62)
		if err != nil {
			return 0, 0, fmt.Errorf("figure %d: %w", i, err)
		}
		d := time.Duration(v) * (time.Second / ticksPerSecond)
		total += d
		if i != 3 && i != 4 {
			busy += d
		}
	}
	return busy, total, nil
}
