//go:build linux

package epoll

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/proxy/drive"
	"golang.org/x/sys/unix"
)

const patience = 10 * time.Second // bounds waits that end at once when all is well

// rig is one end of a TLS connection, run as a Loop runs it: a handshake on a goroutine that is
// fed by pushes, then records opened in place. Its socket is one end of a pair; the test, or a
// TLS stack under test by it, holds the other.
type rig struct {
	t    testing.TB
	c    *conn
	peer net.Conn

	shaken  chan error // the handshake's outcome
	plain   []byte     // opened so far
	scratch []byte
	err     error // what ended opening, other than the want of bytes
}

func newRig(t testing.TB, cfg *tls.Config, server bool) *rig {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "peer")
	peer, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	l := &Loop{epfd: epfd, wakefd: -1, opt: &drive.Options{Log: slog.New(slog.DiscardHandler)}}
	r := &rig{t: t, peer: peer, shaken: make(chan error, 1), scratch: make([]byte, readSize+16<<10)}
	r.c = &conn{loop: l, fd: fds[0], shaking: true}
	r.c.feed = newFeed(r.c)
	if server {
		r.c.tls = tls.Server(r.c.feed, cfg)
	} else {
		r.c.tls = tls.Client(r.c.feed, cfg)
	}
	t.Cleanup(func() {
		r.c.feed.stop(net.ErrClosed)
		unix.Close(r.c.fd)
		unix.Close(epfd)
		peer.Close()
	})
	return r
}

// read takes what the socket has, waiting for at least one byte. It is nil at the end.
func (r *rig) read() []byte {
	r.t.Helper()
	buf := make([]byte, readSize)
	fds := []unix.PollFd{{Fd: int32(r.c.fd), Events: unix.POLLIN}}
	for {
		k, err := unix.Poll(fds, int(patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || k == 0 {
			r.t.Fatalf("the peer sent nothing: %v", err)
		}
		n, err := unix.Read(r.c.fd, buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			r.t.Fatalf("reading the socket: %v", err)
		}
		return buf[:n]
	}
}

// handshake starts the handshake and reads the socket for it until it is over, as a Loop does.
func (r *rig) handshake() error {
	r.t.Helper()
	r.start(patience)
	for {
		select {
		case err := <-r.shaken:
			return err
		default:
		}
		fds := []unix.PollFd{{Fd: int32(r.c.fd), Events: unix.POLLIN}}
		if k, _ := unix.Poll(fds, 1); k == 0 {
			continue
		}
		if p := r.read(); len(p) == 0 {
			r.c.feed.stop(nil)
			return <-r.shaken
		} else if !r.c.feed.push(p) {
			r.t.Fatal("a handshake without a flood filled its buffer")
		}
	}
}

// start begins the handshake. Its outcome comes out of shaken.
func (r *rig) start(timeout time.Duration) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		r.shaken <- r.c.tls.HandshakeContext(ctx)
	}()
}

// up makes the handshake and stops the test if it fails. Bytes that came early are opened.
func (r *rig) up() {
	r.t.Helper()
	if err := r.handshake(); err != nil {
		r.t.Fatalf("handshake: %v", err)
	}
	r.c.shaking = false
	rest, _, _ := r.c.feed.take()
	r.open(rest)
}

// open feeds bytes and reads what they hold, as Loop.decrypt does.
func (r *rig) open(in []byte) {
	if r.err != nil {
		return
	}
	r.c.feed.in = in
	for {
		n, err := r.c.tls.Read(r.scratch)
		r.plain = append(r.plain, r.scratch[:n]...)
		if err == nil {
			continue
		}
		if err != errNoBytes { //nolint:errorlint // the very value
			r.err = err
		}
		return
	}
}

// end tells that the peer has ended its direction.
func (r *rig) end() {
	r.c.feed.eof = true
	r.open(nil)
}

// flush waits until the socket has taken what is pending.
func (r *rig) flush() {
	r.t.Helper()
	for len(r.c.pending) > 0 {
		fds := []unix.PollFd{{Fd: int32(r.c.fd), Events: unix.POLLOUT}}
		if k, err := unix.Poll(fds, int(patience.Milliseconds())); k == 0 || err != nil && err != unix.EINTR {
			r.t.Fatalf("the peer does not read: %v", err)
		}
		r.c.sendPending()
	}
}

// certificate is a self-signed server and client certificate for "peer".
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, DNSNames: []string{"peer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// settings are those of a link: TLS 1.3 both ways, whole records, no tickets.
func settings() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificate()}, ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true,
		NextProtos: []string{identity.LinkALPN}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
	}
}

// recorder keeps what a TLS stack writes, and gives it what was scripted.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	out []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = append(r.out, p...)
	return len(p), nil
}

func (r *recorder) taken() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.out
	r.out = nil
	return out
}

// switched is a net.Conn whose writes can be turned to a recorder after the handshake.
type switched struct {
	net.Conn
	to io.Writer
}

func (s *switched) Write(p []byte) (int, error) {
	if s.to != nil {
		return s.to.Write(p)
	}
	return s.Conn.Write(p)
}

// linked makes a rig and a crypto/tls peer that have shaken hands. Afterwards the peer's records
// go to rec, for the test to deliver as it likes.
func linked(t testing.TB, cfg *tls.Config, server bool) (r *rig, peer *tls.Conn, rec *recorder) {
	t.Helper()
	r = newRig(t, cfg, server)
	rec = &recorder{}
	sw := &switched{Conn: r.peer}
	if server {
		peer = tls.Client(sw, cfg)
	} else {
		peer = tls.Server(sw, cfg)
	}
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	r.up()
	if err := <-done; err != nil {
		t.Fatalf("the peer's handshake: %v", err)
	}
	sw.to = rec
	return r, peer, rec
}

// text is n bytes that do not repeat in step with anything.
func text(n int) []byte {
	p := make([]byte, n)
	x := uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

// alertOf gives the description of the first alert record in p that is not encrypted.
func alertOf(p []byte) (byte, error) {
	for len(p) >= 5 {
		n := int(p[3])<<8 | int(p[4])
		if len(p) < 5+n {
			break
		}
		if p[0] == 21 && n == 2 {
			return p[6], nil
		}
		p = p[5+n:]
	}
	return 0, errors.New("no alert")
}
