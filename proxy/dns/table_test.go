package dns

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/weft-mesh/weft/model"
)

var start = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func name(i int) model.Name { return model.Name{Namespace: "shop", Name: fmt.Sprintf("s%d", i)} }

func TestANameKeepsItsAddressAndTheAddressLeadsBack(t *testing.T) {
	tb := NewTable(0)
	seen := map[netip.Addr]bool{}
	for round := range 2 {
		for i := range 300 {
			v4, v6, ok := tb.Assign(start, name(i))
			if !ok || !v4.Is4() || !v6.Is6() || !Virtual(v4) || !Virtual(v6) {
				t.Fatalf("%d: %s, %s, %v", i, v4, v6, ok)
			}
			if seen[v4] != (round == 1) || seen[v6] != (round == 1) {
				t.Fatalf("round %d: %s or %s changed its meaning", round, v4, v6)
			}
			seen[v4], seen[v6] = true, true
			for _, a := range []netip.Addr{v4, v6, netip.AddrFrom16(v4.As16())} {
				if got, ok := tb.Lookup(start, a); !ok || got != name(i) {
					t.Fatalf("Lookup(%s) = %v, %v; want %v", a, got, ok, name(i))
				}
			}
		}
	}
}

func TestTheSameNameInTwoNamespacesHasTwoAddresses(t *testing.T) {
	tb := NewTable(0)
	a, _, _ := tb.Assign(start, model.Name{Namespace: "a", Name: "cart"})
	b, _, _ := tb.Assign(start, model.Name{Namespace: "b", Name: "cart"})
	if a == b {
		t.Errorf("both have %s", a)
	}
}

func TestAFullTableTakesNothingFromThoseInUse(t *testing.T) {
	tb := NewTable(3)
	for i := range 3 {
		_, _, _ = tb.Assign(start, name(i))
	}
	if _, _, ok := tb.Assign(start.Add(hold-1), name(3)); ok {
		t.Fatal("an address in use was given away")
	}
	// A connection keeps its name in use; the oldest unused one goes.
	v0, _, _ := tb.Assign(start, name(0))
	v1, _, _ := tb.Assign(start, name(1))
	_, _ = tb.Lookup(start.Add(hold-1), v0)
	_, _ = tb.Lookup(start.Add(hold-1), v1)
	v3, _, ok := tb.Assign(start.Add(hold), name(3))
	if !ok {
		t.Fatal("a name unused for long kept its place")
	}
	if v3 == v0 || v3 == v1 {
		t.Errorf("%s has two meanings", v3)
	}
	if got, ok := tb.Lookup(start.Add(hold), v0); !ok || got != name(0) {
		t.Errorf("the used one lost its address: %v, %v", got, ok)
	}
	if n := tb.recent.Len(); n != 3 || len(tb.byName) != 3 || len(tb.byNum) != 3 {
		t.Errorf("%d, %d, %d entries, want 3", n, len(tb.byName), len(tb.byNum))
	}
}

func TestNumbersGoRoundWithoutCollision(t *testing.T) {
	tb := NewTable(2)
	tb.next = pool - 2
	now := start
	var last netip.Addr
	for i := range 5 {
		now = now.Add(hold)
		v4, _, ok := tb.Assign(now, name(i))
		if !ok || v4 == last || v4 == prefix4.Addr() || !prefix4.Contains(v4) {
			t.Fatalf("%d: %s, %v", i, v4, ok)
		}
		last = v4
	}
}

func TestForeignAddressesAreNotVirtual(t *testing.T) {
	for _, s := range []string{"198.17.255.255", "198.20.0.0", "10.0.0.1", "fd5b:1e7a:90c4::1", "::1", "::ffff:10.0.0.1"} {
		a := netip.MustParseAddr(s)
		if Virtual(a) {
			t.Errorf("%s counts as virtual", s)
		}
		if n, ok := NewTable(0).Lookup(start, a); ok {
			t.Errorf("%s is %v", s, n)
		}
	}
	if Virtual(netip.Addr{}) {
		t.Error("no address counts as virtual")
	}
	// Inside the prefix, beyond the numbers.
	if n, ok := NewTable(0).Lookup(start, netip.MustParseAddr("fd5b:1e7a:90c5:0:1::1")); ok {
		t.Errorf("it is %v", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	tb := NewTable(0)
	v4, _, _ := tb.Assign(start, name(1))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = tb.Lookup(start, v4)
	}
}
