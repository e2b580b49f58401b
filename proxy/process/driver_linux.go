package process

import (
	"github.com/weft-mesh/weft/proxy/drive"
	"github.com/weft-mesh/weft/proxy/drive/epoll"
	netdriver "github.com/weft-mesh/weft/proxy/drive/net"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

func newDriver(name string, opt drive.Options, reg *telemetry.Registry) (drive.Driver, error) {
	switch name {
	case "", "epoll":
		return epoll.New(opt, reg)
	case "net":
		return netdriver.New(opt, reg)
	}
	return nil, badConfig("driver is epoll or net", name)
}
