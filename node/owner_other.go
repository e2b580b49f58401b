//go:build !linux

package node

import "os"

func selfPID() int { return os.Getpid() }

// lookOwner knows no start times on this system.
func lookOwner(pid int) Owner { return Owner{PID: pid} }

// pidSpace is 0: there are no pid namespaces here.
func pidSpace() uint64 { return 0 }

// onFirstThread is false: only on Linux does a thread have anything of its own that matters here.
func onFirstThread() bool { return false }
