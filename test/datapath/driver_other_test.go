//go:build !linux

package datapath

import (
	"github.com/weft-mesh/weft/proxy/drive"
	netdriver "github.com/weft-mesh/weft/proxy/drive/net"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// drivers are those of this system.
var drivers = []string{"net"}

func newDriver(_ string, opt drive.Options, reg *telemetry.Registry) (drive.Driver, error) {
	return netdriver.New(opt, reg)
}
