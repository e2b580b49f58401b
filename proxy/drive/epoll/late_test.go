//go:build linux

package epoll

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// startProxy runs a driver that takes requests to a proxy and knows no service, until the test's
// end. Each is answered with an error, or an address of this machine.
func startProxy(t *testing.T) (d *Driver, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sec := stranger{settings()}
	d, err = New(drive.Options{
		Loops: 1, Mesh: sec, Security: sec, Log: slog.New(slog.DiscardHandler),
		Core:      core.Config{Workloads: []core.Workload{{Name: model.Name{Namespace: "a", Name: "b"}}}},
		Listeners: []drive.Listener{{Core: &core.Listener{Kind: core.ListenProxy}, TCP: ln.(*net.TCPListener)}},
	}, telemetry.NewRegistry(1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d, ln.Addr().String()
}

// accepted runs f on the loop with its only accepted connection.
func (d *Driver) accepted(f func(l *Loop, c *conn)) {
	done := make(chan struct{})
	l := d.loops[0]
	l.post(func() {
		defer close(done)
		for _, c := range l.conns {
			if c != nil && c.dial == nil {
				f(l, c)
			}
		}
	})
	<-done
}

// TestANewcomerJoinsTheOthersWithItsSecondEvent: if the first was cheap; and leaves them with a dear one.
func TestANewcomerJoinsTheOthersWithItsSecondEvent(t *testing.T) {
	d, addr := startProxy(t)
	c := dialFrom(t, "127.0.0.1", addr)
	say := func(text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	say("GET / HTTP/1.1\r\n") // a head in pieces, an event each
	state := func() (late lateness, poll int) {
		d.accepted(func(l *Loop, c *conn) {
			late, poll = c.late, l.pollOf(c)
			if (poll == l.epfd) != (late == lateNot) {
				t.Errorf("a connection with lateness %d is watched by the wrong instance", late)
			}
		})
		return late, poll
	}
	within := func(d time.Duration, want lateness) (got lateness, ok bool) {
		for end := time.Now().Add(d); ; time.Sleep(time.Millisecond) { // polling, with a deadline
			if got, _ := state(); got == want || time.Now().After(end) {
				return got, got == want
			}
		}
	}
	reach := func(want lateness) {
		t.Helper()
		if got, ok := within(patience, want); !ok {
			t.Fatalf("lateness is %d, want %d", got, want)
		}
	}
	for range 50 { // on a busy machine an event may seem dear that is not
		if _, ok := within(100*time.Millisecond, lateKnown); ok {
			break
		}
		say("a: b\r\n")
	}
	reach(lateKnown)
	say("a: b\r\n")
	reach(lateNot)
	d.accepted(func(l *Loop, c *conn) { l.dismiss(c, lateDear-1) })
	reach(lateNot)
	d.accepted(func(l *Loop, c *conn) { l.dismiss(c, lateDear) })
	reach(lateNew)
	say("no field\r\n\r\n") // and it is still served
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("got %q, %v", answer, err)
	}
}

// TestAHandshakeTellsNothingOfALink: it is cheap whoever makes it.
func TestAHandshakeTellsNothingOfALink(t *testing.T) {
	d, addr, _ := startLink(t, settings())
	c := tls.Client(dialFrom(t, "127.0.0.1", addr), settings())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil { // the loop has taken it for a link
		t.Fatal(err)
	}
	d.accepted(func(_ *Loop, c *conn) {
		if c.late != lateNew {
			t.Errorf("lateness is %d after the handshake, want %d", c.late, lateNew)
		}
	})
}
