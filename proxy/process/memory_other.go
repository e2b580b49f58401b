//go:build !linux

package process

import "runtime/debug"

// releaseStartup gives back what only the start needed. It is called once, when the proxy is ready.
func releaseStartup() { debug.FreeOSMemory() }
