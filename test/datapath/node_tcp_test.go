package datapath

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
)

// nodeTCP is a proxy with a caller and a TCP application, whose connections the test holds.
type nodeTCP struct {
	*pair
	t        testing.TB
	accepted chan *net.TCPConn
}

func newNodeTCP(t testing.TB, driver string) *nodeTCP {
	t.Helper()
	x := &nodeTCP{t: t, accepted: make(chan *net.TCPConn, 1)}
	over := make(chan struct{})
	app := tcpServer(t, func(c net.Conn) {
		x.accepted <- c.(*net.TCPConn)
		<-over
	})
	x.pair = newPair(t, pairOptions{driver: driver + onOneNode, app: app, protocol: model.ProtocolTCP})
	t.Cleanup(func() { close(over) })
	return x
}

// couple makes a tunnel through which a byte has gone each way.
func (x *nodeTCP) couple() (client, server *net.TCPConn) {
	x.t.Helper()
	client = dial(x.t, x.client.addr["cart"])
	client.Write([]byte{1})
	server = <-x.accepted
	x.must(io.ReadFull(server, make([]byte, 1)))
	server.Write([]byte{2})
	x.must(io.ReadFull(client, make([]byte, 1)))
	return client, server
}

func (x *nodeTCP) must(_ int, err error) {
	if err != nil {
		x.t.Helper()
		x.t.Fatal(err)
	}
}

// noise is n bytes that repeat nowhere.
func noise(rng *rand.Rand, n int) []byte {
	p := make([]byte, 0, n+8)
	for len(p) < n {
		p = binary.NativeEndian.AppendUint64(p, rng.Uint64())
	}
	return p[:n]
}

// say writes p in pieces of random sizes and ends the direction.
func say(c *net.TCPConn, p []byte, rng *rand.Rand) error {
	for len(p) > 0 {
		n := min(len(p), 1+rng.IntN(1+rng.IntN(200<<10)))
		if _, err := c.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return c.CloseWrite()
}

// hear reads to the end.
func hear(c *net.TCPConn, want []byte) error {
	got, err := io.ReadAll(c)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%d bytes came of %d, or others", len(got), len(want))
	}
	return err
}

// TestATunnelBetweenWorkloadsOfOneNodeIsByteExact: whichever end finishes first, both directions are
// whole, and both ends have counted all of it as local.
func TestATunnelBetweenWorkloadsOfOneNodeIsByteExact(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newNodeTCP(t, driver)
		var up, down uint64
		for i := range 18 {
			rng := rand.New(rand.NewPCG(23, uint64(i)))
			client, server := x.couple()
			ask, answer := noise(rng, rng.IntN(1+rng.IntN(2<<20))), noise(rng, rng.IntN(1+rng.IntN(2<<20)))
			up, down = up+1+uint64(len(ask)), down+1+uint64(len(answer))
			other := rand.New(rand.NewPCG(24, uint64(i)))
			asks := []func() error{func() error { return say(client, ask, rng) }, func() error { return hear(server, ask) }}
			answers := []func() error{func() error { return say(server, answer, other) }, func() error { return hear(client, answer) }}
			switch i % 3 {
			case 0:
				x.all("both at once", append(asks, answers...))
			case 1:
				x.all("the client ends first: its words", asks)
				x.all("the client ends first: the answer", answers)
			case 2:
				x.all("the server ends first: its words", answers)
				x.all("the server ends first: the client's", asks)
			}
			client.Close()
			server.Close()
		}
		eventually(t, "the tunnels have ended", func() bool { return x.client.conns() == 0 && x.client.counts(nil).Active == 0 })
		for what, match := range map[string]func(report.Key) bool{"outbound": outbound, "inbound": inbound} {
			n := x.client.counts(func(k report.Key) bool { return match(k) && k.Local && !k.TLS })
			if n.BytesOut != up || n.BytesIn != down {
				t.Errorf("%s: counted %d and %d bytes, carried %d and %d", what, n.BytesOut, n.BytesIn, up, down)
			}
		}
	})
}

// all does things at the same time.
func (x *nodeTCP) all(what string, do []func() error) {
	var wg sync.WaitGroup
	for _, f := range do {
		wg.Go(func() {
			if err := f(); err != nil {
				x.t.Errorf("%s: %v", what, err)
			}
		})
	}
	wg.Wait()
}
