//go:build linux

package epoll

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/weft-mesh/weft/proxy/core"
	"golang.org/x/sys/unix"
)

// TestAJoinedTunnelCarriesEveryByteBothWays: of any size, in any pieces, whichever end finishes
// first; and all of it is counted.
func TestAJoinedTunnelCarriesEveryByteBothWays(t *testing.T) {
	x := startTunnels(t, core.Limits{})
	var up, down uint64
	for i := range 40 {
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		client, server := x.couple()
		ask, answer := noise(rng, rng.IntN(1+rng.IntN(3<<20))), noise(rng, rng.IntN(1+rng.IntN(3<<20)))
		up, down = up+1+uint64(len(ask)), down+1+uint64(len(answer))
		say := func(c *net.TCPConn, p []byte, rng *rand.Rand) {
			if err := pieces(c, p, rng); err != nil {
				t.Error(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
		}
		hear := func(c *net.TCPConn, want []byte) {
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("tunnel %d: %d of %d bytes, equal %v, %v", i, len(got), len(want), bytes.Equal(got, want), err)
			}
		}
		switch i % 3 {
		case 0: // at the same time
			all(func() { say(client, ask, rand.New(rand.NewPCG(2, uint64(i)))) }, func() { hear(server, ask) },
				func() { say(server, answer, rng) }, func() { hear(client, answer) })
		case 1: // the server answers a client that has ended
			all(func() { say(client, ask, rng) }, func() { hear(server, ask) })
			all(func() { say(server, answer, rng) }, func() { hear(client, answer) })
		case 2: // the server ends first
			all(func() { say(server, answer, rng) }, func() { hear(client, answer) })
			all(func() { say(client, ask, rng) }, func() { hear(server, ask) })
		}
		client.Close()
		server.Close()
	}
	x.eventually("nothing is left", func() bool { return x.conns() == 0 })
	if c := x.counted(); c.BytesOut != up || c.BytesIn != down {
		t.Errorf("counted %d and %d bytes, carried %d and %d", c.BytesOut, c.BytesIn, up, down)
	}
	if made, used := x.pipes(); used != 0 || made == 0 {
		t.Errorf("%d pipes, %d in use; want some, and none in use", made, used)
	}
}

func TestOnlyBulkGoesThroughAPipe(t *testing.T) {
	x := startTunnels(t, core.Limits{})
	client, server := x.couple()
	defer client.Close()
	defer server.Close()
	dribble := func() {
		for i := range 200 {
			p := bytes.Repeat([]byte{byte(i)}, 1+i)
			client.Write(p) //nolint:errcheck // the reading tells
			x.expect(server, p)
			server.Write(p) //nolint:errcheck // the reading tells
			x.expect(client, p)
		}
	}
	dribble()
	if made, _ := x.pipes(); made != 0 {
		t.Errorf("%d pipes were made for single bytes", made)
	}
	big := noise(rand.New(rand.NewPCG(3, 3)), 16<<20)
	all(func() { client.Write(big) }, func() { x.expect(server, big) }) //nolint:errcheck // the reading tells
	made, used := x.pipes()
	if made == 0 || used != 0 {
		t.Errorf("%d pipes, %d in use; want some made for bulk, and none held when it is over", made, used)
	}
	dribble()
}

// TestASlowReaderStopsItsSender: what is between them is bounded, and it all arrives, with the end
// behind it, and with an answer to it.
func TestASlowReaderStopsItsSender(t *testing.T) {
	x := startTunnels(t, core.Limits{})
	client, server := x.couple()
	defer client.Close()
	defer server.Close()
	x.must(server.SetReadBuffer(64 << 10))
	x.must(client.SetWriteBuffer(64 << 10))
	x.on(func(l *Loop) { narrow(l, 64<<10) })
	big := noise(rand.New(rand.NewPCG(4, 4)), 16<<20)
	x.must(client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)))
	n, err := client.Write(big)
	if err == nil || n > 4<<20 {
		t.Fatalf("%d bytes were taken for a reader that takes none (%v)", n, err)
	}
	if _, used := x.pipes(); used != 1 {
		t.Errorf("%d pipes in use, want the one that is held for the reader", used)
	}
	x.must(client.SetWriteDeadline(time.Now().Add(patience)))
	all(func() {
		client.Write(big[n:]) //nolint:errcheck // the reading tells
		client.CloseWrite()   //nolint:errcheck // as above
	}, func() {
		if got, err := io.ReadAll(server); err != nil || !bytes.Equal(got, big) {
			t.Errorf("%d of %d bytes, %v", len(got), len(big), err)
		}
	})
	if _, used := x.pipes(); used != 0 {
		t.Errorf("%d pipes are held after all was read", used)
	}
	server.Write([]byte("thanks")) //nolint:errcheck // the reading tells
	x.expect(client, []byte("thanks"))
}

