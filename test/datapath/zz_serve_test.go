package datapath

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestZZServe(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip("manual")
	}
	x := newPair(t, pairOptions{driver: "epoll", app: os.Getenv("ZZ")})
	for _, n := range []string{"1", "32"} {
		var a, b syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &a)
		out, _ := exec.Command("wrk", "-t1", "-c"+n, "-d5", "--latency", x.url("/small")).CombinedOutput()
		syscall.Getrusage(syscall.RUSAGE_SELF, &b)
		var reqs int
		for _, l := range splitLines(string(out)) {
			fmt.Sscanf(l, "  %d requests in", &reqs)
		}
		cpu := time.Duration(b.Utime.Nano() + b.Stime.Nano() - a.Utime.Nano() - a.Stime.Nano())
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
