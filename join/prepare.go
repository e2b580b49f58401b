package join

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/node"
	"github.com/weft-mesh/weft/proxy/config"
)

// listTimeout bounds the question which services there are.
const listTimeout = 5 * time.Second

// site is all that a run makes for its proxy and its application, but for the processes.
type site struct {
	dir          string // 0700, sockets and small files
	state        string // of the proxy; empty: it keeps none. The proxy makes it
	netns        *node.Namespace
	reservations reservations
	services     []model.Service
}

// close removes everything. It may be called on a half-made site.
func (s *site) close(o *Options) {
	s.reservations.release()
	if s.netns != nil {
		if err := s.netns.Close(); err != nil {
			o.Log.Warn("the network namespace could not be removed", "err", err)
		}
	}
	if s.state != "" {
		if err := os.RemoveAll(s.state); err != nil {
			o.Log.Warn("the proxy's state could not be removed", "path", s.state, "err", err)
		}
	}
	if s.dir != "" {
		if err := os.RemoveAll(s.dir); err != nil {
			o.Log.Warn("the run's directory could not be removed", "path", s.dir, "err", err)
		}
	}
}

// prepare makes a site and the configuration of its proxy.
func (s *site) prepare(ctx context.Context, o *Options, n uint64) (*config.Config, error) {
	var err error
	if s.dir, err = makeRunDir(o.RuntimeDir, n); err != nil {
		return nil, err
	}
	if o.StateDir != "" {
		s.state = filepath.Join(o.StateDir, filepath.Base(s.dir))
	}
	if s.services, err = listServices(ctx, o); err != nil {
		return nil, err
	}
	cfg := &config.Config{
		Name:       o.Namespace + "/" + o.Instance,
		Control:    o.Control,
		Unreported: o.Unreported,
		StateDir:   s.state,
		Driver:     o.Driver,
		Loops:      o.Loops,
		// A little less than we wait for, so that it is the proxy who ends its connections.
		DrainTimeout: config.Duration(o.DrainTimeout * 4 / 5),
	}
	w := workload(o)
	if w.Link, err = s.reservations.take(o.Link); err != nil {
		return nil, notReady(err.Error(), err)
	}
	if o.Metrics {
		if cfg.Metrics, err = s.reservations.take("127.0.0.1:0"); err != nil {
			return nil, notReady(err.Error(), err)
		}
	}
	const maxSocketPath = 100 // of 107 (unix(7))
	if admin := filepath.Join(s.dir, "admin.sock"); len(admin) <= maxSocketPath {
		cfg.Admin = admin
	} else {
		o.Log.Warn("the proxy has no admin socket: the path would be too long", "path", admin)
	}
	appAddr := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if o.Transparent {
		if err := s.prepareTransparent(o, &w.Outbound); err != nil {
			return nil, err
		}
		appAddr = s.netns.IPv4().Inside
	} else if err := s.prepareListeners(o, &w.Outbound); err != nil {
		return nil, notReady(err.Error(), err)
	}
	for _, p := range o.Ports {
		w.Ports = append(w.Ports, config.Port{Name: p.Name, Addr: netip.AddrPortFrom(appAddr, p.Number), Protocol: p.Protocol})
	}
	cfg.Workloads = []config.Workload{w}
	return cfg, nil
}

// workload is the application as the proxy knows it, but for its ports and listeners.
func workload(o *Options) config.Workload {
	return config.Workload{
		Name: o.Instance, Namespace: o.Namespace, ServiceAccount: o.ServiceAccount,
		Service: o.Service, Labels: o.Labels, Zone: o.Zone, LinkAdvertise: o.LinkAdvertise,
	}
}

// listServices asks the control plane.
func listServices(ctx context.Context, o *Options) ([]model.Service, error) {
	if o.Lister == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	services, err := o.Lister.Services(ctx, o.Namespace)
	if coded := (*codes.Error)(nil); errors.As(err, &coded) {
		return nil, coded // it says more than we could
	}
	if err != nil {
		e := codes.New("W4113", fmt.Sprintf("cannot list the services of namespace %s", o.Namespace))
		e.Why, e.Err = err.Error(), err
		e.Where = o.Control.Socket + o.Control.Addr
		e.Next = []string{"weft status", "weft up DIR"}
		return nil, e
	}
	return services, nil
}

// prepareListeners sets up capture without privilege: a proxy for HTTP clients and a local
// address for each port of each service.
func (s *site) prepareListeners(o *Options, out *config.Outbound) (err error) {
	if out.Proxy, err = s.reservations.take("127.0.0.1:0"); err != nil {
		return err
	}
	left := 0
	for _, svc := range s.services {
		for _, p := range svc.Ports {
			if len(out.Services) == maxServiceListeners {
				left++
				continue
			}
			listen, err := s.reservations.take("127.0.0.1:0")
			if err != nil {
				return err
			}
			out.Services = append(out.Services, config.ServiceListener{
				Listen: listen, Namespace: svc.Namespace, Service: svc.Name.Name, Port: p.Port,
			})
		}
	}
	if left > 0 {
		e := codes.New("W4114", "not every service got an address of its own")
		o.Log.Warn(e.What, "code", e.Code, "ports", len(out.Services), "without", left)
	}
	return nil
}

// prepareTransparent sets up capture in a network namespace.
func (s *site) prepareTransparent(o *Options, out *config.Outbound) error {
	r, real := machineResolver()
	if !real.IsValid() {
		// Any address will do for UDP, which is redirected; it must only not be a loopback.
		real = netip.AddrFrom4([4]byte{192, 0, 2, 53}) // TEST-NET-1 (RFC 5737)
	}
	file := filepath.Join(s.dir, "resolv.conf")
	if err := os.WriteFile(file, []byte(resolvConf(r, real, o.Namespace)), 0o600); err != nil {
		return runtimeError(file, err.Error())
	}
	// The application may be another user; it sees the file through its own mount, not
	// through our directory. The umask must not take the right away.
	if err := os.Chmod(file, 0o644); err != nil {
		return runtimeError(file, err.Error())
	}
	var err error
	if s.netns, err = node.New(node.Options{ResolvConf: file, Log: o.Log}); err != nil {
		return err
	}
	for _, server := range r.servers {
		out.DNSUpstreams = append(out.DNSUpstreams, server.String())
	}
	return nil
}

// addresses are where the application finds the services.
func (s *site) addresses(ready config.ReadyWorkload) []serviceAddr {
	if s.netns != nil {
		return transparentAddrs(s.services)
	}
	listeners := map[config.ServiceListener]string{}
	for _, l := range ready.Services {
		key := l
		key.Listen = ""
		listeners[key] = l.Listen
	}
	var out []serviceAddr
	for _, svc := range s.services {
		for i, p := range svc.Ports {
			addr := listeners[config.ServiceListener{Namespace: svc.Namespace, Service: svc.Name.Name, Port: p.Port}]
			if addr != "" {
				out = append(out, serviceAddr{service: svc.Name, port: p, first: i == 0, addr: addr})
			}
		}
	}
	return out
}
