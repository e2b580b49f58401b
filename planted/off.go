//go:build !plantedbugs

package planted

// Possible tells whether bugs can be planted in this build.
const Possible = false

// On reports whether a bug is planted: never, in this build.
func On(Bug) bool { return false }
