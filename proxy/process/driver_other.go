//go:build !linux

package process

import (
	"github.com/weft-mesh/weft/proxy/drive"
	netdriver "github.com/weft-mesh/weft/proxy/drive/net"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

func newDriver(name string, opt drive.Options, reg *telemetry.Registry) (drive.Driver, error) {
	if name != "" && name != "net" {
		return nil, badConfig("this system has the driver net only", name)
	}
	return netdriver.New(opt, reg)
}
