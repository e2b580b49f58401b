package sim_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/proxy/drive/sim"
)

// twoEnds is a connection between two hosts.
func twoEnds(t *testing.T, seed uint64, change func(p *sim.Path)) (n *sim.Network, p *sim.Path, a, b *sim.Socket, ea, eb *ender) {
	t.Helper()
	n = sim.New(seed, nil)
	x, y := n.Host("x", netip.MustParseAddr("10.0.0.1")), n.Host("y", netip.MustParseAddr("10.0.0.2"))
	p = n.Path(x, y)
	if change != nil {
		change(p)
	}
	ea, eb = &ender{}, &ender{}
	y.Listen(1, func(s *sim.Socket) {
		b = s
		s.Adopt(&sim.Prompt{Net: n, Handler: eb})
	})
	a = x.Dial(&sim.Prompt{Net: n, Handler: ea}, netip.AddrPortFrom(y.Addr, 1), time.Second)
	n.Run(10 * time.Millisecond)
	if !ea.opened || ea.openErr != nil || b == nil {
		t.Fatalf("the connection does not stand: %v", ea.openErr)
	}
	return n, p, a, b, ea, eb
}

func TestBytesArriveWholeAndInOrderBeforeTheEnd(t *testing.T) {
	for seed := range uint64(20) {
		n, _, a, b, ea, eb := twoEnds(t, seed, nil)
		want := content(seed, 0, 90_000)
		a.Write(want[:50_000])
		n.Run(100 * time.Microsecond)
		a.Write(want[50_000:])
		a.CloseWrite()
		b.Write([]byte("and back"))
		n.Run(time.Second)
		if !bytes.Equal(eb.got, want) || !eb.eof || string(ea.got) != "and back" || ea.eof || ea.err != nil || eb.err != nil {
			t.Errorf("seed %d: %d of %d bytes, end %v; back %q, end %v; %v %v", seed, len(eb.got), len(want), eb.eof, ea.got, ea.eof, ea.err, eb.err)
		}
	}
}

func TestASlowReaderMakesBytesWaitAtTheSender(t *testing.T) {
	n, _, a, b, ea, eb := twoEnds(t, 1, func(p *sim.Path) { p.Window = 10_000 })
	b.SetReading(false)
	if q := a.Write(content(1, 0, 50_000)); q != 40_000 {
		t.Errorf("%d bytes wait, want 40000", q)
	}
	n.Run(time.Second)
	if ea.drained != 0 || a.Queued() != 40_000 || b.Unread() != 10_000 {
		t.Errorf("drained %d times with %d waiting and %d unread", ea.drained, a.Queued(), b.Unread())
	}
	b.SetReading(true)
	n.Run(time.Second)
	if ea.drained != 1 || !bytes.Equal(eb.got, content(1, 0, 50_000)) {
		t.Errorf("drained %d times, %d bytes arrived", ea.drained, len(eb.got))
	}
}

func TestClosingWithBytesUnreadResetsThePeer(t *testing.T) {
	n, _, a, b, ea, _ := twoEnds(t, 1, nil)
	b.SetReading(false)
	a.Write([]byte("nobody reads this"))
	n.Run(time.Second)
	b.Close(false)
	n.Run(time.Second)
	if ea.err == nil || ea.eof {
		t.Errorf("end %v, error %v; want a reset", ea.eof, ea.err)
	}
}

func TestWritingToAClosedPeerIsReset(t *testing.T) {
	n, _, a, b, ea, _ := twoEnds(t, 1, nil)
	b.Close(false)
	n.Run(time.Second)
	if !ea.eof || ea.err != nil {
		t.Fatalf("end %v, error %v; want an end in good order", ea.eof, ea.err)
	}
	a.Write([]byte("too late"))
	n.Run(time.Second)
	if ea.err == nil {
		t.Error("no reset")
	}
}

func TestAClosedSocketSendsWhatWaits(t *testing.T) {
	n, _, a, b, _, eb := twoEnds(t, 1, func(p *sim.Path) { p.Window = 1000 })
	b.SetReading(false)
	a.Write(content(1, 0, 30_000))
	a.Close(false)
	n.Run(time.Second)
	b.SetReading(true)
	n.Run(time.Second)
	if !bytes.Equal(eb.got, content(1, 0, 30_000)) || !eb.eof {
		t.Errorf("%d of 30000 bytes arrived, end %v, error %v", len(eb.got), eb.eof, eb.err)
	}
}

