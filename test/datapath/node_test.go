package datapath

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/decide"
	"github.com/weft-mesh/weft/identity"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/core"
)

func TestWorkloadsOfOneNodeMeetInsideIt(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newPair(t, pairOptions{driver: driver + onOneNode, app: hello(t)})
		c := dial(t, x.client.addr["cart"])
		io.WriteString(c, "GET /a HTTP/1.1\r\nHost: cart\r\n\r\n")
		if res, body := readResponse(t, bufio.NewReader(c), "GET"); res.StatusCode != 200 || body != "hello /a" {
			t.Fatalf("%d %q", res.StatusCode, body)
		}
		if n := x.client.conns(); n != 2 {
			t.Errorf("%d connections, want the client's and the application's", n)
		}
		for what, match := range map[string]func(report.Key) bool{"outbound": outbound, "inbound": inbound} {
			n := x.client.counts(func(k report.Key) bool { return match(k) && k.Local && !k.TLS })
			if n.Status[2] != 1 {
				t.Errorf("%s: %d requests counted as local, want 1", what, n.Status[2])
			}
		}
	})
}

// tenants is one proxy with a workload in each of three namespaces; two have an application.
type tenants struct {
	*proxy
	stores security
	apps   []string
}

func newTenants(t *testing.T, driver string) *tenants {
	a := newAuthority(t)
	x := &tenants{}
	var ws []core.Workload
	var ls []listen
	for i, ns := range []string{"shop", "bank", "lab"} {
		id := identity.ID{TrustDomain: "weft.local", Namespace: ns, ServiceAccount: "app"}
		w := core.Workload{Name: model.Name{Namespace: ns, Name: "app-1"}, Service: model.Name{Namespace: ns, Name: "app"}, Identity: id.String()}
		if ns != "lab" {
			app := echoServer(t, func(rw http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(rw, "%s for %s", ns, r.Header.Get("Weft-Client-Id"))
			})
			x.apps = append(x.apps, app)
			w.Ports = []core.AppPort{{Addr: netip.MustParseAddrPort(app), Protocol: model.ProtocolHTTP}}
		}
		ws, x.stores = append(ws, w), append(x.stores, newStoreOf(t, a, id))
		ls = append(ls, listen{ns + " link", &core.Listener{Kind: core.ListenLink, Workload: i}},
			listen{ns + " proxy", &core.Listener{Kind: core.ListenProxy, Workload: i}})
	}
	x.proxy = startNode(t, driver, 1, ws, x.stores, core.Limits{}, &meshStub{}, ls...)
	v := &decide.View{TrustDomain: "weft.local", Services: map[model.Name]*model.Service{}, Endpoints: map[model.Name]*model.Endpoints{}}
	for i, w := range ws[:2] {
		v.Services[w.Service] = &model.Service{Name: w.Service, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}
		v.Endpoints[w.Service] = &model.Endpoints{Service: w.Service, Endpoints: []model.Endpoint{{
			Port: 80, Addr: netip.MustParseAddrPort(x.apps[i]), Link: ws[i].Link, Identity: w.Identity, Workload: w.Name,
		}}}
	}
	x.setTable(v)
	return x
}

// Each caller is known by its own name, and a short name is one of its own namespace.
func TestTenantsOfANodeKeepTheirNames(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newTenants(t, driver)
		for _, c := range []struct{ from, host, want string }{
			{"shop", "app", "shop for spiffe://weft.local/ns/shop/sa/app"},
			{"bank", "app", "bank for spiffe://weft.local/ns/bank/sa/app"},
			{"shop", "app.bank", "bank for spiffe://weft.local/ns/shop/sa/app"},
			{"bank", "app.shop", "shop for spiffe://weft.local/ns/bank/sa/app"},
			{"lab", "app.shop", "shop for spiffe://weft.local/ns/lab/sa/app"},
		} {
			got := exchangeRaw(t, x.addr[c.from+" proxy"], "GET http://"+c.host+"/ HTTP/1.1\r\nHost: "+c.host+"\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, c.want) {
				t.Errorf("%s asks %s: %q, want %q", c.from, c.host, got, c.want)
			}
		}
	})
}

// A peer that may talk to one tenant gets nothing of another over the same link, and a link proves
// the identity of its own workload only.
func TestATenantsLinkLeadsToNoOtherTenant(t *testing.T) {
	eachDriver(t, func(t *testing.T, driver string) {
		x := newTenants(t, driver)
		peer := x.stores[2]
		wrong := tls.Client(dial(t, x.addr["shop link"]), peer.ClientConfig("spiffe://weft.local/ns/bank/sa/app"))
		if err := wrong.Handshake(); err == nil {
			t.Error("the link of shop proved to be bank's")
		}
		wrong.Close()
		tc := tls.Client(dial(t, x.addr["shop link"]), peer.ClientConfig("spiffe://weft.local/ns/shop/sa/app"))
		io.WriteString(tc, http2.ClientPreface)
		fr := http2.NewFramer(tc, bufio.NewReader(tc))
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		fr.WriteSettings()
		var block strings.Builder
		enc := hpack.NewEncoder(&block)
		for i, fields := range [][][2]string{
			{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "app"}, {"weft-to", x.apps[1]}},
			{{":method", "CONNECT"}, {":authority", x.apps[1]}},
			{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "app"}, {"weft-to", x.apps[0]}},
		} {
			block.Reset()
			for _, f := range fields {
				enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: i != 1})
		}
		want := map[uint32]string{1: "502", 3: "502", 5: "200"}
		for len(want) > 0 {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := f.(*http2.MetaHeadersFrame); ok {
				if s := h.PseudoValue("status"); s != want[h.StreamID] || s == "502" && !strings.Contains(fmt.Sprint(h.Fields), "W3311") {
					t.Errorf("stream %d: %v, want %s", h.StreamID, h.Fields, want[h.StreamID])
				}
				delete(want, h.StreamID)
			}
		}
	})
}
