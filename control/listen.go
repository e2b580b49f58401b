package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// maxSocketPath is what fits into sockaddr_un on Linux; others take less.
const maxSocketPath = 107

// listenSocket makes the Unix socket, 0600. A dead socket in its place is removed; a living one
// is not touched (W2005).
func listenSocket(ctx context.Context, path string) (*net.UnixListener, error) {
	fail := func(err error) (*net.UnixListener, error) {
		e := codes.New("W2005", "the control socket cannot be used")
		e.Why, e.Where, e.Err = err.Error(), path, err
		e.Next = []string{"ls -l " + path}
		return nil, e
	}
	if len(path) > maxSocketPath {
		return fail(fmt.Errorf("its path has %d bytes, want at most %d", len(path), maxSocketPath))
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return fail(errors.New("something that is not a socket is there"))
		}
		d := net.Dialer{Timeout: time.Second}
		if c, err := d.DialContext(ctx, "unix", path); err == nil {
			_ = c.Close()
			return fail(errors.New("another process listens there"))
		}
		if err := os.Remove(path); err != nil {
			return fail(err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fail(err)
	}
	// Who connects is asked from the kernel too; the mode keeps others from trying.
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return fail(err)
	}
	return l, nil
}

// listenTCP makes the TCP listener.
func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		e := codes.New("W2006", "the listen address cannot be bound")
		e.Why, e.Where, e.Err = err.Error(), addr, err
		e.Next = []string{"ss -ltnp", "weft up DIR --listen 127.0.0.1:0"}
		if errors.Is(err, syscall.EADDRINUSE) {
			e.Why = "another process has the port"
		}
		return nil, e
	}
	return l, nil
}
