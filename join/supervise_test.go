package join

import (
	"testing"

	"github.com/weft-mesh/weft/proxy/config"
)

func TestTheNextProxyGetsTheAddressesOfTheLastOne(t *testing.T) {
	s := &supervisor{}
	s.launcher.config.Workloads = make([]config.Workload, 1)
	c := &s.launcher.config.Workloads[0]
	c.Link, c.Outbound.Proxy = "127.0.0.1:0", "127.0.0.1:0"
	c.Outbound.Services = []config.ServiceListener{
		{Listen: "127.0.0.1:0", Namespace: "shop", Service: "cart", Port: 80},
		{Listen: "127.0.0.1:0", Namespace: "shop", Service: "stock", Port: 80},
	}
	s.adopt(&proxy{ready: config.Ready{Metrics: "127.0.0.1:3", Workloads: []config.ReadyWorkload{{
		Link: "127.0.0.1:1", Proxy: "127.0.0.1:2",
		Services: []config.ServiceListener{
			{Listen: "127.0.0.1:4", Namespace: "shop", Service: "cart", Port: 80},
			{Listen: "127.0.0.1:5", Namespace: "shop", Service: "other", Port: 80}, // not what was asked for
		},
	}}}})
	got := []string{c.Link, c.Outbound.Proxy, s.launcher.config.Metrics, c.Outbound.Services[0].Listen, c.Outbound.Services[1].Listen}
	want := []string{"127.0.0.1:1", "127.0.0.1:2", "", "127.0.0.1:4", "127.0.0.1:0"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got, want)
			break
		}
	}
}
