package core

import (
	"fmt"
	"strings"
	"testing"
)

// exchanges is how many the guards below count the allocations of. AllocsPerRun rounds its mean
// down, so it is given all of them as one run: one allocation in a thousand is one too many.
const exchanges = 1000

// allocations counts those of a thousand exchanges in steady state. The runtime allocates at times
// for itself; what an exchange allocates it allocates in every thousand.
func allocations(once func()) float64 {
	many := func() {
		for range exchanges {
			once()
		}
	}
	many() // tables and buffers grow to what this traffic needs; a few thousand renew all windows
	least := testing.AllocsPerRun(1, many)
	for try := 0; least > 0 && try < 5; try++ {
		least = min(least, testing.AllocsPerRun(1, many))
	}
	return least
}

// TestARequestInSteadyStateDoesNotAllocate: head, decision, link, application and back, through
// both cores. Each allocation here is paid by every request of a mesh.
func TestARequestInSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			if n := allocations(f.start(t)); n != 0 {
				t.Errorf("%v allocations in %d exchanges, want none", n, exchanges)
			}
		})
	}
}

// TestTheNumberOfFieldsDoesNotMatter: what proxies add must not outgrow the codecs' slices, whose
// capacity just fits some numbers of fields.
func TestTheNumberOfFieldsDoesNotMatter(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
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
			if got := allocations(start(t)); got != 0 {
				t.Errorf("%s with %d fields: %v allocations in %d exchanges, want none", name, n, got, exchanges)
			}
		}
	}
}
