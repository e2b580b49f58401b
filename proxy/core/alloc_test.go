package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/test/allocs"
)

// TestARequestInSteadyStateDoesNotAllocate: head, decision, link, application and back, through
// both cores. Each allocation here is paid by every request of a mesh.
func TestARequestInSteadyStateDoesNotAllocate(t *testing.T) {
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			allocs.None(t, 2500, f.start(t))
		})
	}
}

// TestKeepingARequestDoesNotAllocate: what another try would need is kept of every request, and costs
// copies only; neither does the time that a caller gives, nor a hedge that does not begin.
func TestKeepingARequestDoesNotAllocate(t *testing.T) {
	for _, n := range []int{20, 3000, 4096, 10_000, 20_000, 60_000} {
		request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: cart\r\nWeft-Timeout: 5S\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n", n, strings.Repeat("u", n-4))
		for name, prepare := range map[string]func(*rig){"as it is": nil, "with all causes": eager, "unmeshed": unmeshed} {
			t.Run(fmt.Sprintf("%d bytes, %s", n, name), func(t *testing.T) {
				allocs.None(t, 300, startHTTP1(prepare, request, smallAnswer)(t))
			})
		}
	}
}

// eager makes the service's requests be tried again for every cause, and hedged.
func eager(r *rig) {
	p := model.DefaultPolicy
	p.Calls.Retry.On, p.Calls.Retry.Codes, p.Calls.Retry.Idempotent = 15, []int{503}, true
	p.Calls.Hedge = &model.Hedge{Percentile: 95}
	p.Calls.Timeouts = model.Timeouts{Request: time.Minute, BackendRequest: time.Second}
	r.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP, Policy: &p}}}, rigEndpoint)
	r.learn(100 * time.Millisecond)
}

// TestTheNumberOfFieldsDoesNotMatter: what proxies add must not outgrow the codecs' slices, whose
// capacity just fits some numbers of fields.
func TestTheNumberOfFieldsDoesNotMatter(t *testing.T) {
	for n := range 18 {
		var lines strings.Builder
		kv := make([]string, 0, 2*n)
		for i := range n {
			kv = append(kv, fmt.Sprintf("x-%d", i), "v")
			fmt.Fprintf(&lines, "x-%d: v\r\n", i)
		}
		for name, start := range map[string]func(testing.TB) func(){
			"HTTP/1": startHTTP1(nil, "GET / HTTP/1.1\r\nHost: cart\r\n"+lines.String()+"\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"+lines.String()+"\r\nhello"),
			"HTTP/2": startHTTP2(fieldsOf(kv...), 0, 5),
		} {
			t.Run(fmt.Sprintf("%s with %d", name, n), func(t *testing.T) { allocs.None(t, 200, start(t)) })
		}
	}
}
