//go:build linux

package epoll

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	pipeSize = 512 << 10 // what goes through a pipe at a time
	leastFit = 64 << 10  // a pipe of less is no gain
	maxPipes = 32        // of a loop; each is held by a reader that is behind. Others are copied for
	maxSpare = 4         // kept for the next
)

// pipe is what bytes are spliced through.
type pipe struct {
	r, w int
	held int // bytes in it
}

// pipes are the pipes of a loop. A connection has one only while bytes of it are inside. The zero
// value is ready.
type pipes struct {
	free []*pipe
	made int  // free or in use
	off  bool // the system does not splice
}

// get gives an empty pipe, or nil if there is none to be had.
func (s *pipes) get() *pipe {
	if n := len(s.free) - 1; n >= 0 {
		p := s.free[n]
		s.free = s.free[:n]
		return p
	}
	if s.off || s.made >= maxPipes {
		return nil
	}
	var fd [2]int
	if err := unix.Pipe2(fd[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil // out of descriptors
	}
	p := &pipe{r: fd[0], w: fd[1]}
	s.made++
	// Users without privileges may have so much in pipes (fs.pipe-user-pages-soft): beyond that they
	// get the usual size, and at last very small ones.
	if n, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize); err != nil || n < pipeSize {
		if n, err = unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0); err != nil || n < leastFit {
			s.drop(p)
			return nil
		}
	}
	return p
}

// put takes back a pipe that is empty.
func (s *pipes) put(p *pipe) {
	if s.off || len(s.free) >= maxSpare {
		s.drop(p)
		return
	}
	s.free = append(s.free, p)
}

// drop closes a pipe, whatever is in it.
func (s *pipes) drop(p *pipe) {
	unix.Close(p.r) //nolint:errcheck // nothing can be done
	unix.Close(p.w) //nolint:errcheck // nothing can be done
	s.made--
}

// useless: splicing does not work here.
func (s *pipes) useless() {
	s.off = true
	s.close()
}

// close drops what is kept.
func (s *pipes) close() {
	for _, p := range s.free {
		s.drop(p)
	}
	s.free = nil
}

// empty appends to b what is in the pipe.
func (p *pipe) empty(b []byte) []byte {
	for p.held > 0 {
		at := len(b)
		b = append(b, make([]byte, p.held)...)
		n, err := readNow(p.r, b[at:])
		b = b[:at+n]
		if err == unix.EINTR {
			continue
		}
		if err != 0 || n == 0 {
			break
		}
		p.held -= n
	}
	return b
}

// spliceNow moves bytes between a socket and a pipe. n is 0 at the end of the stream and on errors.
func spliceNow(from, to, most int) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(syscall.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most),
		unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}
