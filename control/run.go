package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/ca"
	"github.com/weft-mesh/weft/control/discovery"
	"github.com/weft-mesh/weft/control/registry"
	"github.com/weft-mesh/weft/control/state"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/observe"
	"github.com/weft-mesh/weft/source/file"
)

const (
	maxMessage = 8 << 20 // from a proxy: Hello of one that holds very much
	// connectionAge makes TCP connections begin anew now and then, so that none outlives the
	// certificate that it was made with. Streams get the grace to move over.
	connectionAge   = 6 * time.Hour
	connectionGrace = time.Minute
)

// plane is a running control plane.
type plane struct {
	opt     *Options
	log     *slog.Logger
	dir     *state.Dir
	ca      *ca.Authority
	created bool
	own     *identity.Store // of the control plane itself
	reg     *registry.Registry
	world   *world
	disco   *discovery.Server
	store   *observe.Store
	started time.Time
	listen  string // TCP, as bound

	servers   []*grpc.Server
	listeners []net.Listener
	closing   context.Context // ends when streams shall
	close     context.CancelFunc
}

// Run runs a control plane until ctx ends, which is not an error. It returns early with a coded
// error if it cannot start or if a part of it fails.
func Run(ctx context.Context, opt Options) error {
	if err := opt.normalize(); err != nil {
		return err
	}
	p, err := start(ctx, &opt)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

// start makes a control plane that is ready to serve.
func start(ctx context.Context, opt *Options) (*plane, error) {
	p := &plane{opt: opt, log: opt.Log, started: opt.Now()}
	p.closing, p.close = context.WithCancel(context.WithoutCancel(ctx))
	if err := p.open(ctx); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// open opens everything in an order in which nothing is touched before the lock is held. What it
// took is given back by release.
func (p *plane) open(ctx context.Context) (err error) {
	opt := p.opt
	if p.dir, err = state.Open(opt.StateDir); err != nil {
		return err
	}
	if p.ca, p.created, err = ca.Open(p.dir, opt.TrustDomain, opt.Now); err != nil {
		return err
	}
	p.own = &identity.Store{Now: opt.Now}
	if err = p.renewOwn(); err != nil {
		return err
	}
	if p.reg, err = registry.Open(p.dir, p.ca.TrustDomain(), opt.Now, opt.Log); err != nil {
		return err
	}
	p.store = observe.New(opt.Now)
	p.world = &world{opt: opt, log: opt.Log, bundle: p.ca.Bundle(), reg: p.reg}
	if opt.Dir != "" {
		if p.world.src, err = file.Open(opt.Dir, opt.Log); err != nil {
			return err
		}
	}
	first, err := p.world.first()
	if err != nil {
		return err
	}
	epoch := make([]byte, 8)
	if _, err = rand.Read(epoch); err != nil {
		return fmt.Errorf("random epoch: %w", err)
	}
	who := func(ctx context.Context) (string, string) { c := callerOf(ctx); return c.String(), c.addr }
	p.disco = discovery.New(hex.EncodeToString(epoch), first, who, opt.Now, opt.Log)
	p.world.disco = p.disco

	if opt.Socket != "" {
		l, err := listenSocket(ctx, opt.Socket)
		if err != nil {
			return err
		}
		p.serve(l, socketCredentials{})
	}
	if opt.Listen != "" {
		listen := listenTCP
		if opt.Bind != nil {
			listen = func(_ context.Context, addr string) (net.Listener, error) { return opt.Bind(addr) }
		}
		l, err := listen(ctx, opt.Listen)
		if err != nil {
			return err
		}
		p.listen = l.Addr().String()
		p.serve(l, tlsCredentials(p.own.ServerConfigOptional("h2")),
			grpc.KeepaliveParams(keepalive.ServerParameters{
				MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionGrace, Time: 20 * time.Second, Timeout: 10 * time.Second,
			}))
	}
	return nil
}

// serve prepares a server for one listener.
func (p *plane) serve(l net.Listener, creds credentials.TransportCredentials, opts ...grpc.ServerOption) {
	opts = append(opts,
		grpc.Creds(creds),
		grpc.UnaryInterceptor(authorizeUnary), grpc.StreamInterceptor(authorizeStream),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxConcurrentStreams(100), grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	s := grpc.NewServer(opts...)
	pb.RegisterIdentityServer(s, newIdentityService(p.ca, p.opt.Now, p.log))
	pb.RegisterDiscoveryServer(s, p.disco)
	pb.RegisterRegistryServer(s, &registryService{reg: p.reg, disco: p.disco, log: p.log, closed: p.closing})
	pb.RegisterReportServer(s, &reportService{store: p.store, log: p.log})
	pb.RegisterMeshServer(s, &meshService{plane: p})
	p.servers, p.listeners = append(p.servers, s), append(p.listeners, l)
}

// run serves until ctx ends or a part fails.
func (p *plane) run(ctx context.Context) error {
	defer p.release()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, len(p.servers)+1)
	var wg sync.WaitGroup
	for i, s := range p.servers {
		wg.Go(func() {
			if err := s.Serve(p.listeners[i]); err != nil && inner.Err() == nil {
				failed <- fmt.Errorf("serving %s: %w", p.listeners[i].Addr(), err)
			}
		})
	}
	wg.Go(func() {
		if err := p.world.run(inner); err != nil {
			failed <- err
		}
	})
	wg.Go(func() { p.reg.Run(inner) })
	wg.Go(func() { p.keepOwn(inner) })
	p.tellStarted()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		e := codes.New("W2009", "the control plane stopped because of a failure inside")
		e.Why, e.Err = err.Error(), err
		err = e
	}
	cancel()
	p.stop()
	wg.Wait()
	return err
}

// stop ends calls: streams are told, the rest may finish for a moment.
func (p *plane) stop() {
	p.disco.Close()
	p.close()
	var wg sync.WaitGroup
	for _, s := range p.servers {
		wg.Go(func() {
			t := time.AfterFunc(stopTimeout, s.Stop)
			defer t.Stop()
			s.GracefulStop()
		})
	}
	wg.Wait()
}

// release gives back what start took.
func (p *plane) release() {
	p.close()
	for _, l := range p.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			p.log.Warn("closing a listener", "addr", l.Addr().String(), "err", err)
		}
	}
	if p.dir != nil {
		if err := p.dir.Close(); err != nil {
			p.log.Warn("giving the state directory up", "err", err)
		}
	}
}

