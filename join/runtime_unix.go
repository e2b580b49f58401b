//go:build unix

package join

import (
	"fmt"
	"os"
	"syscall"
)

// privateDir tells why others may tamper with a directory; empty: they may not. A symbolic link
// is not followed: in a shared temporary directory somebody else could have put it there.
func privateDir(path string) (why string) {
	st, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	if !st.IsDir() {
		return "it is not a directory"
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != os.Geteuid() {
		return fmt.Sprintf("it belongs to uid %d, this is uid %d", sys.Uid, os.Geteuid())
	}
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Sprintf("others may write there: mode %04o", st.Mode().Perm())
	}
	return ""
}