// narrow gives the loop's connections buffers of a fixed size, so that little fills them.
func narrow(l *Loop, size int) {
	for _, c := range l.conns {
		if c != nil && c.relay != nil {
			unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size) //nolint:errcheck // the test would fail
			unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size) //nolint:errcheck // as above
		}
	}
}

// TestAResetEndsBothEndsOfAJoinedTunnel: at rest, and while a pipe is full for either end.
func TestAResetEndsBothEndsOfAJoinedTunnel(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, upstream := range []bool{false, true} { // who resets
			for _, sender := range []bool{false, true} { // the one that resets is the one that sent
				x := startTunnels(t, core.Limits{})
				client, server := x.couple()
				breaks, other := client, server
				if upstream {
					breaks, other = server, client
				}
				if full {
					from := other
					if sender {
						from = breaks
					}
					x.on(func(l *Loop) { narrow(l, 32<<10) })
					x.must(from.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)))
					if _, err := from.Write(make([]byte, 64<<20)); err == nil {
						t.Fatal("nothing was full")
					}
				}
				x.must(breaks.SetLinger(0))
				breaks.Close()
				if _, err := io.Copy(io.Discard, other); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("full %v, server resets %v, having sent %v: the other end read %v", full, upstream, sender, err)
				}
				other.Close()
				x.eventually("nothing is left", func() bool { return x.conns() == 0 })
				if _, used := x.pipes(); used != 0 {
					t.Errorf("%d pipes are held by nobody", used)
				}
			}
		}
	}
}

// TestBulkIsCopiedWhereThereAreNoPipes: descriptors have run out, others hold them all, or the
// system does not splice.
func TestBulkIsCopiedWhereThereAreNoPipes(t *testing.T) {
	for name, spoil := range map[string]func(l *Loop) (mend func()){
		"out of descriptors": func(*Loop) func() {
			var old unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
				t.Fatal(err)
			}
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
				t.Fatal(err)
			}
			return func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &old) } //nolint:errcheck // it was allowed before
		},
		"all are held": func(l *Loop) func() {
			l.pipes.made += maxPipes
			return func() { l.pipes.made -= maxPipes }
		},
		"no splicing": func(l *Loop) func() {
			l.pipes.useless()
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := startTunnels(t, core.Limits{})
			client, server := x.couple()
			defer client.Close()
			defer server.Close()
			var mend func()
			x.on(func(l *Loop) { mend = spoil(l) })
			big := noise(rand.New(rand.NewPCG(5, 5)), 8<<20)
			all(func() { client.Write(big) }, func() { x.expect(server, big) }) //nolint:errcheck // the reading tells
			x.on(func(*Loop) { mend() })
			if made, _ := x.pipes(); made != 0 {
				t.Errorf("%d pipes were made", made)
			}
		})
	}
}

// TestReadersThatAreBehindHoldABoundedNumberOfPipes: the others' senders wait too, and everything
// arrives.
func TestReadersThatAreBehindHoldABoundedNumberOfPipes(t *testing.T) {
	x := startTunnels(t, core.Limits{})
	x.on(func(l *Loop) { l.pipes.made = maxPipes - 2 }) // others hold them
	big := noise(rand.New(rand.NewPCG(6, 6)), 4<<20)
	type pair struct {
		client, server *net.TCPConn
		sent           int
	}
	var pairs [5]pair
	for i := range pairs {
		c, s := x.couple()
		pairs[i] = pair{client: c, server: s}
		x.must(s.SetReadBuffer(64 << 10))
		x.must(c.SetWriteBuffer(64 << 10))
	}
	x.on(func(l *Loop) { narrow(l, 64<<10) })
	for i := range pairs {
		p := &pairs[i]
		x.must(p.client.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)))
		p.sent, _ = p.client.Write(big)
		if p.sent == len(big) {
			t.Error("nobody was behind")
		}
	}
	x.on(func(l *Loop) {
		if used := l.pipes.made - len(l.pipes.free) - (maxPipes - 2); used != 2 {
			t.Errorf("%d pipes are held, want 2", used)
		}
	})
	for i := range pairs {
		p := &pairs[i]
		x.must(p.client.SetWriteDeadline(time.Now().Add(patience)))
		all(func() { p.client.Write(big[p.sent:]) }, func() { x.expect(p.server, big) }) //nolint:errcheck // the reading tells
		p.client.Close()
		p.server.Close()
	}
	x.on(func(l *Loop) { l.pipes.made -= maxPipes - 2 })
	x.eventually("nothing is left", func() bool { return x.conns() == 0 })
	if c := x.counted(); c.BytesOut != uint64(len(pairs)*(1+len(big))) {
		t.Errorf("counted %d bytes of %d", c.BytesOut, len(pairs)*(1+len(big)))
	}
}

