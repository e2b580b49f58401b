package discovery

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/weft-mesh/weft/api/discovery"
	wcodes "github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/control/snapshot"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

const (
	maxProxies   = 20000            // connected and remembered
	rememberGone = 15 * time.Minute // how long a proxy that vanished is shown
	helloTimeout = 10 * time.Second
)

// Caller tells who opened a stream: a string that is the same for the same caller, and where from.
type Caller func(ctx context.Context) (who, addr string)

// Server is the gRPC service Discovery. Publish gives it snapshots; streams run until their
// proxies leave or Close.
type Server struct {
	pb.UnimplementedDiscoveryServer
	epoch  string
	log    *slog.Logger
	now    func() time.Time
	caller Caller

	mu      sync.Mutex // guards what follows
	cur     *snapshot.Snapshot
	newer   chan struct{} // closed and replaced when cur changes
	moved   chan struct{} // closed and replaced when a proxy makes progress, comes or goes
	proxies map[string]*proxy
	closed  chan struct{}
	once    sync.Once
}

// proxy is what is known of one proxy. mu of the server guards it.
type proxy struct {
	name      string
	who, addr string
	instance  string
	build     string
	state     *pb.ProxyState
	connected bool
	since     time.Time
	s         *session
	sent      time.Time // of the update in flight
	updates   uint64
	left      bool // its workload said goodbye: the end of the stream is none to tell of
	end       context.CancelFunc
}

// Proxy is the state of one proxy, for status.
type Proxy struct {
	Name, Instance, Build string
	Workloads             []model.Name
	Connected             bool
	Since                 time.Time
	Acknowledged          uint64
	Current               bool
	Behind                time.Duration
	Subscriptions         int
	Resources             int
	Updates               uint64
	Rejected              []*pb.Rejection
	Problems              []string
	ClockOffset           time.Duration
	CertificateNotAfter   time.Time // zero if it has none
	Metrics               string    // where it serves them; empty: nowhere
	Addr                  string
}

// New makes a Server that tells the first snapshot. epoch differs between control plane runs.
func New(epoch string, first *snapshot.Snapshot, caller Caller, now func() time.Time, log *slog.Logger) *Server {
	return &Server{
		epoch: epoch, log: log, now: now, caller: caller, cur: first,
		newer: make(chan struct{}), moved: make(chan struct{}), proxies: map[string]*proxy{}, closed: make(chan struct{}),
	}
}

// Close ends all streams; proxies reconnect elsewhere or later.
func (s *Server) Close() { s.once.Do(func() { close(s.closed) }) }

// Publish makes a snapshot the current one.
func (s *Server) Publish(next *snapshot.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur = next
	close(s.newer)
	s.newer = make(chan struct{})
}

// Current gives the current snapshot.
func (s *Server) Current() *snapshot.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur
}

// Stream implements the service. The goroutine of the call owns the session; another receives.
func (s *Server) Stream(stream grpc.BidiStreamingServer[pb.ProxyMessage, pb.Update]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	messages := make(chan *pb.ProxyMessage)
	received := make(chan error, 1)
	// The receiver ends with the call: gRPC ends Recv when the handler returns.
	go func() { received <- receive(ctx, stream, messages) }()

	p, err := s.greet(ctx, cancel, messages, received)
	if err != nil {
		return status(err)
	}
	defer s.leave(p)
	return status(s.serve(ctx, stream, p, messages, received))
}

