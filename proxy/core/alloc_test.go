package core

import (
	"fmt"
	"strings"
	"testing"

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