func (p *plane) tellStarted() {
	snap, problems := p.disco.Current(), p.world.Problems()
	for _, e := range problems {
		p.log.Warn("configuration problem", "err", e)
	}
	routes := compare(nil, snap).routes
	p.log.Info("control plane serves", "pid", os.Getpid(), "socket", p.opt.Socket, "listen", p.listen, "trust_domain", p.ca.TrustDomain(),
		"services", len(snap.Services), "routes", routes, "problems", len(problems), "new_root", p.created)
	if p.opt.Started != nil {
		p.opt.Started(Started{
			Socket: p.opt.Socket, Listen: p.listen, TrustDomain: p.ca.TrustDomain(), RootCreated: p.created,
			Services: len(snap.Services), Routes: routes, Files: p.world.set.Files, Problems: problems,
		})
	}
}

// renewOwn gives the control plane a new certificate.
func (p *plane) renewOwn() error {
	pair, err := p.ca.Own(identity.ControlAccount)
	if err != nil {
		return err
	}
	p.own.Set(pair, p.ca.Bundle())
	return nil
}

// keepOwn renews the control plane's certificate at half of its life until ctx ends. It looks at
// the clock every half minute, since the machine may have slept.
func (p *plane) keepOwn(ctx context.Context) {
	t := time.NewTicker(30 * time.Second)
	defer t.Stop()
	due := func() time.Time {
		c := p.own.Load().Pair
		return identity.RenewAt(c.NotBefore(), c.NotAfter(), mrand.Float64())
	}
	at := due()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if p.opt.Now().Before(at) {
				continue
			}
			if err := p.renewOwn(); err != nil {
				p.log.Error("the control plane's own certificate was not renewed", "err", err)
				continue
			}
			at = due()
		}
	}
}
