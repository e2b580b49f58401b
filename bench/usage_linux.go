package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/weft-mesh/weft/bench/rig"
)

// usage is a reading of everything that is compared before and after a run.
type usage struct {
	each                   []time.Duration // of each proxy
	proxies, user, backend time.Duration
	busy, total            time.Duration // of the machine
	strangers              time.Duration // of all processes but the proxies, in ticks of /proc
}

// readUsage reads it now. Any process that is gone is an error: a figure without it would lie.
func readUsage(proxies []*rig.Process, backend *rig.Process) (usage, error) {
	var u usage
	for _, p := range proxies {
		d, err := cpuTime(p.PID())
		if err != nil {
			return u, err
		}
		usr, err := userTime(p.PID())
		if err != nil {
			return u, err
		}
		u.each = append(u.each, d)
		u.proxies += d
		u.user += usr
	}
	var err error
	if u.backend, err = cpuTime(backend.PID()); err != nil {
		return u, err
	}
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	if u.busy, u.total, err = parseBusy(b); err != nil {
		return u, err
	}
	u.strangers, err = strangers(proxies)
	return u, err
}

// strangers sums up the processor time of every process that is none of the kernel's threads and
// none of the proxies. That of a process that ends moves to its parent, so it is not lost.
func strangers(proxies []*rig.Process) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	ours := map[string]bool{}
	for _, p := range proxies {
		ours[fmt.Sprintf("/proc/%d/stat", p.PID())] = true
	}
	var sum time.Duration
	for _, f := range files {
		if ours[f] {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it ended just now, and is its parent's
		}
		st, err := parseProcStat(b)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		if !st.kernel {
			sum += st.user + st.system + st.children
		}
	}
	return sum, nil
}

// machineTime gives what the machine worked between two readings that no process but the proxies
// accounts for: the proxies, and the kernel's own threads and interrupts on their behalf. It has
// the work of processes in it that this one cannot see, in other containers: trust it on a quiet
// machine only.
func machineTime(before, after usage) time.Duration {
	return max(0, after.busy-before.busy-(after.strangers-before.strangers))
}

// rss gives the resident set of the process in MB.
func rss(pid int) (float64, error) { return statusKB(pid, "VmRSS") }

// statusKB gives a size from the status of a process, in MB.
func statusKB(pid int, name string) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parseKB(b, name)
}

// forgetPeak begins a new measurement of the largest resident set of a process (proc(5),
// clear_refs); peak gives it, in MB.
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

func peak(pid int) (float64, error) { return statusKB(pid, "VmHWM") }

// memory is where the resident set of a process comes from, in MB.
type memory struct {
	rss, anonymous, file float64
	pss                  float64 // pages that are shared count in part
}

// readMemory reads it.
func readMemory(pid int) (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, err
	}
	var m memory
	if m.pss, err = parseKB(b, "Pss"); err != nil {
		return m, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	for name, to := range map[string]*float64{"VmRSS": &m.rss, "RssAnon": &m.anonymous, "RssFile": &m.file} {
		if *to, err = parseKB(status, name); err != nil {
			return m, err
		}
	}
	return m, nil
}

// pollers counts the epoll descriptors of a process.
func pollers(pid int) (int, error) {
	files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	if err != nil {
		return 0, err
	}
	n := 0
	for _, f := range files {
		if to, err := os.Readlink(f); err == nil && to == "anon_inode:[eventpoll]" {
			n++
		}
	}
	return n, nil
}
