package core

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/balance"
	"github.com/weft-mesh/weft/proxy/h2"
)

func withHealth(h model.HealthCheck) *model.Service {
	if h.Interval == 0 {
		h.Interval = time.Second
	}
	h.Timeout, h.Unhealthy, h.Healthy = 500*time.Millisecond, 2, 2
	return withPolicy(func(p *model.Policy) { p.Health = &h; p.Balance.PanicPercent = 0 })
}

func isCheck(in []byte) bool { return bytes.Contains(in, []byte("weft-health")) }

// watched is a rig of which an endpoint is checked and answers what ill says, or nothing.
func watched(t *testing.T, h model.HealthCheck, eps ...model.Endpoint) (r *rig, ill *string, checks *int) {
	r = newRig(t, nil, Limits{})
	r.publish(withHealth(h), eps...)
	ill, checks = new(string), new(int)
	r.app = func(p *pipe, in []byte) {
		switch {
		case !isCheck(in):
			p.send(r.answer)
		case *ill == "silent":
			*checks++
		case *ill != "":
			*checks++
			p.send([]byte(*ill))
		default:
			*checks++
			p.send(r.answer)
		}
	}
	return r, ill, checks
}

func TestAnEndpointWhoseHealthChecksFailGetsNoRequestsUntilTheySucceed(t *testing.T) {
	for name, answer := range map[string]string{"500": "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "silence": "silent", "no HTTP": "hello\r\n\r\n"} {
		for way, ep := range map[string]model.Endpoint{"plain": plainEndpoint(1), "link": rigEndpoint} {
			t.Run(name+", "+way, func(t *testing.T) {
				r, ill, checks := watched(t, model.HealthCheck{Path: "/healthz"}, ep)
				c := r.dial()
				if got := r.fetch(c, ""); !strings.HasPrefix(got, "HTTP/1.1 200") {
					t.Fatalf("got %q", got)
				}
				r.pass(5*time.Second, 10*time.Millisecond)
				if *checks < 4 || *checks > 6 {
					t.Errorf("%d checks in 5 s, want about five", *checks)
				}
				*ill = answer
				r.pass(3500*time.Millisecond, 10*time.Millisecond)
				if row := r.rows(t)[0]; row.State != balance.Unhealthy {
					t.Fatalf("it is %s", row.State)
				}
				if got := r.fetch(c, ""); !strings.Contains(got, "W3304") {
					t.Errorf("got %q", got)
				}
				*ill = ""
				r.pass(3500*time.Millisecond, 10*time.Millisecond)
				if got := r.fetch(r.dial(), ""); !strings.HasPrefix(got, "HTTP/1.1 200") {
					t.Errorf("after it was well again: %q", got)
				}
				row := r.rows(t)[0]
				if row.Success != 1 || row.Ejections != 0 || row.Inflight != 0 {
					t.Errorf("checks were taken for requests: %+v", row)
				}
			})
		}
	}
}

func TestTheRequestOfAHealthCheckIsWhatThePolicySays(t *testing.T) {
	r, _, _ := watched(t, model.HealthCheck{Path: "/healthz?full=1"}, plainEndpoint(1))
	r.fetch(r.dial(), "")
	r.pass(1200*time.Millisecond, 10*time.Millisecond)
	if got := string(r.heard); !strings.HasPrefix(got, "GET /healthz?full=1 HTTP/1.1\r\n") || !strings.Contains(strings.ToLower(got), "host: cart.shop\r\n") {
		t.Errorf("the application got %q", got)
	}
}

func TestAHealthCheckOfAConnection(t *testing.T) {
	for way, ep := range map[string]model.Endpoint{"plain": plainEndpoint(1), "link": rigEndpoint} {
		t.Run(way, func(t *testing.T) {
			r, _, _ := watched(t, model.HealthCheck{Kind: model.HealthTCP}, ep)
			r.fetch(r.dial(), "")
			r.pass(4*time.Second, 10*time.Millisecond)
			if row := r.rows(t)[0]; row.State != balance.Ready {
				t.Errorf("an application that takes connections is %s", row.State)
			}
			r.refuse = ep.Addr
			r.pass(4*time.Second, 10*time.Millisecond)
			if row := r.rows(t)[0]; row.State != balance.Unhealthy {
				t.Errorf("an application that takes none is %s", row.State)
			}
			if n := r.client.core.checking; n != 0 {
				t.Errorf("%d checks are under way", n)
			}
		})
	}
}

