package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/admin"
	"github.com/weft-mesh/weft/proxy/config"
	"github.com/weft-mesh/weft/proxy/core"
	"github.com/weft-mesh/weft/proxy/dns"
	"github.com/weft-mesh/weft/proxy/drive"
)

// listen binds all sockets and notes their addresses in p.ready.
func (p *proxy) listen() error {
	cfg := p.cfg
	p.ready.PID, p.ready.Leaves = os.Getpid(), canLeave
	for i := range cfg.Workloads {
		ready, err := p.listenFor(i)
		if err != nil {
			return err
		}
		p.ready.Workloads = append(p.ready.Workloads, ready)
	}
	if cfg.Metrics != "" {
		ln, err := net.Listen("tcp", cfg.Metrics)
		if err != nil {
			return cannotListen("metrics", cfg.Metrics, err)
		}
		p.metrics = ln
		p.closers = append(p.closers, ln)
		p.ready.Metrics = ln.Addr().String()
	}
	if cfg.Admin != "" {
		ln, err := admin.ListenUnix(cfg.Admin)
		if err != nil {
			return cannotListen("admin socket", cfg.Admin, err)
		}
		p.state = ln
		p.closers = append(p.closers, ln)
	}
	return nil
}

// listenFor binds the sockets of one workload.
func (p *proxy) listenFor(i int) (out config.ReadyWorkload, err error) {
	w := &p.cfg.Workloads[i]
	out.Name, out.Namespace = w.Name, w.Namespace
	of := " of " + w.Namespace + "/" + w.Name
	if w.Link != "" {
		if out.Link, err = p.bind(w.Link, "link"+of, &core.Listener{Kind: core.ListenLink, Workload: i}); err != nil {
			return out, err
		}
	}
	if w.Outbound.Proxy != "" {
		if out.Proxy, err = p.bind(w.Outbound.Proxy, "outbound proxy"+of, &core.Listener{Kind: core.ListenProxy, Workload: i}); err != nil {
			return out, err
		}
	}
	for _, s := range w.Outbound.Services {
		what := fmt.Sprintf("service %s/%s:%d", s.Namespace, s.Service, s.Port)
		if s.Namespace == "" || s.Service == "" || s.Port == 0 {
			return out, badConfig("a service listener needs namespace, service and port", "it stands for "+what)
		}
		s.Listen, err = p.bind(s.Listen, what, &core.Listener{
			Kind: core.ListenService, Workload: i, Service: model.Name{Namespace: s.Namespace, Name: s.Service}, Port: s.Port,
		})
		if err != nil {
			return out, err
		}
		out.Services = append(out.Services, s)
	}
	for _, fd := range w.Outbound.TransparentFDs {
		if err := p.inherit(fd, i); err != nil {
			return out, err
		}
	}
	return out, nil
}

// linkAddr is what peers are told to dial for a workload; zero: nothing.
func linkAddr(w *config.Workload, bound string) (netip.AddrPort, error) {
	text := bound
	if w.LinkAdvertise != "" {
		text = w.LinkAdvertise
	}
	if text == "" {
		return netip.AddrPort{}, nil
	}
	link, err := netip.ParseAddrPort(text)
	if err != nil {
		return link, badConfig("the link address is not ip:port", err.Error())
	}
	if link.Addr().IsUnspecified() && len(w.Ports) > 0 {
		e := badConfig("peers cannot dial the link address", link.String()+" is every address of this machine and none in particular")
		e.Next = []string{"weft run --link-advertise ADDRESS:PORT ...", "or let the link listen on one address"}
		return link, e
	}
	return link, nil
}

func (p *proxy) bind(addr, what string, l *core.Listener) (string, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return "", cannotListen(what, addr, err)
	}
	tcp := ln.(*net.TCPListener)
	p.listeners = append(p.listeners, drive.Listener{Core: l, TCP: tcp})
	p.closers = append(p.closers, tcp)
	return tcp.Addr().String(), nil
}

// inherit takes over a listening socket that another process made, perhaps in another network
// namespace.
func (p *proxy) inherit(fd, workload int) error {
	f := os.NewFile(uintptr(fd), "transparent")
	if f == nil {
		return badConfig("a transparent listener", fmt.Sprintf("descriptor %d was not inherited", fd))
	}
	ln, err := net.FileListener(f)
	f.Close() //nolint:errcheck // FileListener has its own copy
	if err != nil {
		return badConfig("a transparent listener", fmt.Sprintf("descriptor %d: %v", fd, err))
	}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		ln.Close() //nolint:errcheck // it is of no use
		return badConfig("a transparent listener", fmt.Sprintf("descriptor %d is no TCP socket", fd))
	}
	p.listeners = append(p.listeners, drive.Listener{Core: &core.Listener{Kind: core.ListenTransparent, Workload: workload}, TCP: tcp})
	p.closers = append(p.closers, tcp)
	return nil
}

// cannotListen says why an address cannot be bound and what to do about it.
func cannotListen(what, addr string, err error) error {
	e := codes.New("W3020", "the proxy cannot listen for its "+what)
	e.Why, e.Where, e.Err = err.Error(), addr, err
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Why = "the address is in use"
		e.Next = []string{"ss -ltnp | grep '" + addr[strings.LastIndexByte(addr, ':')+1:] + "'"}
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		e.Why = "this user may not listen there"
		e.Next = []string{"choose a port above 1023, or a directory that belongs to this user"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Why = "no interface of this machine has the address"
		e.Next = []string{"ip -brief address"}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		e.Why = "there are too many open files"
		e.Next = []string{"ulimit -n 65536"}
	case strings.HasPrefix(addr, "/"):
		e.Next = []string{"ls -ld " + addr + " " + filepath.Dir(addr)}
	default:
		e.Next = []string{"give an address as ip:port; port 0 takes a free one"}
	}
	return e
}

// startDNS answers names on the inherited sockets, in the namespace of the workload that asks.
func (p *proxy) startDNS(ctx context.Context, start func(context.Context, string, func(context.Context) error)) error {
	for i := range p.cfg.Workloads {
		w := &p.cfg.Workloads[i]
		var upstreams []netip.AddrPort
		for _, u := range w.Outbound.DNSUpstreams {
			a, err := netip.ParseAddrPort(u)
			if err != nil {
				return badConfig("a DNS upstream is not ip:port", err.Error())
			}
			upstreams = append(upstreams, a)
		}
		for _, fd := range w.Outbound.DNSFDs {
			f := os.NewFile(uintptr(fd), "dns")
			if f == nil {
				return badConfig("a DNS socket", fmt.Sprintf("descriptor %d was not inherited", fd))
			}
			pc, err := net.FilePacketConn(f)
			f.Close() //nolint:errcheck // FilePacketConn has its own copy
			if err != nil {
				return badConfig("a DNS socket", fmt.Sprintf("descriptor %d: %v", fd, err))
			}
			srv := &dns.Server{Conn: pc, Namespace: w.Namespace, Names: names{p}, Table: p.vips, Upstreams: upstreams, Log: p.log}
			start(ctx, "dns", srv.Serve)
		}
	}
	return nil
}

// names tells the DNS server which services there are.
type names struct{ p *proxy }

// Exists implements dns.Names.
func (n names) Exists(ctx context.Context, namespace, name string) bool {
	s, known := n.p.agent.Await(ctx, model.Name{Namespace: namespace, Name: name})
	return known && s != nil
}
