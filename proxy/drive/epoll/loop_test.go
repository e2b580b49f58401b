//go:build linux

package epoll

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// stranger is a Security for which everybody who has a certificate is somebody.
type stranger struct{ cfg *tls.Config }

func (s stranger) Server(int) *tls.Config                  { return s.cfg }
func (s stranger) Client(int, string) *tls.Config          { return s.cfg }
func (stranger) Peer(*tls.ConnectionState) (string, bool)  { return "spiffe://test/ns/a/sa/b", true }
func (stranger) Explain(err error, _ string) error         { return err }
func (stranger) Subscribe(model.Name)                      {}
func (stranger) SubscribeIP(netip.Addr)                    {}
func (stranger) AddrAbsent(netip.Addr) bool                { return true }
func (stranger) ServiceOfIP(netip.Addr) (model.Name, bool) { return model.Name{}, false }

// startLink runs a driver that takes links, until the test's end.
func startLink(t *testing.T, cfg *tls.Config) (d *Driver, addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sec := stranger{cfg}
	d, err = New(drive.Options{
		Loops: 1, Mesh: sec, Security: sec, Log: slog.New(slog.DiscardHandler),
		Listeners: []drive.Listener{{Core: &core.Listener{Kind: core.ListenLink}, TCP: ln.(*net.TCPListener)}},
	}, telemetry.NewRegistry(1))
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // the loop has a descriptor of its own
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the driver ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("the driver did not end")
		}
	}
	t.Cleanup(stop)
	return d, ln.Addr().String(), stop
}

// holding is a connection that keeps what is written after the first write, until it is told to
// let it go, in one piece.
type holding struct {
	net.Conn
	writes int
	held   []byte
}

func (h *holding) Write(p []byte) (int, error) {
	if h.writes++; h.writes == 1 {
		return h.Conn.Write(p)
	}
	h.held = append(h.held, p...)
	return len(p), nil
}

func TestARequestInTheSegmentOfTheHandshakesEndIsAnswered(t *testing.T) {
	_, addr, _ := startLink(t, settings())
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	h := &holding{Conn: nc}
	c := tls.Client(h, settings())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(h.held); err != nil {
		t.Fatal(err)
	}
	for head := make([]byte, 9); ; { // frames, until the acknowledgement of our settings
		if _, err := io.ReadFull(c, head); err != nil {
			t.Fatalf("our settings were not acknowledged: %v", err)
		}
		if head[3] == 4 && head[4]&1 != 0 {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAConnectionThatNeverShakesHandsIsClosedWhenTheLoopEnds(t *testing.T) {
	_, addr, stop := startLink(t, settings())
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte{22, 3, 1}); err != nil {
		t.Fatal(err)
	}
	stop() // must not wait for the handshake's timeout; goleak sees what is left
	if err := nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the socket is still open: %v", err)
	}
}

func TestAFloodDuringTheHandshakeStopsTheReading(t *testing.T) {
	release := make(chan struct{})
	cfg := settings()
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { <-release; return nil, nil }
	_, addr, _ := startLink(t, cfg)
	t.Cleanup(func() { close(release) }) // before the driver is stopped
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sw := &switched{Conn: nc, to: &cut{nc}}
	if err := tls.Client(sw, settings()).Handshake(); !errors.Is(err, errCut) {
		t.Fatalf("sending the hello: %v", err)
	}
	// What follows the hello fills the kernel's buffers and the handshake's, and no more.
	const tooMuch = 64 << 20
	if err := nc.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := nc.Write(make([]byte, tooMuch)); err == nil {
		t.Errorf("%d bytes were read while the handshake was under way", n)
	}
}

var errCut = errors.New("enough")

// cut lets one write through and fails.
type cut struct{ nc net.Conn }

func (c *cut) Write(p []byte) (int, error) {
	if _, err := c.nc.Write(p); err != nil {
		return 0, err
	}
	return 0, errCut
}

func TestWhatIsPostedAfterTheEndTouchesNoDescriptor(t *testing.T) {
	d, _, stop := startLink(t, settings())
	l := d.loops[0]
	old := l.wakefd
	stop()
	// The next descriptors reuse the loop's numbers. A late wake-up would land in one of them.
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	hit := false
	for !hit && len(files) < 64 {
		f, err := os.CreateTemp(t.TempDir(), "innocent")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		hit = hit || int(f.Fd()) == old
	}
	if !hit {
		t.Skip("the descriptor's number was not reused")
	}
	d.Post(func(*core.Core) { t.Error("ran after the end") })
	for _, f := range files {
		if info, err := f.Stat(); err != nil || info.Size() != 0 {
			t.Errorf("descriptor %d of somebody else was written to (%v)", f.Fd(), err)
		}
	}
}
