//go:build !unix

package node

// exists cannot be told here; everybody counts as living.
func exists(int) bool { return true }
