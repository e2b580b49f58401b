//go:build unix

package check

import "golang.org/x/sys/unix"

// fileLimit gives the hard limit of open files.
func fileLimit() (hard uint64, ok bool) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, false
	}
	return uint64(r.Max), true //nolint:unconvert // int64 on some systems
}
