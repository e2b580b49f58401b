package admin

import "syscall"

// private makes the mode of a socket before it is bound. Linux gives it to the file, so that
// there is no moment at which others could connect (unix(7): the mode of the socket's inode and
// the umask).
func private(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); cerr != nil {
		return cerr
	}
	return err
}
