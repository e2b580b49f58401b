package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weft-mesh/weft/cli/mesh"
	"github.com/weft-mesh/weft/demo/shop"
)

// Member is one process to be joined.
type Member struct {
	Name, Namespace string
	ServiceAccount  string
	Labels          map[string]string
	Port            *Port // nil: it only calls others
	Command         []string
	Socket          string // of the control plane
	StateDir        string // where its proxy keeps its last good view
	Stdout, Stderr  io.Writer
}

// Port is where a member's application listens.
type Port struct {
	Name     string
	Addr     netip.AddrPort
	Protocol string
}

// member is a process of the shop before it has a port.
type member struct {
	name, service, version string
	port, protocol         string
}

// members of the shop; load is apart, since it starts when all of these are ready.
var members = []member{
	{name: "stock", service: "stock", port: "stock", protocol: "tcp"},
	{name: "catalog", service: "catalog", port: "grpc", protocol: "grpc"},
	{name: "ratings-v1", service: "ratings", version: "v1", port: "http", protocol: "http"},
	{name: "ratings-v2", service: "ratings", version: "v2", port: "http", protocol: "http"},
	{name: "cart", service: "cart", port: "http", protocol: "http"},
	{name: "web", service: "web", port: "http", protocol: "http"},
}

// endpointsWanted is how many endpoints each service has when the shop is complete.
var endpointsWanted = map[string]uint32{
	"stock": 1, "catalog": 1, "ratings": 2, "ratings-v1": 1, "ratings-v2": 1, "cart": 1, "web": 1,
}

// startShop joins all services and waits until each listens and is an endpoint over mTLS.
func startShop(g *group, p Parts, client mesh.Client, socket string) (shopURL string, err error) {
	addrs := make([]string, len(members))
	for i, m := range members {
		addr, release, err := shop.Reserve()
		if err != nil {
			return "", startError(m.name, err)
		}
		// Held until the demo ends: closing it earlier would gain nothing.
		context.AfterFunc(g.ctx, release)
		addrs[i] = addr
		ap, err := netip.ParseAddrPort(addr)
		if err != nil {
			return "", startError(m.name, err)
		}
		x := Member{
			Name: m.name, Namespace: namespace, ServiceAccount: m.name, Socket: socket,
			Labels:  map[string]string{"app": m.service},
			Port:    &Port{Name: m.port, Addr: ap, Protocol: m.protocol},
			Command: append(slices.Clone(p.App), m.service, "--listen", addr),
		}
		if m.version != "" {
			x.Labels["version"] = m.version
			x.Command = append(x.Command, "--version", m.version)
		}
		g.join(p, x)
		if m.name == "web" {
			shopURL = "http://" + addr + "/"
		}
	}
	for i, m := range members {
		if err := g.await(readyTimeout, m.name, func(ctx context.Context) string {
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", addrs[i])
			if err != nil {
				return err.Error()
			}
			_ = c.Close() // it was only to see who listens
			return ""
		}); err != nil {
			return "", err
		}
	}
	return shopURL, g.await(readyTimeout, "the services", func(ctx context.Context) string {
		return missing(ctx, client)
	})
}

// missing says which service is not complete; "" if all are.
func missing(ctx context.Context, client mesh.Client) string {
	all, err := client.Services(ctx)
	if err != nil {
		return err.Error()
	}
	have := map[string]mesh.Service{}
	for _, s := range all {
		if s.Namespace == namespace {
			have[s.Name] = s
		}
	}
	for _, m := range members {
		for _, name := range []string{m.name, m.service} {
			if s := have[name]; s.Meshed < endpointsWanted[name] {
				return fmt.Sprintf("service %s has %d of %d endpoints over mTLS", name, s.Meshed, endpointsWanted[name])
			}
		}
	}
	return ""
}

// join starts a member as a part of the group.
func (g *group) join(p Parts, m Member) *part {
	var made *part
	set := make(chan struct{})
	made = g.start(m.Name, func(ctx context.Context) error {
		<-set
		if m.Stdout == nil {
			m.Stdout = made.lines
		}
		m.Stderr = made.lines
		code, err := p.Join(ctx, m)
		if err == nil && code != 0 {
			err = fmt.Errorf("exit code %d", code)
		}
		return err
	})
	close(set)
	return made
}

// loadMessage is a line that the load generator writes: first Started, at the end Ledger.
type loadMessage struct {
	Started bool         `json:"started,omitempty"`
	Ledger  *shop.Ledger `json:"ledger,omitempty"`
}

// load is the running load generator.
type load struct {
	started chan struct{}
	ledger  chan *shop.Ledger // holds at most one
}

// startLoad joins the load generator and waits for its first request.
func startLoad(g *group, p Parts, o Options, socket string) (*load, error) {
	l := &load{started: make(chan struct{}), ledger: make(chan *shop.Ledger, 1)}
	args := []string{"load", "--rate", strconv.FormatFloat(o.Rate, 'f', -1, 64)}
	if o.For > 0 {
		args = append(args, "--for", o.For.String())
	}
	g.join(p, Member{
		Name: "load", Namespace: namespace, ServiceAccount: "load", Labels: map[string]string{"app": "load"},
		Command: append(slices.Clone(p.App), args...), Socket: socket, Stdout: &lineWriter{each: l.take},
	})
	return l, g.await(readyTimeout, "the load generator", func(context.Context) string {
		select {
		case <-l.started:
			return ""
		default:
			return "it sent nothing yet"
		}
	})
}

// take reads one line of the generator.
func (l *load) take(line []byte) {
	var m loadMessage
	if json.Unmarshal(line, &m) != nil {
		return // not ours
	}
	if m.Started {
		select {
		case <-l.started:
		default:
			close(l.started)
		}
	}
	if m.Ledger != nil {
		select {
		case l.ledger <- m.Ledger:
		default:
		}
	}
}

// wait waits for the ledger.
func (l *load) wait(g *group, limit time.Duration) (*shop.Ledger, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case x := <-l.ledger:
		return x, nil
	case <-g.ctx.Done():
		return nil, g.cause()
	case <-t.C:
		return nil, startError("the load generator", fmt.Errorf("no ledger after %s", limit))
	}
}

// lineWriter hands on whole lines of up to 1 MiB; longer ones are dropped. take is called by one
// goroutine at a time.
type lineWriter struct {
	each func(line []byte)

	mu  sync.Mutex // guards buf
	buf []byte
}

// Write implements io.Writer. It never fails.
func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	for {
		i := bytes.IndexByte(w.buf, '\n')
		if i < 0 {
			break
		}
		w.each(w.buf[:i])
		w.buf = w.buf[i+1:]
	}
	if len(w.buf) > 1<<20 {
		w.buf = nil
	}
	return len(b), nil
}

// Generate is the load generator's process: it visits the shop for a while (0: until ctx ends),
// writes Started and then the ledger to out, and stays until ctx ends, so that its proxy can
// report in peace.
func Generate(ctx context.Context, getenv func(string) string, rate float64, span time.Duration, out io.Writer) error {
	w := bufio.NewWriter(out)
	tell := func(m loadMessage) error {
		if err := json.NewEncoder(w).Encode(m); err != nil {
			return err
		}
		return w.Flush()
	}
	if err := tell(loadMessage{Started: true}); err != nil {
		return err
	}
	visit, cancel := ctx, func() {}
	if span > 0 {
		visit, cancel = context.WithTimeout(ctx, span)
	}
	defer cancel()
	ledger, err := shop.Load(visit, getenv, rate, newRand())
	if err != nil {
		return err
	}
	if err := tell(loadMessage{Ledger: ledger}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
