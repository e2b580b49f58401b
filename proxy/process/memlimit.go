package process

import (
	"io/fs"
	"log/slog"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// gcPercent is how much garbage may be beside what is alive; a value in GOGC goes first. Steady traffic
// makes none, so a collection is rare, and the usual 100 shows in what floods make a proxy grow by:
// up to 65 MiB with it, up to 51 with 75.
const gcPercent = 75

// limitHeap makes the garbage collector work harder as the process nears the memory limit of its
// control group, instead of being killed at it; a limit in GOMEMLIMIT goes first. root is "/" of
// the file system.
func limitHeap(root fs.FS, env string, log *slog.Logger) {
	if env != "" {
		return // the runtime has read it
	}
	if limit, ok := cgroupLimit(root); ok {
		// A fifth is left for what the collector does not count: the program, and the kernel's
		// buffers of our sockets.
		debug.SetMemoryLimit(limit / 5 * 4)
		log.Debug("memory limit", "cgroup", limit)
	}
}

// cgroupLimit is the lowest memory limit, in bytes, of the process's control group and those
// above it (version 2), or of the one that is mounted (version 1). ok is false if there is none.
func cgroupLimit(root fs.FS) (limit int64, ok bool) {
	limit = math.MaxInt64
	read := func(file string) {
		b, err := fs.ReadFile(root, file)
		if err != nil {
			return
		}
		// "max", or in version 1 a number near the largest, is none.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && n < 1<<60 {
			limit, ok = min(limit, n), true
		}
	}
	read("sys/fs/cgroup/memory/memory.limit_in_bytes")
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return limit, ok
	}
	for line := range strings.Lines(string(b)) {
		group, found := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !found {
			continue
		}
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			read(path.Join("sys/fs/cgroup", group, "memory.max"))
			if group == "/" {
				break
			}
		}
	}
	return limit, ok
}
