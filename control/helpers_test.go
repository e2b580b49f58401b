package control_test

import (
	"net"
	"testing"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model/wire"
)

// listenAndAbandon leaves a socket file behind on which nobody listens.
func listenAndAbandon(t testing.TB, path string) (cleanup func()) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {}
}

// fromStatus checks that a failed call carries a code.
func fromStatus(t testing.TB, err error, code string) *codes.Error {
	t.Helper()
	return wantCode(t, wire.FromStatus(err), code)
}
