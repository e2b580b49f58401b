//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "faults: it needs network namespaces, and this is not Linux")
	os.Exit(3)
}
