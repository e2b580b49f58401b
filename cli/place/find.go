package place

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/weft-mesh/weft/codes"
)

// Target is a control plane: exactly one of Socket and Addr is set.
type Target struct {
	Socket string // path of a Unix socket
	Addr   string // host:port
	// Note, if not empty, tells the person which one was taken when there was a choice.
	Note string
}

// String gives the socket or the address.
func (t Target) String() string {
	if t.Socket != "" {
		return t.Socket
	}
	return t.Addr
}

// probeTimeout bounds the question whether somebody listens on a local socket; it is answered
// by the kernel, so that only a full backlog takes time.
const probeTimeout = 500 * time.Millisecond

// Alive reports whether somebody listens on the socket. Only a refusal by the kernel counts as
// dead: a socket that cannot be judged (no rights, backlog full) is left alone and is alive.
func Alive(ctx context.Context, socket string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err == nil {
		_ = c.Close() // nothing was sent
		return true
	}
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist)
}

// Sockets lists the sockets in the runtime directory on which somebody listens, sorted by path.
// With reap, those of control planes that died are removed.
func (d Dirs) Sockets(ctx context.Context, reap bool) (alive, dead []string) {
	paths, _ := filepath.Glob(filepath.Join(d.Runtime(), "*.sock")) // the pattern is well formed
	sort.Strings(paths)
	for _, p := range paths {
		fi, err := os.Lstat(p)
		if err != nil || fi.Mode().Type() != os.ModeSocket {
			continue
		}
		if Alive(ctx, p) {
			alive = append(alive, p)
			continue
		}
		dead = append(dead, p)
		if reap {
			_ = os.Remove(p) // another weft may have done it already
		}
	}
	return alive, dead
}

// Find says where the control plane is. wish is --control or $WEFT_CONTROL (a path, a mesh's
// name, or host:port); empty means: default.sock if somebody listens there, else the only
// living socket, else the first of several (Note says so).
func (d Dirs) Find(ctx context.Context, wish string) (Target, error) {
	if wish != "" {
		return d.explicit(ctx, wish)
	}
	if err := d.CheckRuntime(); err != nil {
		return Target{}, err
	}
	alive, _ := d.Sockets(ctx, true)
	switch len(alive) {
	case 0:
		e := codes.New("W4002", "no control plane runs here")
		e.Why = "nobody listens on a socket in " + d.Runtime()
		e.Next = []string{"weft demo          (a working mesh to look at)", "weft up DIR        (your own)", "weft status --control HOST:PORT"}
		return Target{}, e
	case 1:
		return Target{Socket: alive[0]}, nil
	}
	take := alive[0]
	for _, p := range alive {
		if p == d.Socket(DefaultMesh) {
			take = p
		}
	}
	var others []string
	for _, p := range alive {
		if p != take {
			others = append(others, MeshName(p))
		}
	}
	return Target{Socket: take, Note: fmt.Sprintf("%d control planes run here; this is %q (others: %s; choose with --control)",
		len(alive), MeshName(take), strings.Join(others, ", "))}, nil
}

// explicit takes a wish by its form: with a slash or ending in .sock it is a path, with a colon
// host:port, else the name of a mesh.
func (d Dirs) explicit(ctx context.Context, wish string) (Target, error) {
	var socket string
	switch {
	case strings.ContainsRune(wish, '/') || strings.HasSuffix(wish, ".sock"):
		socket = strings.TrimPrefix(wish, "unix:")
	case strings.ContainsRune(wish, ':'):
		if _, _, err := net.SplitHostPort(wish); err != nil {
			e := codes.New("W4001", "--control is neither a path nor host:port")
			e.Why, e.Err = err.Error(), err
			e.Next = []string{"weft status --control 127.0.0.1:9443", "weft status --control " + d.Socket(DefaultMesh)}
			return Target{}, e
		}
		return Target{Addr: wish}, nil
	default:
		socket = d.Socket(wish)
	}
	if !Alive(ctx, socket) {
		e := codes.New("W4002", "the control plane does not answer")
		e.Why, e.Where = "nobody listens on the socket", socket
		if alive, _ := d.Sockets(ctx, false); len(alive) > 0 {
			e.Next = append(e.Next, "weft status --control "+MeshName(alive[0]))
		}
		e.Next = append(e.Next, "weft up DIR")
		return Target{}, e
	}
	return Target{Socket: socket}, nil
}

// MeshName gives the name of the mesh that a socket belongs to.
func MeshName(socket string) string {
	return strings.TrimSuffix(filepath.Base(socket), ".sock")
}