// TestAConnectionThatIsClosedInOrderGetsWhatWasInItsPipe: as it gets what waits for its kernel.
func TestAConnectionThatIsClosedInOrderGetsWhatWasInItsPipe(t *testing.T) {
	x := startTunnels(t, core.Limits{})
	client, server := x.couple()
	defer client.Close()
	defer server.Close()
	x.on(func(l *Loop) { narrow(l, 64<<10) })
	big := noise(rand.New(rand.NewPCG(7, 7)), 16<<20)
	x.must(server.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)))
	if _, err := server.Write(big); err == nil {
		t.Fatal("nobody was behind")
	}
	held := 0
	x.on(func(l *Loop) {
		for _, c := range l.conns {
			if c != nil && c.relay != nil && c.piped {
				held = c.relay.to.relay.pipe.held
				l.Close(c.core, false)
				if len(c.pending) != held {
					t.Errorf("%d bytes wait, %d were in the pipe", len(c.pending), held)
				}
			}
		}
	})
	got, err := io.ReadAll(client)
	if err != nil || held == 0 || len(got) < held || !bytes.Equal(got, big[:len(got)]) {
		t.Errorf("%d bytes, %d of them were in a pipe; equal %v, %v", len(got), held, bytes.HasPrefix(big, got), err)
	}
}

// TestADrainWaitsForAJoinedTunnel: it ends with its bytes, and the driver with it.
func TestADrainWaitsForAJoinedTunnel(t *testing.T) {
	x := startTunnels(t, core.Limits{})
	client, server := x.couple()
	x.d.Drain()
	big := noise(rand.New(rand.NewPCG(8, 8)), 8<<20)
	all(func() { client.Write(big); client.CloseWrite() }, func() { //nolint:errcheck // the reading tells
		x.expect(server, big)
		if _, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the last byte: %v", err)
		}
	})
	server.Close()
	client.Close()
	x.awaitEnd()
}

// TestAHalfOpenJoinedTunnelEndsAfterSilence: and not while the other direction moves.
func TestAHalfOpenJoinedTunnelEndsAfterSilence(t *testing.T) {
	const idle = time.Second
	x := startTunnels(t, core.Limits{IdleTimeout: idle})
	client, server := x.couple()
	defer client.Close()
	defer server.Close()
	x.must(client.CloseWrite())
	start := time.Now()
	for time.Since(start) < 2*idle { // the ticking is what is tested
		server.Write([]byte("tick")) //nolint:errcheck // the reading tells
		x.expect(client, []byte("tick"))
		time.Sleep(idle / 10)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after the silence: %v", err)
	}
	x.eventually("nothing is left", func() bool { return x.conns() == 0 })
}

func TestAPipeIsEmptiedInOrder(t *testing.T) {
	var s pipes
	defer s.close()
	p := s.get()
	if p == nil {
		t.Fatal("no pipe")
	}
	big := noise(rand.New(rand.NewPCG(9, 9)), 100_000)
	var err error
	if p.held, err = unix.Write(p.w, big); err != nil {
		t.Fatal(err)
	}
	want := append([]byte("before"), big[:p.held]...)
	if got := p.empty([]byte("before")); !bytes.Equal(got, want) || p.held != 0 {
		t.Errorf("%d bytes of %d, %d said to be left", len(got), len(want), p.held)
	}
	s.put(p)
}
