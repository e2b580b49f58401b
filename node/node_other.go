//go:build !linux

package node

import (
	"runtime"

	"github.com/weft-mesh/weft/codes"
)

// Namespace exists on Linux only.
type Namespace struct{}

// New fails with a coded error: transparent capture needs Linux.
func New(Options) (*Namespace, error) { return nil, Supported() }

// Supported tells why this system cannot make a Namespace.
func Supported() error {
	e := codes.New("W4150", "--transparent needs Linux")
	e.Why = "this is " + runtime.GOOS
	e.Next = []string{"leave out --transparent: http_proxy and WEFT_<SERVICE>_URL work here"}
	return e
}

// Thread is nil.
func (*Namespace) Thread() *Thread { return nil }

// Sockets are none.
func (*Namespace) Sockets() Sockets { return Sockets{} }

// IPv4 is invalid.
func (*Namespace) IPv4() Ends { return Ends{} }

// IPv6 is invalid.
func (*Namespace) IPv6() Ends { return Ends{} }

// Link is empty.
func (*Namespace) Link() string { return "" }

// Close does nothing.
func (*Namespace) Close() error { return nil }

// Reap has nothing to look for.
func Reap() ([]string, error) { return nil, nil }
