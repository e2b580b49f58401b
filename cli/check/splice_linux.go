package check

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// spliced tries what the proxy does with bulk: it moves a byte from a socket to a pipe, and gives
// how much a pipe of this user's holds (proxy/drive/epoll, pipe.go).
func spliced() (size int, err error) {
	const wanted = 512 << 10
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return 0, fmt.Errorf("making a pipe: %w", err)
	}
	s, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s = [2]int{-1, -1}
	}
	defer func() {
		for _, fd := range []int{p[0], p[1], s[0], s[1]} {
			_ = unix.Close(fd)
		}
	}()
	if err != nil {
		return 0, fmt.Errorf("making a socket: %w", err)
	}
	if _, err = unix.Write(s[0], []byte{0}); err != nil {
		return 0, fmt.Errorf("writing to a socket: %w", err)
	}
	if _, err = unix.Splice(s[1], nil, p[1], nil, wanted, unix.SPLICE_F_NONBLOCK); err != nil {
		return 0, fmt.Errorf("splice: %w", err)
	}
	_, _ = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, wanted) // may be refused
	if size, err = unix.FcntlInt(uintptr(p[1]), unix.F_GETPIPE_SZ, 0); err != nil {
		return 0, fmt.Errorf("asking for a pipe's size: %w", err)
	}
	return min(size, wanted), nil
}
