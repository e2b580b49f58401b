package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/codes"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/model/wire"
	"github.com/weft-mesh/weft/planted"
	"github.com/weft-mesh/weft/proxy/config"
)

// KeeperOptions say whose identity a Keeper keeps.
type KeeperOptions struct {
	Control        config.Control
	Namespace      string
	ServiceAccount string
	Log            *slog.Logger
	Now            func() time.Time // nil: time.Now
	Rand           func() float64   // nil: math/rand
	Dial           Dial             // nil: TCP
}

// Keeper gets the certificate of one identity from the control plane and renews it at about half
// of its life. An Agent has one; a supervisor has another, to hand a valid identity to a proxy
// that it restarts while the control plane is away. Keys stay in memory. Safe for concurrent use.
type Keeper struct {
	opt    KeeperOptions
	claims *identity.Claims // of the join token, unverified; nil without one
	store  *identity.Store
	ready  latch
	// refused is set when the control plane gave a reason that no repetition changes.
	refused latch

	mu      sync.Mutex // guards what follows
	refusal error      // set before refused
	renewAt time.Time
	offset  time.Duration // this clock minus the control plane's
}

const (
	issueTimeout = 10 * time.Second
	// lookAgain bounds the sleep between looks at the clock, which may jump (suspend, NTP).
	lookAgain = 30 * time.Second
)

// NewKeeper checks the options and makes a Keeper. Errors are coded W2207 or W2102.
func NewKeeper(opt KeeperOptions) (*Keeper, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Rand == nil {
		opt.Rand = mrand.Float64
	}
	k := &Keeper{opt: opt, store: &identity.Store{Now: opt.Now}, ready: newLatch(), refused: newLatch()}
	switch c := opt.Control; {
	case c.Socket == "" && c.Addr == "":
		return nil, badOptions("neither a socket nor an address of the control plane is given")
	case c.Socket != "" && c.Addr != "":
		return nil, badOptions("both a socket and an address of the control plane are given")
	case c.Token != "":
		claims, err := identity.PeekToken(c.Token)
		if err != nil {
			return nil, err
		}
		k.claims = claims
	}
	probe := identity.ID{TrustDomain: "x", Namespace: opt.Namespace, ServiceAccount: opt.ServiceAccount}
	if err := probe.Valid(); err != nil {
		return nil, badOptions(err.Error())
	}
	return k, nil
}

// Store gives where the identity is kept.
func (k *Keeper) Store() *identity.Store { return k.store }

// Ready gives a channel that is closed once there is an identity.
func (k *Keeper) Ready() <-chan struct{} { return k.ready.done() }

// Refused gives a channel that is closed once the control plane refused the identity for a reason
// that no repetition changes, such as a token for another account; Refusal gives the reason.
// Before the first identity nothing is to be waited for then; after it, Run goes on trying.
func (k *Keeper) Refused() <-chan struct{} { return k.refused.done() }

// Refusal gives the coded error of the first refusal, nil without one.
func (k *Keeper) Refusal() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refusal
}

// noteRefusal keeps the first error that is a final one, and tells whether this is it.
func (k *Keeper) noteRefusal(err error) (first bool) {
	var coded *codes.Error
	if !errors.As(err, &coded) || !final[coded.Code] {
		return false
	}
	k.mu.Lock()
	if first = k.refusal == nil; first {
		k.refusal = coded
	}
	k.mu.Unlock()
	k.refused.set()
	return first
}

// final are the reasons that only a person can remove: of requests, tokens, and a control plane
// that is not the one expected.
var final = map[string]bool{"W2101": true, "W2102": true, "W2103": true, "W2104": true, "W2202": true, "W2207": true}

// ClockOffset is this machine's clock minus the control plane's, as of the last certificate.
func (k *Keeper) ClockOffset() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offset
}

// Handover writes the present identity, its key included, to an inherited pipe for another
// process (see Options.Handover). It fails if there is none yet.
func (k *Keeper) Handover(w io.Writer) error {
	st := k.store.Load()
	if st.Pair == nil || st.Bundle == nil {
		return codes.New("W2117", "there is no identity to hand over yet")
	}
	return identity.WriteHandover(w, st.Pair, st.Bundle)
}

// Run gets and renews the identity until ctx ends. It always returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	k.keep(ctx)
	return nil
}

func (k *Keeper) keep(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		changed := k.store.Changed()
		if due, wait := k.due(); !due {
			k.await(ctx, changed, min(wait, lookAgain))
			continue
		}
		err := k.renew(ctx)
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			break
		}
		level := slog.LevelWarn
		if k.noteRefusal(err) {
			level = slog.LevelInfo // whoever waits for Refused tells it
		}
		// Once is a hiccup; after that it is told when the pauses reach their longest, and then
		// about every minute.
		if failures == 0 || failures%30 == 6 {
			k.opt.Log.Log(ctx, level, "no certificate from the control plane", "err", err, "attempt", failures+1)
		}
		wait := pause(failures, k.opt.Rand())
		if k.usable() && failures > 6 {
			wait *= 10 // the present certificate is good for hours
		}
		failures++
		sleep(ctx, wait)
	}
}

// due tells whether a certificate must be got now, else how long there is.
func (k *Keeper) due() (bool, time.Duration) {
	if !k.usable() {
		return true, 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	left := k.renewAt.Sub(k.opt.Now())
	if planted.On(planted.NeverRenew) {
		left = time.Hour
	}
	return left <= 0, left
}

// usable reports whether the present certificate would be accepted by a peer with our roots and
// clock. A control plane that lost its state changes the roots, and then it is not.
func (k *Keeper) usable() bool {
	st := k.store.Load()
	if st.Pair == nil || st.Bundle == nil {
		return false
	}
	chain := make([]*x509.Certificate, 0, len(st.Pair.TLS.Certificate))
	for _, der := range st.Pair.TLS.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return false
		}
		chain = append(chain, c)
	}
	_, err := identity.Verify(chain, st.Bundle, k.opt.Now())
	return err == nil
}

