//go:build !unix

package check

// fileLimit gives the hard limit of open files; this system has none.
func fileLimit() (hard uint64, ok bool) { return 0, false }
