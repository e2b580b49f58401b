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
}

// parseProcStat reads one line of /proc/PID/stat. The command name may hold spaces and
// parentheses, so fields count from the last closing one.
func parseProcStat(line []byte) (procStat, error) {
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return procStat{}, fmt.Errorf("no command name in %q", line)
	}
	f := bytes.Fields(line[i+1:])
	const utime, stime = 14 - 3, 15 - 3 // fields are numbered from 1; the first after the name is 3
	if len(f) <= stime {
		return procStat{}, fmt.Errorf("%d fields after the command name, want at least %d", len(f), stime+1)
	}
	u, err := strconv.ParseUint(string(f[utime]), 10, 63)
	if err != nil {
		return procStat{}, fmt.Errorf("utime: %w", err)
	}
	s, err := strconv.ParseUint(string(f[stime]), 10, 63)
	if err != nil {
		return procStat{}, fmt.Errorf("stime: %w", err)
	}
	const tick = time.Second / ticksPerSecond
	return procStat{user: time.Duration(u) * tick, system: time.Duration(s) * tick}, nil
}

// parseVmRSS finds the resident set size in /proc/PID/status, in MB (10^6 bytes).
func parseVmRSS(status []byte) (float64, error) {
	for line := range strings.Lines(string(status)) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) != 2 || f[1] != "kB" {
			return 0, fmt.Errorf("VmRSS: want a number of kB, have %q", strings.TrimSpace(rest))
		}
		kib, err := strconv.ParseUint(f[0], 10, 63)
		if err != nil {
			return 0, fmt.Errorf("VmRSS: %w", err)
		}
		return float64(kib) * 1024 / 1e6, nil
	}
	return 0, fmt.Errorf("no VmRSS line")
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