func TestServicesThatNobodyUsesAreNotChecked(t *testing.T) {
	r, _, checks := watched(t, model.HealthCheck{}, plainEndpoint(1))
	r.pass(5*time.Second, 50*time.Millisecond)
	if *checks > 0 {
		t.Errorf("%d checks before the first request", *checks)
	}
	r.fetch(r.dial(), "")
	r.pass(40*time.Second, 50*time.Millisecond)
	was := *checks
	r.pass(20*time.Second, 50*time.Millisecond)
	if *checks > was {
		t.Errorf("%d checks of a service that nobody has used for 40 s", *checks-was)
	}
	r.fetch(r.dial(), "")
	r.pass(5*time.Second, 50*time.Millisecond)
	if *checks < was+3 {
		t.Error("it is used again and not checked")
	}
}

func TestChecksEndWithTheirEndpointAndTheirPolicy(t *testing.T) {
	r, ill, checks := watched(t, model.HealthCheck{}, plainEndpoint(1), plainEndpoint(2))
	*ill = "silent" // some are under way
	r.fetch(r.dial(), "")
	r.pass(10*time.Second, 10*time.Millisecond)
	r.publish(withHealth(model.HealthCheck{}), plainEndpoint(2))
	was := *checks
	r.pass(5*time.Second, 10*time.Millisecond)
	if n := *checks - was; n < 3 || n > 6 {
		t.Errorf("%d checks of one endpoint in 5 s", n)
	}
	r.publish(withPolicy(func(*model.Policy) {}), plainEndpoint(2))
	was = *checks
	r.pass(5*time.Second, 10*time.Millisecond)
	if *checks != was || r.client.core.checking != 0 {
		t.Errorf("%d checks without a policy, %d under way", *checks-was, r.client.core.checking)
	}
	if row := r.rows(t)[0]; row.State != balance.Ready {
		t.Errorf("without checks it is %s", row.State)
	}
}

func TestGRPCHealthIsReadAsItIsWritten(t *testing.T) {
	if got := grpcHealthRequest(""); !bytes.Equal(got, []byte{0, 0, 0, 0, 0}) {
		t.Errorf("% x", got)
	}
	if got := grpcHealthRequest("ab"); !bytes.Equal(got, []byte{0, 0, 0, 0, 4, 10, 2, 'a', 'b'}) {
		t.Errorf("% x", got)
	}
	long := grpcHealthRequest(strings.Repeat("x", 300))
	if !bytes.Equal(long[:8], []byte{0, 0, 0, 1, 47, 10, 0xac, 2}) || len(long) != 308 {
		t.Errorf("% x, %d bytes", long[:8], len(long))
	}
	for _, v := range [][]byte{nil, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 2, 8, 2}, {1, 0, 0, 0, 2, 8, 1}, {0, 0, 0, 0, 2, 16, 1}} {
		if grpcServing(v) {
			t.Errorf("% x is taken for SERVING", v)
		}
	}
	if !grpcServing([]byte{0, 0, 0, 0, 2, 8, 1}) {
		t.Error("SERVING is not seen")
	}
}

func TestAHealthCheckByGRPC(t *testing.T) {
	for way, ep := range map[string]model.Endpoint{"plain": plainEndpoint(1), "link": rigEndpoint} {
		t.Run(way, func(t *testing.T) {
			r := newRig(t, nil, Limits{})
			r.publish(withHealth(model.HealthCheck{Kind: model.HealthGRPC, Service: "shop.Cart"}), ep)
			status := byte(1) // SERVING
			var asked []byte
			apps := map[*pipe]*h2End{}
			r.app = func(p *pipe, in []byte) {
				e := apps[p]
				if e == nil && !bytes.HasPrefix(in, []byte("PRI")) {
					p.send(r.answer)
					return
				}
				if e == nil {
					e = newH2End(t, p, h2.Config{Role: h2.Server})
					e.request = func(st *h2.Stream) {
						st.Respond(&message.Response{Status: 200, ContentLength: -1, Fields: fieldsOf("content-type", "application/grpc")}, false)
						st.Send([]byte{0, 0, 0, 0, 2, 8, status}, false)
						st.SendTrailers(fieldsOf("grpc-status", "0"))
						st.Release()
					}
					apps[p] = e
				}
				asked = append(asked, in...)
				e.feed(bytes.Clone(in))
			}
			r.fetch(r.dial(), "")
			r.pass(4*time.Second, 10*time.Millisecond)
			if row := r.rows(t)[0]; row.State != balance.Ready {
				t.Errorf("one that serves is %s", row.State)
			}
			if !bytes.Contains(asked, grpcHealthRequest("shop.Cart")) {
				t.Error("the application was not asked for its service")
			}
			status = 2 // NOT_SERVING
			r.pass(4*time.Second, 10*time.Millisecond)
			if row := r.rows(t)[0]; row.State != balance.Unhealthy {
				t.Errorf("one that does not serve is %s", row.State)
			}
		})
	}
}
