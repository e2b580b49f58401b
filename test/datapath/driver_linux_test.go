package datapath

import (
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/drive/epoll"
	netdriver "github.com/weft-mesh/weft/proxy/drive/net"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

// drivers are those of this system, the one in production first.
var drivers = []string{"epoll", "net"}

func newDriver(name string, opt drive.Options, reg *telemetry.Registry) (drive.Driver, error) {
	if name == "epoll" {
		return epoll.New(opt, reg)
	}
	return netdriver.New(opt, reg)
}
