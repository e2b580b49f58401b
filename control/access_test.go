package control_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/weft-mesh/weft/api/discovery"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/proxy/agent"
	"github.com/weft-mesh/weft/proxy/config"
)

func (m *mesh) token(req *pb.CreateTokenRequest) string {
	m.t.Helper()
	r, err := m.mesh().CreateToken(context.Background(), req)
	if err != nil {
		m.t.Fatal(err)
	}
	return r.GetToken()
}

func TestAProxyElsewhereJoinsByTokenAndIsServedOverMutualTLS(t *testing.T) {
	m := newMesh(t)
	m.opt.Listen = "127.0.0.1:0"
	started, down := m.up()
	opt := workload("cart", 8081)
	opt.Control = config.Control{Addr: started.Listen, Token: m.token(&pb.CreateTokenRequest{Namespace: "shop"})}
	opt.StateDir = t.TempDir()
	cart := m.join(opt).ready()
	cart.Subscribe(shop("cart"))
	cart.until("it sees itself", has("cart", 80, 1))
	if id := cart.Identity(0).Load().Pair.ID.String(); id != "spiffe://weft.local/ns/shop/sa/cart" {
		t.Errorf("its identity is %s", id)
	}

	// It comes back by its certificate alone when the control plane has been away.
	down()
	m.opt.Listen = started.Listen
	m.up()
	web := m.join(workload("web")).ready()
	web.Subscribe(shop("cart"))
	web.until("cart has an endpoint", has("cart", 80, 1))
}

