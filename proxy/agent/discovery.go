package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
)

const (
	// maxStep bounds the parts of one step together.
	maxStep = 64 << 20
	// offlineAfter is how long the first contact may take before a view from disk is taken to be
	// what there is.
	offlineAfter = time.Second
)

// restore puts the view on disk in force, if there is a usable one, and gives it.
func (a *Agent) restore(d *disk) *view {
	saved, err := d.read()
	if err != nil {
		a.log.Warn("starting without the last good view", "err", err)
	}
	if saved == nil {
		return newView()
	}
	v := newView()
	err = v.load(saved)
	for _, k := range a.keepers {
		if b := k.store.Load().Bundle; err == nil && b != nil && b.TrustDomain != v.trustDomain {
			err = fmt.Errorf("it is of %q, this mesh is %q", v.trustDomain, b.TrustDomain)
		}
	}
	if err != nil {
		e := codes.New("W2204", "the last good view on disk was not used")
		e.Why, e.Where = err.Error(), d.path
		a.log.Warn("starting without the last good view", "err", e)
		return newView()
	}
	for _, n := range saved.GetSubscriptions().GetServices() {
		a.subs.add(wire.ToName(n))
	}
	for _, b := range saved.GetSubscriptions().GetAddresses() {
		if ip, err := wire.ToAddr(b); err == nil {
			a.subs.addAddr(ip)
		}
	}
	a.inForce(v)
	a.setStatus(func(s *Status) { s.FromDisk = true })
	a.restored.set()
	a.log.Info("last good view in force", "services", len(v.services), "snapshot", v.snapshot)
	return v
}

// inForce compiles the view, publishes the table and gives what in it cannot work.
func (a *Agent) inForce(v *view) (problems []string) {
	if b := v.bundle(); b != nil {
		for _, k := range a.keepers {
			if !b.Equal(k.store.Load().Bundle) {
				k.store.SetBundle(b)
			}
		}
	}
	a.tellWorkloads(v)
	t, errs := decide.Compile(a.table.Load(), v.decideView())
	if a.opt.OnTable != nil {
		a.opt.OnTable(t)
	}
	a.table.Store(t)
	a.subs.markAbsent(v)
	absent := make(map[netip.Addr]bool, len(v.absentAddrs))
	for ip := range v.absentAddrs {
		absent[ip] = true
	}
	a.mu.Lock()
	a.absent = absent
	a.status.Epoch, a.status.Snapshot, a.status.Services = v.epoch, v.snapshot, len(v.services)
	close(a.changed)
	a.changed = make(chan struct{})
	a.mu.Unlock()
	const most = 50 // the rest is seen once these are repaired
	for i, err := range errs {
		if i == most {
			problems = append(problems, fmt.Sprintf("and %d more", len(errs)-most))
			break
		}
		problems = append(problems, err.Error())
	}
	return problems
}

// tellWorkloads tells what the mesh says of the proxy's own workloads, if that is new.
func (a *Agent) tellWorkloads(v *view) {
	own := make([]*model.Workload, len(a.members))
	for i, m := range a.members {
		own[i] = v.workloads[model.Name{Namespace: m.Namespace, Name: m.Name}]
	}
	if a.opt.OnWorkloads == nil || a.own != nil && slices.Equal(own, a.own) {
		return
	}
	a.own = own
	a.opt.OnWorkloads(own)
}

// runDiscovery keeps a discovery stream until ctx ends.
func (a *Agent) runDiscovery(ctx context.Context, ch *channel, v *view, d *disk) {
	if !ch.await(ctx, a.opt.Control) {
		return
	}
	for n := 0; ctx.Err() == nil; n++ {
		began := a.opt.Now()
		err := a.discoverOnce(ctx, ch.conn, &v, d)
		if ctx.Err() != nil {
			return
		}
		if a.opt.Now().Sub(began) > 10*time.Second {
			n = 0 // it had worked
		}
		err = unreachable(err, a.opt.Control)
		a.lost(err)
		a.offline.set()
		sleep(ctx, pause(n, a.opt.Rand()))
	}
}

// markOffline gives up on a live view for readiness.
func (a *Agent) markOffline(ctx context.Context) {
	t := time.NewTimer(offlineAfter)
	defer t.Stop()
	select {
	case <-t.C:
		a.offline.set()
	case <-a.synced.done():
	case <-ctx.Done():
	}
}

// lost records that there is no stream. It is logged when it begins only.
func (a *Agent) lost(err error) {
	var was bool
	a.setStatus(func(s *Status) {
		was = s.Connected || s.LastError == ""
		if s.Connected {
			s.Since = a.opt.Now()
		}
		s.Connected, s.LastError = false, err.Error()
	})
	if was {
		a.log.Warn("control plane lost; serving by the last good view", "err", err)
	}
}