// greet waits for Hello and enters the proxy.
func (s *Server) greet(ctx context.Context, cancel context.CancelFunc, messages <-chan *pb.ProxyMessage, received <-chan error) (*proxy, error) {
	t := time.NewTimer(helloTimeout)
	defer t.Stop()
	select {
	case m := <-messages:
		h := m.GetHello()
		if h == nil {
			return nil, invalid("the first message is not Hello")
		}
		return s.enter(ctx, cancel, h)
	case err := <-received:
		return nil, err
	case <-t.C:
		return nil, invalid("no Hello within %s", helloTimeout)
	case <-s.closed:
		return nil, errClosing
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errClosing = errors.New("the control plane stops")

func (s *Server) enter(ctx context.Context, cancel context.CancelFunc, h *pb.Hello) (*proxy, error) {
	who, addr := s.caller(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	sess, err := newSession(h, s.cur)
	if err != nil {
		return nil, err
	}
	old := s.proxies[h.GetProxy()]
	if old != nil && old.connected {
		// The same proxy comes again before its old stream was seen to end. Another caller may
		// not push it out.
		if old.who != who {
			e := wcodes.New("W2105", "another proxy of that name is connected")
			e.Why = h.GetProxy() + " is " + old.who
			return nil, e
		}
		old.end()
	}
	if old == nil && len(s.proxies) >= maxProxies {
		if s.forget(0); len(s.proxies) >= maxProxies {
			return nil, limit("%d proxies are connected", len(s.proxies))
		}
	}
	s.forget(rememberGone)
	p := &proxy{
		name: h.GetProxy(), who: who, addr: addr, instance: h.GetInstance(), build: clip(h.GetBuild(), 100), state: h.GetState(),
		connected: true, since: s.now(), s: sess, end: cancel,
	}
	s.proxies[p.name] = p
	s.progress()
	return p, nil
}

// forget drops proxies that vanished longer ago than age. The caller holds mu.
func (s *Server) forget(age time.Duration) {
	for n, p := range s.proxies {
		if !p.connected && s.now().Sub(p.since) >= age {
			delete(s.proxies, n)
		}
	}
}

func (s *Server) leave(p *proxy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.connected, p.since = false, s.now()
	p.s.flight = nil
	if p.left && s.proxies[p.name] == p {
		delete(s.proxies, p.name)
	}
	s.progress()
}

// Left says that the workload of a proxy left the mesh in order, as processes do that end. The
// proxy is not remembered then: only one that vanished is somebody to miss. instance is the
// proxy process's, since its successor of the same name may be there already.
func (s *Server) Left(name, instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proxies[name]
	switch {
	case p == nil || p.instance != instance:
	case p.connected:
		p.left = true // until its stream ends
	default:
		delete(s.proxies, name)
	}
}

// progress wakes those who wait for proxies. The caller holds mu.
func (s *Server) progress() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// serve is the life of a stream after Hello.
func (s *Server) serve(ctx context.Context, stream grpc.BidiStreamingServer[pb.ProxyMessage, pb.Update], p *proxy, messages <-chan *pb.ProxyMessage, received <-chan error) error {
	for {
		parts, newer := s.next(p)
		for _, u := range parts {
			if err := stream.Send(u); err != nil {
				return err
			}
		}
		select {
		case m := <-messages:
			if err := s.take(p, m); err != nil {
				return err
			}
		case <-newer:
		case err := <-received:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-s.closed:
			return errClosing
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next computes what is to be sent, and what to wait for otherwise.
func (s *Server) next(p *proxy) (parts []*pb.Update, newer <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := p.s.inForce
	parts = p.s.step(s.cur, s.epoch)
	if parts != nil {
		p.sent, p.updates = s.now(), p.updates+1
	}
	if p.s.inForce != was {
		s.progress()
	}
	return parts, s.newer
}

// take applies one message of the proxy.
func (s *Server) take(p *proxy, m *pb.ProxyMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m := m.GetMessage().(type) {
	case *pb.ProxyMessage_Subscribe:
		return p.s.subscribe(m.Subscribe)
	case *pb.ProxyMessage_Unsubscribe:
		p.s.unsubscribe(m.Unsubscribe)
		return nil
	case *pb.ProxyMessage_Ack:
		if err := p.s.ack(m.Ack); err != nil {
			return err
		}
		for _, r := range m.Ack.GetRejected() {
			s.log.Warn("a proxy rejected a resource", "code", "W2203", "proxy", p.name, "kind", r.GetKind().String(), "name", wire.ToName(r.GetName()).String(), "why", clip(r.GetReason(), 500))
		}
		s.progress()
		return nil
	case *pb.ProxyMessage_State:
		p.state = m.State
		return nil
	case *pb.ProxyMessage_Hello:
		return invalid("a second Hello")
	}
	return invalid("a message of no known kind")
}

// Proxies gives all proxies, by name.
func (s *Server) Proxies() []Proxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(rememberGone)
	out := make([]Proxy, 0, len(s.proxies))
	for _, p := range s.proxies {
		out = append(out, s.describe(p))
	}
	slices.SortFunc(out, func(a, b Proxy) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (s *Server) describe(p *proxy) Proxy {
	out := Proxy{
		Name: p.name, Instance: p.instance, Build: p.build, Workloads: p.s.workloads, Connected: p.connected, Since: p.since,
		Acknowledged: p.s.inForce, Subscriptions: len(p.s.names) + len(p.s.addrs), Resources: len(p.s.acked), Updates: p.updates,
		Problems: p.s.problems, ClockOffset: time.Duration(p.state.GetClockOffsetMs()) * time.Millisecond, Addr: p.addr,
	}
	out.Current = p.connected && p.s.flight == nil && p.s.inForce == s.cur.Number
	if p.connected && p.s.flight != nil {
		out.Behind = s.now().Sub(p.sent)
	}
	out.Metrics = clip(p.state.GetMetrics(), 100)
	if t := p.state.GetCertificateNotAfter(); t != 0 {
		out.CertificateNotAfter = time.Unix(t, 0)
	}
	for k, why := range p.s.rejected {
		out.Rejected = append(out.Rejected, &pb.Rejection{Kind: k.Kind, Name: wire.Name(k.Name), Reason: why})
	}
	slices.SortFunc(out.Rejected, func(a, b *pb.Rejection) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(wire.ToName(a.GetName()).String(), wire.ToName(b.GetName()).String()))
	})
	return out
}

// Acknowledged gives the resources that a proxy has in force, as it acknowledged them, and the
// names that it knows to be absent. ok is false if no such proxy is known.
func (s *Server) Acknowledged(name string) (view map[snapshot.Key]*pb.Resource, absent []model.Name, number uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proxies[name]
	if p == nil {
		return nil, nil, 0, false
	}
	for n := range p.s.absent {
		absent = append(absent, n)
	}
	return p.s.view(), absent, p.s.inForce, true
}

// Settled waits until every connected proxy serves a snapshot that contains this generation of
// the registry, or ctx ends. It gives the snapshot's number and whether it is everywhere.
func (s *Server) Settled(ctx context.Context, generation uint64) (number uint64, everywhere bool) {
	for {
		s.mu.Lock()
		wait := s.newer
		if s.cur.Generation >= generation {
			if number == 0 {
				number = s.cur.Number
			}
			if s.allServe(number) {
				s.mu.Unlock()
				return number, true
			}
			wait = s.moved
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return number, false
		case <-s.closed:
			return number, false
		}
	}
}

// Included waits until the current snapshot contains this generation of the registry, or ctx ends.
func (s *Server) Included(ctx context.Context, generation uint64) bool {
	for {
		s.mu.Lock()
		wait, is := s.newer, s.cur.Generation >= generation
		s.mu.Unlock()
		if is {
			return true
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return false
		case <-s.closed:
			return false
		}
	}
}

// Live waits until every connected proxy serves this snapshot or a newer one, or ctx ends, and
// gives how many do and how many there are.
func (s *Server) Live(ctx context.Context, number uint64) (serve, all int) {
	for {
		s.mu.Lock()
		serve, all = 0, 0
		for _, p := range s.proxies {
			if p.connected {
				all++
				if p.s.inForce >= number {
					serve++
				}
			}
		}
		wait := s.moved
		s.mu.Unlock()
		if serve == all {
			return serve, all
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return serve, all
		case <-s.closed:
			return serve, all
		}
	}
}

func (s *Server) allServe(number uint64) bool {
	for _, p := range s.proxies {
		if p.connected && p.s.inForce < number {
			return false
		}
	}
	return true
}

func receive(ctx context.Context, stream grpc.BidiStreamingServer[pb.ProxyMessage, pb.Update], out chan<- *pb.ProxyMessage) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case out <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// status gives the gRPC error of a stream's end.
func status(err error) error {
	var coded *wcodes.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errClosing):
		return wire.Status(codes.Unavailable, err)
	case errors.As(err, &coded):
		switch coded.Code {
		case "W2108":
			return wire.Status(codes.ResourceExhausted, err)
		case "W2105":
			return wire.Status(codes.PermissionDenied, err)
		}
		return wire.Status(codes.InvalidArgument, err)
	}
	return wire.Status(codes.Unknown, err)
}
