//go:build linux

package epoll

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// tunnels is a driver of one loop with tunnels to an application outside the mesh.
type tunnels struct {
	t     testing.TB
	d     *Driver
	reg   *telemetry.Registry
	proxy string
	app   *net.TCPListener
	ended chan error
	fds   int // open before
}

func startTunnels(t testing.TB, limits core.Limits) *tunnels {
	t.Helper()
	x := &tunnels{t: t, reg: telemetry.NewRegistry(1), ended: make(chan error, 1)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.proxy = ln.Addr().String()
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.app = app.(*net.TCPListener)
	x.fds = descriptors(t) - 2     // counted here, for the runtime opens some of its own with the first
	sec := stranger{&tls.Config{}} //nolint:gosec // no link is made
	x.d, err = New(drive.Options{
		Core:  core.Config{Limits: limits},
		Loops: 1, Mesh: sec, Security: sec, Log: slog.New(slog.DiscardHandler),
		Listeners: []drive.Listener{{Core: &core.Listener{Kind: core.ListenProxy}, TCP: ln.(*net.TCPListener)}},
	}, x.reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { x.ended <- x.d.Run(ctx) }()
	t.Cleanup(func() {
		app.Close()
		cancel()
		x.awaitEnd()
		if n := descriptors(t); n > x.fds {
			t.Errorf("%d descriptors are left open", n-x.fds)
		}
	})
	return x
}

// awaitEnd waits until the driver has ended.
func (x *tunnels) awaitEnd() {
	x.t.Helper()
	select {
	case err := <-x.ended:
		if err != nil {
			x.t.Errorf("the driver ended with %v", err)
		}
		x.ended <- nil
	case <-time.After(patience):
		x.t.Error("the driver did not end")
	}
}

// descriptors counts what this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// couple makes a tunnel through which one byte has gone each way, and waits until it is joined.
func (x *tunnels) couple() (client, server *net.TCPConn) {
	x.t.Helper()
	nc, err := net.Dial("tcp", x.proxy)
	x.must(err)
	client = nc.(*net.TCPConn)
	x.must(client.SetDeadline(time.Now().Add(2 * patience)))
	_, err = fmt.Fprintf(client, "CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", x.app.Addr())
	x.must(err)
	resp, err := http.ReadResponse(bufio.NewReaderSize(oneByte{client}, 16), nil)
	x.must(err)
	if resp.StatusCode != http.StatusOK {
		x.t.Fatal(resp.Status)
	}
	before := x.joined()
	_, err = client.Write([]byte{0xff})
	x.must(err)
	x.must(x.app.SetDeadline(time.Now().Add(patience)))
	server, err = x.app.AcceptTCP()
	x.must(err)
	x.must(server.SetDeadline(time.Now().Add(2 * patience)))
	x.expect(server, []byte{0xff})
	_, err = server.Write([]byte{0xfe})
	x.must(err)
	x.expect(client, []byte{0xfe})
	x.eventually("the tunnel is joined", func() bool { return x.joined() == before+2 })
	return client, server
}

// oneByte reads no more than asked for, so that a reader around it does not read ahead.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

func (x *tunnels) must(err error) {
	if err != nil {
		x.t.Helper()
		x.t.Fatal(err)
	}
}

// expect reads exactly want.
func (x *tunnels) expect(c net.Conn, want []byte) {
	x.t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	x.must(err)
	if string(got) != string(want) {
		x.t.Fatal("other bytes than were sent")
	}
}

// on runs f on the loop.
func (x *tunnels) on(f func(l *Loop)) {
	x.t.Helper()
	done := make(chan struct{})
	l := x.d.loops[0]
	l.post(func() { defer close(done); f(l) })
	select {
	case <-done:
	case <-time.After(patience):
		x.t.Fatal("the loop hangs")
	}
}

// joined counts the connections that are.
func (x *tunnels) joined() (n int) {
	x.on(func(l *Loop) {
		for _, c := range l.conns {
			if c != nil && c.relay != nil {
				n++
			}
		}
	})
	return n
}

// pipes tells how many there are, and how many of these hold bytes.
func (x *tunnels) pipes() (made, used int) {
	x.on(func(l *Loop) { made, used = l.pipes.made, l.pipes.made-len(l.pipes.free) })
	return made, used
}

// conns is how many connections the core has.
func (x *tunnels) conns() (n int) {
	x.on(func(l *Loop) { n = l.core.Conns() })
	return n
}

// counted is what the core counted, both ways, of tunnels that have ended.
func (x *tunnels) counted() (c report.Counts) {
	telemetry.NewCollector(x.reg).Collect(func(s report.Series) { c.Add(&s.Counts) })
	return c
}

func (x *tunnels) eventually(what string, is func() bool) {
	x.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// noise makes bytes that repeat nowhere.
func noise(rng *rand.Rand, n int) []byte {
	p := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.NativeEndian.PutUint64(p[i:], rng.Uint64())
	}
	return p[:n]
}

// pieces writes p in pieces of random sizes.
func pieces(c net.Conn, p []byte, rng *rand.Rand) error {
	for len(p) > 0 {
		n := min(len(p), 1+rng.IntN(1+rng.IntN(200<<10)))
		if _, err := c.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// all runs functions at the same time and waits.
func all(f ...func()) {
	var wg sync.WaitGroup
	for _, g := range f {
		wg.Go(g)
	}
	wg.Wait()
}