func (k *Keeper) await(ctx context.Context, changed <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-t.C:
	}
}

// adopt takes an identity that came from elsewhere, if it is the one that is kept here.
func (k *Keeper) adopt(p *identity.Pair, b *identity.Bundle) error {
	if p.ID.Namespace != k.opt.Namespace || p.ID.ServiceAccount != k.opt.ServiceAccount {
		e := codes.New("W2118", "the identity handed over is another workload's")
		e.Why = fmt.Sprintf("it is %s, this is ns %s, account %s", p.ID, k.opt.Namespace, k.opt.ServiceAccount)
		return e
	}
	k.take(p, b)
	return nil
}

func (k *Keeper) take(p *identity.Pair, b *identity.Bundle) {
	k.mu.Lock()
	k.renewAt = identity.RenewAt(p.NotBefore(), p.NotAfter(), k.opt.Rand())
	k.mu.Unlock()
	k.store.Set(p, b)
	k.ready.set()
}

func (k *Keeper) dialer() dialer {
	return dialer{control: k.opt.Control, now: k.opt.Now, connect: k.opt.Dial}
}

// connect opens a connection for one call. pinned tells that the control plane is known by its
// root's hash only, so that the call must carry the token.
func (k *Keeper) connect() (conn *grpc.ClientConn, pinned bool, err error) {
	d := k.dialer()
	if d.control.Socket != "" || k.usable() {
		conn, err = d.open(k.store)
		return conn, false, err
	}
	hash := d.control.RootHash
	if hash == "" && k.claims != nil {
		hash = k.claims.RootHash
	}
	if hash == "" || d.control.Token == "" {
		return nil, false, badOptions("first contact over TCP needs a join token (weft token create)")
	}
	conn, err = d.openPinned(hash)
	return conn, true, err
}

// renew gets one certificate with a new key and puts it in force.
func (k *Keeper) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	conn, pinned, err := k.connect()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was written that could be lost
	client := pb.NewIdentityClient(conn)

	trust, err := client.Trust(ctx, &pb.TrustRequest{})
	if err != nil {
		return unreachable(err, k.opt.Control)
	}
	id := identity.ID{TrustDomain: trust.GetTrustDomain(), Namespace: k.opt.Namespace, ServiceAccount: k.opt.ServiceAccount}
	key, err := identity.NewKey()
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	csr, err := identity.NewRequest(id, key)
	if err != nil {
		return fmt.Errorf("making a certificate request: %w", err)
	}
	req := &pb.IssueRequest{Csr: csr}
	if pinned || k.opt.Control.Socket != "" {
		req.Token = k.opt.Control.Token
	}
	reply, err := client.Issue(ctx, req)
	if err != nil {
		return unreachable(err, k.opt.Control)
	}
	p, err := identity.NewPair(reply.GetChain(), key)
	if err != nil {
		return fmt.Errorf("certificate from the control plane: %w", err)
	}
	b, err := identity.NewBundle(reply.GetTrustDomain(), reply.GetRoots())
	if err != nil {
		return fmt.Errorf("roots from the control plane: %w", err)
	}
	k.mu.Lock()
	k.offset = k.opt.Now().Sub(time.UnixMilli(reply.GetServerTimeMs()))
	k.mu.Unlock()
	if p.ID != id {
		return identity.Expect(p.ID, id.String())
	}
	if _, err := identity.Verify([]*x509.Certificate{p.TLS.Leaf}, b, k.opt.Now()); err != nil {
		return err
	}
	k.take(p, b)
	k.opt.Log.Info("certificate in force", "identity", id.String(), "until", p.NotAfter().UTC().Format(time.RFC3339))
	return nil
}

// ServiceInfo is one service of the mesh, as listed.
type ServiceInfo struct {
	model.Name
	Ports     []model.Port
	Endpoints int
}

// ListServices tells which services exist in a namespace (empty: in all), sorted by name. Over
// TCP it needs the identity, so Run must have got it.
func (k *Keeper) ListServices(ctx context.Context, namespace string) ([]ServiceInfo, error) {
	conn, err := k.dialer().open(k.store)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // only read from
	reply, err := pb.NewRegistryClient(conn).ListServices(ctx, &pb.ListServicesRequest{Namespace: namespace})
	if err != nil {
		return nil, unreachable(err, k.opt.Control)
	}
	out := make([]ServiceInfo, 0, len(reply.GetServices()))
	for _, s := range reply.GetServices() {
		ports, err := wire.ToPorts(s.GetPorts())
		if err != nil {
			return nil, fmt.Errorf("list of services: %w", err)
		}
		out = append(out, ServiceInfo{Name: wire.ToName(s.GetName()), Ports: ports, Endpoints: int(s.GetEndpoints())})
	}
	return out, nil
}

// unreachable turns a failed call into a coded error: the control plane's own, or W2201.
func unreachable(err error, c config.Control) error {
	err = wire.FromStatus(err)
	var coded *codes.Error
	if errors.As(err, &coded) {
		return coded
	}
	e := codes.New("W2201", "the control plane cannot be reached")
	e.Why, e.Err, e.Where = err.Error(), err, c.Socket
	if c.Socket == "" {
		e.Where = c.Addr
	}
	e.Next = []string{"weft status"}
	return e
}
