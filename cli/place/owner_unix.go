//go:build unix

package place

import (
	"os"
	"syscall"
)

// owner gives the user that owns a file.
func owner(fi os.FileInfo) (uid int, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}