func TestAClosedSocketDoesNotWaitForADeadReader(t *testing.T) {
	n, _, a, b, _, eb := twoEnds(t, 1, func(p *sim.Path) { p.Window = 1000 })
	b.SetReading(false)
	a.Write(content(1, 0, 30_000))
	a.Close(false)
	n.Run(6 * time.Second)
	if eb.err == nil {
		t.Error("it still waits after six seconds")
	}
}

func TestACutLosesNothingIfItIsShort(t *testing.T) {
	for seed := range uint64(20) {
		n, p, a, _, ea, eb := twoEnds(t, seed, nil)
		a.Write(content(1, 0, 40_000))
		n.Run(200 * time.Microsecond)
		p.Cut()
		a.Write(content(1, 40_000, 40_000))
		n.Run(10 * time.Second)
		p.Heal()
		a.Write(content(1, 80_000, 10_000))
		n.Run(time.Second)
		if !bytes.Equal(eb.got, content(1, 0, 90_000)) || ea.err != nil {
			t.Errorf("seed %d: %d of 90000 bytes arrived as sent: %v", seed, len(eb.got), ea.err)
		}
	}
}

func TestALongCutBreaksBothEnds(t *testing.T) {
	n, p, a, _, ea, eb := twoEnds(t, 1, nil)
	p.Cut()
	a.Write([]byte("x"))
	n.Run(31 * time.Second)
	if ea.err == nil || eb.err != nil {
		t.Errorf("after half a minute: %v at the sender, %v at the other end", ea.err, eb.err)
	}
	n.Run(15 * time.Second)
	if eb.err == nil {
		t.Error("the silent end never noticed")
	}
}

func TestACutInOneDirectionLetsTheOtherThrough(t *testing.T) {
	n := sim.New(1, nil)
	x, y := n.Host("x", netip.MustParseAddr("10.0.0.1")), n.Host("y", netip.MustParseAddr("10.0.0.2"))
	p := n.Path(x, y)
	ea, eb := &ender{}, &ender{}
	var b *sim.Socket
	y.Listen(1, func(s *sim.Socket) {
		b = s
		s.Adopt(&sim.Prompt{Net: n, Handler: eb})
	})
	a := x.Dial(&sim.Prompt{Net: n, Handler: ea}, netip.AddrPortFrom(y.Addr, 1), time.Second)
	n.Run(10 * time.Millisecond)
	p.CutFrom(x)
	a.Write([]byte("there"))
	b.Write([]byte("back"))
	n.Run(time.Second)
	if len(eb.got) > 0 || string(ea.got) != "back" || !p.Down() {
		t.Errorf("%q went there and %q back", eb.got, ea.got)
	}
	p.Heal()
	n.Run(time.Second)
	if string(eb.got) != "there" {
		t.Errorf("after healing, %q went there", eb.got)
	}
}

func TestDialsAreRefusedOrTimeOut(t *testing.T) {
	n := sim.New(1, nil)
	x, y := n.Host("x", netip.MustParseAddr("10.0.0.1")), n.Host("y", netip.MustParseAddr("10.0.0.2"))
	refused, lost := &ender{}, &ender{}
	x.Dial(&sim.Prompt{Net: n, Handler: refused}, netip.AddrPortFrom(y.Addr, 1), time.Second)
	x.Dial(&sim.Prompt{Net: n, Handler: lost}, netip.MustParseAddrPort("10.0.0.9:1"), time.Second)
	n.Run(900 * time.Millisecond)
	if !refused.opened || refused.openErr == nil || lost.opened {
		t.Errorf("refused: %v %v; lost: %v", refused.opened, refused.openErr, lost.opened)
	}
	n.Run(200 * time.Millisecond)
	if !lost.opened || lost.openErr == nil {
		t.Error("a dial to nowhere did not time out")
	}
}

func TestBandwidthTakesTime(t *testing.T) {
	n, _, a, _, _, eb := twoEnds(t, 1, func(p *sim.Path) { p.Bandwidth, p.Window = 100_000, 1<<20 })
	a.Write(content(1, 0, 100_000))
	n.Run(800 * time.Millisecond)
	if len(eb.got) == 100_000 {
		t.Error("a second's worth arrived in less")
	}
	n.Run(300 * time.Millisecond)
	if len(eb.got) != 100_000 {
		t.Errorf("%d of 100000 bytes arrived in time", len(eb.got))
	}
}
