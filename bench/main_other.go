//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprint(os.Stderr, (&problem{what: "nothing was measured", why: "the bench needs Linux: network namespaces and /proc"}).text())
	os.Exit(exitIncomplete)
}
