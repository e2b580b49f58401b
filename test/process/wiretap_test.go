//go:build linux

package process

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"testing"
)

// wiretap sits between two proxies and records what crosses.
type wiretap struct {
	t    testing.TB
	link int // port of the proxy's link
	ln   net.Listener
	wg   sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns [][2]*bytes.Buffer
	open  []net.Conn
}

// maxTapped bounds what is recorded of one direction.
const maxTapped = 4 << 20

func newWiretap(t testing.TB) *wiretap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tap := &wiretap{t: t, ln: ln, link: freePort(t)}
	tap.wg.Go(tap.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		tap.mu.Lock()
		for _, c := range tap.open {
			_ = c.Close()
		}
		tap.mu.Unlock()
		tap.wg.Wait()
	})
	return tap
}

// flags make a member take its links through the wiretap.
func (tap *wiretap) flags() []string {
	return []string{"--link", "127.0.0.1:" + strconv.Itoa(tap.link), "--link-advertise", tap.ln.Addr().String()}
}

func (tap *wiretap) accept() {
	for {
		c, err := tap.ln.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(tap.link))
		if err != nil {
			_ = c.Close()
			continue
		}
		rec := [2]*bytes.Buffer{{}, {}}
		tap.mu.Lock()
		tap.conns = append(tap.conns, rec)
		tap.open = append(tap.open, c, s)
		tap.mu.Unlock()
		tap.wg.Go(func() { tap.copy(s, c, rec[0]) })
		tap.wg.Go(func() { tap.copy(c, s, rec[1]) })
	}
}

// copy passes bytes on and records them.
func (tap *wiretap) copy(to, from net.Conn, rec *bytes.Buffer) {
	defer to.Close() //nolint:errcheck // it may be closed already
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		tap.mu.Lock()
		if rec.Len() < maxTapped {
			rec.Write(buf[:n])
		}
		tap.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// onlyTLS asserts that something crossed, that it is whole TLS records from the first byte on,
// and that none of the words can be read in it.
func (tap *wiretap) onlyTLS(words ...string) {
	tap.t.Helper()
	tap.mu.Lock()
	defer tap.mu.Unlock()
	if len(tap.conns) == 0 {
		tap.t.Error("no connection between the proxies was seen")
	}
	for _, c := range tap.conns {
		for i, way := range []string{"caller to callee", "callee to caller"} {
			b := c[i].Bytes()
			if why := notTLS(b); why != "" {
				tap.t.Errorf("%s: %s", way, why)
			}
			for _, word := range words {
				if bytes.Contains(b, []byte(word)) {
					tap.t.Errorf("%s: %q crosses in plain text", way, word)
				}
			}
		}
	}
}

// notTLS tells why bytes are not a sequence of TLS records (RFC 8446, 5.1); the last may be cut off.
func notTLS(b []byte) string {
	for at, n := 0, 0; ; n++ {
		if len(b)-at < 5 {
			return ""
		}
		kind, length := b[at], int(b[at+3])<<8|int(b[at+4])
		if kind < 20 || kind > 23 || b[at+1] != 3 || length > 1<<14+256 {
			return "record " + strconv.Itoa(n) + " is not TLS: " + strconv.Quote(string(b[at:min(len(b), at+40)]))
		}
		at += 5 + length
		if at >= len(b) {
			return ""
		}
	}
}

// TestTheWiretapKnowsPlainText shows that onlyTLS finds what it is for.
func TestTheWiretapKnowsPlainText(t *testing.T) {
	record := func(kind byte, n int) []byte {
		return append([]byte{kind, 3, 3, byte(n >> 8), byte(n)}, make([]byte, n)...)
	}
	for _, tc := range []struct {
		name string
		in   []byte
		tls  bool
	}{
		{"nothing", nil, true},
		{"a handshake and data", append(record(22, 200), record(23, 3000)...), true},
		{"cut off in a record", record(23, 3000)[:100], true},
		{"HTTP/1.1", []byte("GET /page.html HTTP/1.1\r\n"), false},
		{"HTTP/2", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), false},
		{"plain text after TLS", append(record(22, 200), "PING\r\n"...), false},
		{"a record of impossible length", []byte{23, 3, 3, 0xff, 0xff, 0}, false},
	} {
		if why := notTLS(tc.in); (why == "") != tc.tls {
			t.Errorf("%s: %q", tc.name, why)
		}
	}
}
