//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package state

import (
	"errors"
	"os"
	"runtime"
)

var errLocked = errors.New("locked by another process")

// lockFile refuses systems on which a lock that ends with the process has not been tried.
func lockFile(*os.File) error {
	return errors.New("the control plane does not run on " + runtime.GOOS)
}