func (a *Agent) connected() {
	var was bool
	a.setStatus(func(s *Status) {
		was = s.Connected
		if !was {
			s.Since = a.opt.Now()
		}
		s.Connected, s.LastError, s.FromDisk = true, "", false
	})
	if !was {
		a.log.Info("control plane connected")
	}
}

// discoverOnce runs one stream. It owns the view meanwhile.
func (a *Agent) discoverOnce(ctx context.Context, conn *grpc.ClientConn, v **view, d *disk) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewDiscoveryClient(conn).Stream(ctx)
	if err != nil {
		return err
	}
	hello := &pb.Hello{
		Proxy: a.opt.Name, Instance: a.instance, Build: a.opt.Build,
		Held:          (*v).holds(),
		Subscriptions: a.subs.all(),
		State:         a.state(),
	}
	for _, m := range a.members {
		hello.Workloads = append(hello.Workloads, &pb.Name{Namespace: m.Namespace, Name: m.Name})
	}

	// The receiver ends when the stream's context does; this function waits for it.
	updates := make(chan *pb.Update)
	received := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { received <- receive(ctx, stream, updates) })
	defer func() { cancel(); wg.Wait() }()
	send := func(m *pb.ProxyMessage) error {
		if err := stream.Send(m); err == nil {
			return nil
		}
		// The stream is over; only the receiver learns why.
		for {
			select {
			case <-updates:
			case err := <-received:
				return err
			}
		}
	}

	if err := send(&pb.ProxyMessage{Message: &pb.ProxyMessage_Hello{Hello: hello}}); err != nil {
		return err
	}
	first := true
	var parts []*pb.Update
	size := 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-received:
			return err
		case <-a.renewed:
			if err := send(&pb.ProxyMessage{Message: &pb.ProxyMessage_State{State: a.state()}}); err != nil {
				return err
			}
		case <-a.subs.wake:
			if err := a.sendSubscriptions(send); err != nil {
				return err
			}
		case u := <-updates:
			parts = append(parts, u)
			if size += proto.Size(u); size > maxStep {
				return fmt.Errorf("an update of more than %d bytes", maxStep)
			}
			if u.GetMore() {
				continue
			}
			ack, err := a.step(*v, parts, first)
			if errors.Is(err, errMeshChanged) {
				*v = newView()
			}
			if err != nil {
				return err
			}
			if err := send(&pb.ProxyMessage{Message: &pb.ProxyMessage_Ack{Ack: ack}}); err != nil {
				return err
			}
			a.synced.set()
			saved := (*v).save()
			saved.Subscriptions = a.subs.list()
			saved.SavedAt = a.opt.Now().Unix()
			d.put(saved)
			parts, size, first = nil, 0, false
		}
	}
}

// state says what the control plane shows of the proxy: of several certificates the one that ends
// first.
func (a *Agent) state() *pb.ProxyState {
	out := &pb.ProxyState{ClockOffsetMs: a.keepers[0].ClockOffset().Milliseconds(), Metrics: a.opt.Metrics}
	for i, k := range a.keepers {
		p := k.store.Load().Pair
		if p == nil {
			out.CertificateNotAfter = 0
			break
		}
		if end := p.NotAfter().Unix(); i == 0 || end < out.CertificateNotAfter {
			out.CertificateNotAfter = end
		}
	}
	return out
}

// step takes an update and puts it in force.
func (a *Agent) step(v *view, parts []*pb.Update, first bool) (*pb.Ack, error) {
	rejected, err := v.apply(parts, first)
	if err != nil {
		return nil, err
	}
	for _, r := range rejected {
		e := codes.New("W2203", fmt.Sprintf("%s %s could not be used", r.GetKind(), wire.ToName(r.GetName())))
		e.Why = r.GetReason()
		a.log.Warn("part of an update was rejected; its last good version stays in force", "err", e)
	}
	if len(rejected) > 0 {
		a.setStatus(func(s *Status) { s.Rejected += uint64(len(rejected)) })
	}
	a.connected()
	problems := a.inForce(v)
	return &pb.Ack{Sequence: parts[0].GetSequence(), Rejected: rejected, Problems: problems}, nil
}

func (a *Agent) sendSubscriptions(send func(*pb.ProxyMessage) error) error {
	add, end := a.subs.take()
	if end != nil {
		if err := send(&pb.ProxyMessage{Message: &pb.ProxyMessage_Unsubscribe{Unsubscribe: end}}); err != nil {
			return err
		}
	}
	if add != nil {
		return send(&pb.ProxyMessage{Message: &pb.ProxyMessage_Subscribe{Subscribe: add}})
	}
	return nil
}

// receive passes updates on until the stream ends.
func receive(ctx context.Context, stream grpc.BidiStreamingClient[pb.ProxyMessage, pb.Update], out chan<- *pb.Update) error {
	for {
		u, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case out <- u:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
