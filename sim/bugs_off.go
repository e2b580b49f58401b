//go:build !plantedbugs

package main

import (
	"fmt"
	"io"
)

// findBugs needs a build with bugs.
func findBugs(out io.Writer, _ uint64, _, _ int, _ string) int {
	fmt.Fprintln(out, "this build has no bugs to plant: go run -tags plantedbugs ./sim -bugs")
	return 2
}

// plant likewise.
func plant(out io.Writer, _ string) bool {
	fmt.Fprintln(out, "this build has no bugs to plant: go run -tags plantedbugs ./sim -seed N -bug NAME")
	return false
}
