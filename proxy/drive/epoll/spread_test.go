//go:build linux

package epoll

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// Whichever loop the kernel wakes, connections are spread over all; and each is served.
func TestConnectionsAreSpreadEvenlyOverTheLoops(t *testing.T) {
	const loops, conns = 3, 60
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sec := stranger{settings()}
	d, err := New(drive.Options{
		Loops: loops, Mesh: sec, Security: sec, Log: slog.New(slog.DiscardHandler),
		Core:      core.Config{Workloads: []core.Workload{{Name: model.Name{Namespace: "a", Name: "b"}}}},
		Listeners: []drive.Listener{{Core: &core.Listener{Kind: core.ListenProxy}, TCP: ln.(*net.TCPListener)}},
	}, telemetry.NewRegistry(loops))
	if err != nil {
		t.Fatal(err)
	}
	// They wait in the backlog when the loops begin, so that one alone could take them all.
	var all []net.Conn
	for range conns {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for _, c := range all {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 12)); err != nil { // of an error: nobody listens there
			t.Fatal(err)
		}
	}
	for i, l := range d.loops {
		if n := int(l.load.Load()); n < conns/loops-2 || n > conns/loops+2 {
			t.Errorf("loop %d has %d of %d connections", i, n, conns)
		}
	}
}