func TestAnAdministratorElsewhereMayAskAndAWorkloadMayNot(t *testing.T) {
	m := newMesh(t)
	m.opt.Listen = "127.0.0.1:0"
	started, _ := m.up()
	ask := func(ns, account, token string) error {
		t.Helper()
		k, err := agent.NewKeeper(agent.KeeperOptions{
			Control: config.Control{Addr: started.Listen, Token: token}, Namespace: ns, ServiceAccount: account,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ended := make(chan struct{})
		go func() { defer close(ended); _ = k.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		select {
		case <-k.Ready():
		case <-ctx.Done():
			t.Fatal("no identity")
		}
		conn, err := grpc.NewClient("passthrough:///"+started.Listen,
			grpc.WithTransportCredentials(credentials.NewTLS(k.Store().ClientConfig("", "h2"))), grpc.WithNoProxy())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // a test's
		_, err = pb.NewMeshClient(conn).Status(ctx, &pb.StatusRequest{})
		return err
	}
	if err := ask("weft-system", "admin", m.token(&pb.CreateTokenRequest{Admin: true})); err != nil {
		t.Errorf("an administrator was refused: %v", err)
	}
	fromStatus(t, ask("shop", "web", m.token(&pb.CreateTokenRequest{Namespace: "shop", ServiceAccount: "web"})), "W2105")
}

// issue asks for a certificate over a connection.
func issue(t testing.TB, conn *grpc.ClientConn, token string, id identity.ID) error {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.NewRequest(id, key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = pb.NewIdentityClient(conn).Issue(context.Background(), &pb.IssueRequest{Csr: csr, Token: token})
	return err
}

func TestTokensAndCallersGetTheirOwnIdentityOnly(t *testing.T) {
	m := newMesh(t)
	now := time.Now()
	shift := make(chan time.Duration, 1)
	shift <- 0
	m.opt.Now = func() time.Time { d := <-shift; shift <- d; return now.Add(d) }
	m.opt.Listen = "127.0.0.1:0"
	started, _ := m.up()
	st, err := m.mesh().Status(context.Background(), &pb.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	hash := st.GetControl().GetRootHash()
	tcp := func() *grpc.ClientConn {
		c, err := grpc.NewClient("passthrough:///"+started.Listen,
			grpc.WithTransportCredentials(credentials.NewTLS(identity.PinnedClientConfig(hash, time.Now, "h2"))), grpc.WithNoProxy())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}()
	id := func(ns, sa string) identity.ID {
		return identity.ID{TrustDomain: "weft.local", Namespace: ns, ServiceAccount: sa}
	}
	tok := m.token(&pb.CreateTokenRequest{Namespace: "shop", ServiceAccount: "cart", Ttl: durationpb.New(time.Minute)})
	all := m.token(&pb.CreateTokenRequest{Namespace: "shop"})
	i := strings.LastIndexByte(tok, '.')
	flipped := []byte(tok)
	flipped[i-1] ^= 1

	for _, c := range []struct {
		name, token string
		id          identity.ID
		code        string
	}{
		{"its own account", tok, id("shop", "cart"), ""},
		{"any account of the namespace", all, id("shop", "web"), ""},
		{"another account", tok, id("shop", "web"), "W2104"},
		{"another namespace", all, id("bank", "web"), "W2104"},
		{"the control plane", all, id("weft-system", "control"), "W2104"},
		{"another trust domain", all, identity.ID{TrustDomain: "evil", Namespace: "shop", ServiceAccount: "cart"}, "W2101"},
		{"no token", "", id("shop", "cart"), "W2104"},
		{"claims changed", string(flipped), id("shop", "cart"), "W2102"},
		{"signature cut off", tok[:i+5], id("shop", "cart"), "W2102"},
		{"not a token", "secret", id("shop", "cart"), "W2102"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := issue(t, tcp, c.token, c.id)
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			fromStatus(t, err, c.code)
		})
	}
	t.Run("expired", func(t *testing.T) {
		<-shift
		shift <- time.Minute
		fromStatus(t, issue(t, tcp, tok, id("shop", "cart")), "W2103")
		<-shift
		shift <- 0
	})
	t.Run("other services without a certificate", func(t *testing.T) {
		_, err := pb.NewMeshClient(tcp).Status(context.Background(), &pb.StatusRequest{})
		fromStatus(t, err, "W2105")
		s, err := pb.NewDiscoveryClient(tcp).Stream(context.Background())
		if err == nil {
			_, err = s.Recv()
		}
		fromStatus(t, err, "W2105")
	})
	t.Run("the pin of another root", func(t *testing.T) {
		c, err := tls.Dial("tcp", started.Listen, identity.PinnedClientConfig(strings.Repeat("0", 64), time.Now, "h2"))
		if err == nil {
			_ = c.Close()
		}
		wantCode(t, err, "W2202")
	})
	t.Run("the same user over the socket", func(t *testing.T) {
		if err := issue(t, m.client(), "", id("bank", "anything")); err != nil {
			t.Fatal(err)
		}
		fromStatus(t, issue(t, m.client(), "", id("weft-system", "control")), "W2104")
	})
	t.Run("a flood", func(t *testing.T) {
		var err error
		for range 100 {
			if err = issue(t, m.client(), "", id("shop", "flood")); err != nil {
				break
			}
		}
		fromStatus(t, err, "W2106")
		if err := issue(t, m.client(), "", id("shop", "calm")); err != nil {
			t.Errorf("one identity's flood refused another: %v", err)
		}
	})
}

func TestARestartedProxyServesWhileTheControlPlaneIsDown(t *testing.T) {
	m := newMesh(t)
	_, down := m.up()
	m.join(workload("cart", 8081)).ready()
	opt := workload("web")
	opt.StateDir = t.TempDir()
	web := m.join(opt).ready()
	web.Subscribe(shop("cart"))
	web.until("cart has an endpoint", has("cart", 80, 1))

	// The supervisor keeps an identity of its own for the same workload.
	keeper, err := agent.NewKeeper(agent.KeeperOptions{Control: config.Control{Socket: m.socket}, Namespace: "shop", ServiceAccount: "web"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = keeper.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	<-keeper.Ready()
	web.stop()
	down()

	var pipe bytes.Buffer
	if err := keeper.Handover(&pipe); err != nil {
		t.Fatal(err)
	}
	opt.Workloads[0].Handover = &pipe
	again := m.join(opt).ready()
	if !has("cart", 80, 1)(again.Table()) {
		t.Error("the restarted proxy does not know cart")
	}
	if st := again.Status(); !st.FromDisk || st.Connected {
		t.Errorf("status %+v, want from disk and not connected", st)
	}
	// Its identity is good for a link: shake hands with the keeper's as a peer.
	a, b := net.Pipe()
	server := tls.Server(a, keeper.Store().ServerConfig())
	client := tls.Client(b, again.Identity(0).ClientConfig("spiffe://weft.local/ns/shop/sa/web"))
	errs := make(chan error, 1)
	go func() { errs <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Error(err)
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
	_, _ = a.Close(), b.Close()

	m.up()
	again.until("the control plane is back", func(*decide.Table) bool { return again.Status().Connected })
}

func TestANameThatIsTakenIsRefusedAndFreedByLeaving(t *testing.T) {
	m := newMesh(t)
	m.up()
	first := m.join(workload("cart", 8081)).ready()
	opt := workload("cart", 8082)
	opt.Name = "shop/cart-2"
	told := make(logged, 100)
	opt.Log = slog.New(told)
	second := m.join(opt)
	for msg := range told {
		if strings.Contains(msg, "W2301") {
			break
		}
	}
	if msg := second.Status().RegisterError; !strings.Contains(msg, "W2301") {
		t.Errorf("refused with %q, want W2301", msg)
	}
	first.stop()
	second.ready()
}

// logged is a log handler that passes the text of its records on.
type logged chan string

func (logged) Enabled(context.Context, slog.Level) bool { return true }

func (l logged) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	select {
	case l <- text:
	default:
	}
	return nil
}

func (l logged) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l logged) WithGroup(string) slog.Handler      { return l }
