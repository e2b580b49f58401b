//go:build linux

package epoll

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weft-mesh/weft/proxy/core"
)

// What an idle connection keeps alive on the heap, in bytes. What is resident is more, by as much as
// the collector lets the heap grow, and less than it was: see calm. The figures are those seen and a
// tenth.
const (
	maxLinkBytes  = 10_800
	maxHTTP1Bytes = 1_000
)

func TestAnIdleLinkHoldsLittle(t *testing.T) {
	cfg := settings()
	d, addr, _ := startLink(t, cfg)
	perConnection(t, d, maxLinkBytes, func() int { return openIdleLink(t, addr, cfg) })
}

func TestAnIdleHTTP1ConnectionHoldsLittle(t *testing.T) {
	x := startTunnels(t, core.Limits{})
	x.app.Close() // nobody answers there: the proxy does, at once
	request := fmt.Appendf(nil, "GET http://%[1]s/ HTTP/1.1\r\nHost: %[1]s\r\n\r\n", x.app.Addr())
	perConnection(t, x.d, maxHTTP1Bytes, func() int { return openIdleHTTP1(t, x.proxy, request) })
}

// perConnection measures what each of some hundred connections adds to what is alive. open makes one,
// has a request answered, and gives its descriptor.
func perConnection(t *testing.T, d *Driver, atMost int64, open func() int) {
	t.Helper()
	const first, n = 50, 400
	fds := make([]int, 0, first+n)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for range first { // what is made once, and tables that grow
		fds = append(fds, open())
	}
	before := alive(d)
	for range n {
		fds = append(fds, open())
	}
	each := (alive(d) - before) / n
	t.Logf("%d bytes a connection", each)
	if each > atMost {
		t.Errorf("an idle connection keeps %d bytes alive, want at most %d", each, atMost)
	}
}

// alive is the size of what is reachable, once the loop has nothing to do.
func alive(d *Driver) int64 {
	for range 3 { // each waits for the loop, which then sees to what has arrived meanwhile
		turned := make(chan struct{})
		d.Post(func(*core.Core) { close(turned) })
		<-turned
	}
	runtime.GC()
	runtime.GC() // what had a finalizer or was in a pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// openIdleLink makes a link on which a request was answered, and whose last word, an acknowledgement,
// nobody answers.
func openIdleLink(t *testing.T, addr string, cfg *tls.Config) int {
	t.Helper()
	w := dialWire(t, addr)
	c := tls.Client(w, cfg)
	block := append([]byte{0x82, 0x86, 0x84, 0x01, 4}, "cart"...) // GET http://cart/
	head := append([]byte{0, 0, byte(len(block)), 1, 5, 0, 0, 0, 1}, block...)
	settingsAndRequest := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"), head...)
	if _, err := c.Write(settingsAndRequest); err != nil {
		t.Fatal(err)
	}
	for h := make([]byte, 9); h[3] > 1 || h[4]&1 == 0; { // the end of a stream: HEADERS or DATA
		if _, err := io.ReadFull(c, h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, c, int64(h[0])<<16|int64(h[1])<<8|int64(h[2])); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write([]byte{0, 0, 0, 4, 1, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	return w.fd
}

func openIdleHTTP1(t *testing.T, addr string, request []byte) int {
	t.Helper()
	w := dialWire(t, addr)
	if _, err := w.Write(request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(w)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil || resp.Close {
		t.Fatalf("%s, to be closed: %v, %v: %s", resp.Status, resp.Close, err, body.Bytes())
	}
	return w.fd
}

// wire is a socket of which the heap holds nothing: what its other end costs is measured here.
type wire struct {
	net.Conn // nil
	fd       int
}

func dialWire(t *testing.T, addr string) wire {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	for _, opt := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, opt, &tv); err != nil {
			t.Fatal(err)
		}
	}
	to := sockaddr(netip.MustParseAddrPort(addr))
	err = unix.Connect(fd, to)
	for err == unix.EINTR || err == unix.EALREADY { // it goes on after a signal
		err = unix.Connect(fd, to)
	}
	if err != nil && err != unix.EISCONN {
		t.Fatal(err)
	}
	return wire{fd: fd}
}

// Read implements io.Reader.
func (w wire) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(w.fd, p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write implements io.Writer. What tests send fits into a socket's buffer.
func (w wire) Write(p []byte) (int, error) {
	for {
		if n, err := unix.Write(w.fd, p); err != unix.EINTR {
			return n, err
		}
	}
}
