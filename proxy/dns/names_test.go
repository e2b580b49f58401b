package dns

import "testing"

func TestNamesOfTheMeshAreRecognised(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want target
	}{
		{"cart.", target{name: "cart", namespace: "own"}},
		{"CaRt.", target{name: "cart", namespace: "own"}},
		{"cart.shop.", target{name: "cart", namespace: "shop"}},
		{"cart.shop.svc.", target{name: "cart", namespace: "shop"}},
		{"cart.shop.svc.cluster.local.", target{zone: clusterZone, name: "cart", namespace: "shop"}},
		{"Cart.SHOP.svc.Cluster.Local.", target{zone: clusterZone, name: "cart", namespace: "shop"}},
		{"shop.svc.cluster.local.", target{zone: clusterZone, apex: true}},
		{"svc.cluster.local.", target{zone: clusterZone, apex: true}},
		{"a.cart.shop.svc.cluster.local.", target{zone: clusterZone}},
		{"_http._tcp.cart.shop.svc.cluster.local.", target{zone: clusterZone}},
		{"-x.shop.svc.cluster.local.", target{zone: clusterZone}},
		{"cart.weft.localhost.", target{zone: localhostZone, name: "cart", namespace: "own"}},
		{"cart.shop.weft.localhost.", target{zone: localhostZone, name: "cart", namespace: "shop"}},
		{"weft.localhost.", target{zone: localhostZone, apex: true}},
		{"a.b.c.weft.localhost.", target{zone: localhostZone}},
		// Everything else is the machine's business.
		{".", target{}},
		{"", target{}},
		{"cart", target{}}, // not fully qualified: no packet carries that
		{"www.example.com.", target{}},
		{"a.b.c.d.", target{}},
		{"_dmarc.example.", target{}},
		{"cluster.local.", target{name: "cluster", namespace: "local"}}, // asked, and not found, then passed on
		{"xsvc.cluster.local.", target{}},
		{"a b.", target{}},
	} {
		if got := parse(tc.in, "own"); got != tc.want {
			t.Errorf("parse(%q) = %+v, want %+v", tc.in, got, tc.want)
		}
	}
}
