// Command weft is the command line of the mesh, and its control plane.
package main

import (
	"context"
	"os"

	"github.com/weft-mesh/weft/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), cli.FromOS(), os.Args[1:]))
}
