//go:build !linux

package shop

import (
	"fmt"
	"net"
)

// Listen listens on a reserved port.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return l, nil
}

// Reserve has the kernel choose a free port of 127.0.0.1. It is free when Reserve returns, and
// not held: these systems cannot hold it without taking connections.
func Reserve() (addr string, release func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("reserving a port: %w", err)
	}
	addr = l.Addr().String()
	return addr, func() {}, l.Close()
}
