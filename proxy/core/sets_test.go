package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weft-mesh/weft/api/report"
	"github.com/weft-mesh/weft/model"
	"github.com/weft-mesh/weft/proxy/telemetry"
)

func TestTheSetsInUseAreTold(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.client.core
	if got := c.Sets(report.SetKey{}, 10); len(got) != 0 {
		t.Errorf("before the first request: %+v", got)
	}
	r.mute = true
	client := r.dial()
	client.send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	r.settle()
	got := c.Sets(report.SetKey{}, 10)
	if len(got) != 1 || got[0].Service != rigService || got[0].Port != 80 || len(got[0].Endpoints) != 1 || got[0].Algorithm != "PeakEWMA" || got[0].Loops != 1 {
		t.Fatalf("%+v, want the endpoints of cart", got)
	}
	if e := got[0].Endpoints[0]; e.InFlight != 1 || e.Latency != 0 || e.Workload != rigEndpoint.Workload || e.Addr != rigApp || e.State == report.EndpointDraining {
		t.Errorf("with a request under way: %+v", e)
	}
	r.now += 5 * time.Millisecond
	for _, p := range r.pipes {
		if p.app {
			p.send(r.answer)
		}
	}
	r.settle()
	if e := c.Sets(report.SetKey{}, 10)[0].Endpoints[0]; e.InFlight != 0 || e.Latency < 4*time.Millisecond || e.Latency > 6*time.Millisecond {
		t.Errorf("after it took 5 ms: %+v", e)
	}
	leaving := rigEndpoint
	leaving.Draining = true
	r.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}, leaving)
	if e := c.Sets(report.SetKey{}, 10)[0].Endpoints[0]; e.State != report.EndpointDraining {
		t.Errorf("when it leaves: %+v", e)
	}
}

func TestManySetsAreToldInTurnsEachOnce(t *testing.T) {
	r := newRig(t, nil, Limits{})
	c := r.client.core
	const sets = 37
	for i := range sets {
		n := setName{model.Name{Namespace: "shop", Name: fmt.Sprint("s", i)}, 80}
		c.setNames[n] = &setEntry{name: n}
	}
	seen := map[report.SetKey]bool{}
	var after report.SetKey
	for {
		turn := c.Sets(after, 10)
		for i := range turn {
			if seen[turn[i].SetKey] {
				t.Errorf("%v is told twice", turn[i].SetKey)
			}
			seen[turn[i].SetKey] = true
			after = turn[i].SetKey
		}
		if len(turn) < 10 {
			break
		}
	}
	if len(seen) != sets {
		t.Errorf("%d sets are told, want %d", len(seen), sets)
	}
}

func TestASetOfManyEndpointsIsCutOff(t *testing.T) {
	r := newRig(t, nil, Limits{})
	var eps []model.Endpoint
	for i := range report.MaxSetEndpoints + 5 {
		e := rigEndpoint
		e.Workload.Name = fmt.Sprint("cart-", i)
		eps = append(eps, e)
	}
	last := &eps[len(eps)-1]
	last.Draining = true
	r.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}, eps...)
	r.dial().send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	r.settle()
	got := r.client.core.Sets(report.SetKey{}, 1)
	if len(got) != 1 || len(got[0].Endpoints) != report.MaxSetEndpoints || got[0].Omitted != 5 {
		t.Fatalf("%d sets, want one with %d endpoints and 5 omitted", len(got), report.MaxSetEndpoints)
	}
	if !slices.ContainsFunc(got[0].Endpoints, func(e report.Endpoint) bool { return e.Workload == last.Workload }) {
		t.Error("the one that leaves is among the omitted, and it is what somebody may wonder about")
	}
}

// Whoever asks why a request was refused looks at its edge.
func TestARefusalIsCountedForItsSeries(t *testing.T) {
	r := newRig(t, nil, Limits{})
	reg := telemetry.NewRegistry(1)
	r.client.core.shard = reg.Shard(0)
	r.publish(&model.Service{Name: rigService, Ports: []model.Port{{Port: 80, Protocol: model.ProtocolHTTP}}}) // nobody is there
	r.dial().send([]byte("GET / HTTP/1.1\r\nHost: cart\r\n\r\n"))
	r.settle()
	n := 0
	telemetry.NewCollector(reg).Collect(func(s report.Series) {
		if len(s.Refused) == 1 && s.Refused[0] == (report.Refusal{Code: "W3304", Count: 1}) && s.Service == rigService {
			n++
		}
	})
	if n != 1 {
		t.Errorf("%d series of cart were refused with W3304, want 1", n)
	}
}
