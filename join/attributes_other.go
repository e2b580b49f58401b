//go:build !unix

package join

import "syscall"

// attributes has nothing to say here.
func attributes(bool) *syscall.SysProcAttr { return nil }
