package telemetry

import (
	"fmt"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

func key(service string) Key {
	return Key{
		Source: model.Name{Namespace: "shop", Name: "web-1"}, SourceIdentity: "spiffe://mesh/ns/shop/sa/web",
		Service: model.Name{Namespace: "shop", Name: service}, Port: 80, Route: "HTTPRoute shop/cart rule 0",
		Backend: model.Name{Namespace: "shop", Name: service + "-v2"}, Protocol: model.ProtocolHTTP, TLS: true,
	}
}

func TestARequestIsCountedOnce(t *testing.T) {
	for _, c := range []struct {
		name               string
		status             int
		failed, grpcFailed bool
		class              int
		ok, bad, grpc      uint64
	}{
		{"a good response", 200, false, false, 2, 1, 0, 0},
		{"the caller's fault", 404, false, false, 4, 1, 0, 0},
		{"the service's fault", 503, true, false, 5, 0, 1, 0},
		{"no response", 0, true, false, 0, 0, 1, 0},
		{"a gRPC failure in a good response", 200, true, true, 2, 0, 1, 1},
		{"a gRPC status that is no failure of the service", 200, false, true, 2, 1, 0, 1},
		{"a status that HTTP does not know", 999, false, false, 0, 1, 0, 0},
		{"a status below all", -1, true, false, 0, 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewRegistry(1).Shard(0).Get(key("cart"))
			s.Start()
			if got := s.counts(); got.Active != 1 || got.Requests() != 0 {
				t.Errorf("under way: %+v", got)
			}
			s.End(c.status, c.failed, c.grpcFailed, 1500*time.Microsecond, 10, 20)
			got := s.counts()
			for i, n := range got.Status {
				if want := uint64(0); i == c.class && n != 1 || i != c.class && n != want {
					t.Errorf("class %d: %d", i, n)
				}
			}
			if got.Success != c.ok || got.Failure != c.bad || got.GRPCFailures != c.grpc || got.Active != 0 || got.Opened != 1 {
				t.Errorf("ended: %+v", got)
			}
			if got.BytesOut != 10 || got.BytesIn != 20 || got.LatencySumMicros != 1500 {
				t.Errorf("sizes: %+v", got)
			}
		})
	}
}

func TestTheSameKeyIsTheSameSeries(t *testing.T) {
	sh := NewRegistry(1).Shard(0)
	a, b := sh.Get(key("cart")), sh.Get(key("cart"))
	if a != b {
		t.Error("two series for one key")
	}
	other := key("cart")
	other.TLS = false
	if sh.Get(other) == a {
		t.Error("one series for two keys")
	}
}

// A caller that makes up host names must not grow the proxy (CVE-2025-43915).
func TestKeysBeyondTheBoundAreCountedAsOther(t *testing.T) {
	r := NewRegistry(1)
	sh := r.Shard(0)
	const asked = 3 * MaxSeries
	for i := range asked {
		k := key(fmt.Sprint("made-up-", i))
		if i%2 == 1 {
			k.Direction = Inbound
		}
		s := sh.Get(k)
		s.Start()
		s.End(200, false, false, 0, 0, 0)
	}
	if n := len(sh.series); n > MaxSeries+2 {
		t.Errorf("%d series, the bound is %d and one for each direction", n, MaxSeries)
	}
	var total uint64
	other := map[Direction]uint64{}
	for _, s := range sh.snapshot() {
		total += s.Successes.Load()
		if s.Key.Service.Name == "other" {
			other[s.Key.Direction] = s.Successes.Load()
		}
	}
	if total != asked {
		t.Errorf("%d requests counted of %d", total, asked)
	}
	if want := uint64(asked-MaxSeries) / 2; other[Outbound] != want || other[Inbound] != want {
		t.Errorf("counted as other: %v, want %d each way", other, want)
	}
	if sh.Get(key("made-up-0")).Key.Service.Name != "made-up-0" {
		t.Error("a series that was there before the bound is lost")
	}
}
