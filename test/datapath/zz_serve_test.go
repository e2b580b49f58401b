package datapath

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestZZServe(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip("manual")
	}
	x := newPair(t, pairOptions{driver: "epoll", app: os.Getenv("ZZ")})
	for _, n := range strings.Split(os.Getenv("ZZC"), ",") {
		var a, b syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &a)
		out, _ := exec.Command("wrk", "-t1", "-c"+n, "-d5", "--latency", x.url(os.Getenv("ZZPATH"))).CombinedOutput()
		syscall.Getrusage(syscall.RUSAGE_SELF, &b)
		var reqs int
		for _, l := range splitLines(string(out)) {
			fmt.Sscanf(l, "  %d requests in", &reqs)
		}
		cpu := time.Duration(b.Utime.Nano() + b.Stime.Nano() - a.Utime.Nano() - a.Stime.Nano())
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		fmt.Println("heap inuse", ms.HeapInuse>>20, "alloc", ms.HeapAlloc>>20, "idle", ms.HeapIdle>>20, "released", ms.HeapReleased>>20, "sys", ms.Sys>>20, "stack", ms.StackInuse>>20, "gcs", ms.NumGC, "next", ms.NextGC>>20)
		fmt.Println(string(out))
		fmt.Println("c", n, "cpu/req", cpu/time.Duration(max(reqs, 1)), "reqs", reqs)
	}
}
func splitLines(s string) []string {
	var o []string
	cur := ""
	for _, c := range s {
		if c == '\n' {
			o = append(o, cur)
			cur = ""
			continue
		}
		cur += string(c)
	}
	return o
}
