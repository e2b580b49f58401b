//go:build !linux

package main

import (
	"fmt"
	"os"

	"github.com/weft-mesh/weft/bench/rig"
)

func main() {
	fmt.Fprint(os.Stderr, (&rig.Problem{What: "nothing was measured", Why: "the bench needs Linux: network namespaces and /proc"}).Text())
	os.Exit(exitIncomplete)
}
