//go:build linux

package flood

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory samples the resident memory of a process and keeps the most that it saw.
type memory struct {
	pid int
	mu  sync.Mutex // guards most
	top int64
}

const sampleEvery = 10 * time.Millisecond

// run samples until ctx ends.
func (m *memory) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		now := resident(m.pid)
		m.mu.Lock()
		m.top = max(m.top, now)
		m.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// most gives the largest sample since the last call.
func (m *memory) most() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	top := m.top
	m.top = 0
	return max(top, resident(m.pid))
}

// resident gives the resident set of a process in bytes; 0 if it is gone.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := bytes.Fields(text)
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// cpuTime gives the processor time of a process.
func cpuTime(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	f := bytes.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(f[11]), 10, 64)
	system, _ := strconv.ParseInt(string(f[12]), 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 everywhere
}

// connections counts the sockets at a listener's address that a peer at a given address has to it
// and that a process still holds, or will when it accepts them.
func connections(t testing.TB, listener, peer string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	local, remote := procAddr(t, listener), ""
	if peer != "" {
		remote, _, _ = strings.Cut(procAddr(t, net.JoinHostPort(peer, "0")), ":")
	}
	n := 0
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		f := bytes.Fields(s.Bytes())
		if len(f) < 10 || string(f[1]) != local || remote != "" && !bytes.HasPrefix(f[2], []byte(remote)) {
			continue
		}
		switch string(f[3]) {
		case "01", "08": // ESTABLISHED, CLOSE_WAIT: the inode is 0 until it is accepted
			n++
		case "04", "05", "09", "0B": // FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING: with inode 0 the kernel alone knows it
			if string(f[9]) != "0" {
				n++
			}
		}
	}
	return n
}

// procAddr writes an address as /proc/net/tcp does.
func procAddr(t testing.TB, addr string) string {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	ip := a.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
}

// refused gives what a proxy counted as refused, by code.
func (p *proxy) refused() map[string]int {
	p.t.Helper()
	out := map[string]int{}
	resp, err := http.Get("http://" + p.ready.Metrics + "/metrics") //nolint:noctx // local, and the test is bounded
	if err != nil {
		p.t.Error(err)
		return out
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Error(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "weft_refused_total{") {
			continue
		}
		_, rest, _ := strings.Cut(line, `code="`)
		code, rest, _ := strings.Cut(rest, `"`)
		f := strings.Fields(rest)
		v, _ := strconv.ParseFloat(f[len(f)-1], 64)
		out[code] += int(v)
	}
	return out
}
