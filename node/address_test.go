package node

import (
	"net/netip"
	"testing"
)

func TestBlocksDoNotOverlapEachOtherOrWhatOthersUse(t *testing.T) {
	seen4, seen6, names := map[netip.Prefix]block{}, map[netip.Prefix]block{}, map[string]block{}
	metadata := netip.MustParseAddr("169.254.169.254")
	for i := range blocks {
		b := block(i)
		if b.reserved() {
			continue
		}
		if other, twice := seen4[b.prefix4()]; twice {
			t.Fatalf("blocks %d and %d share %s", b, other, b.prefix4())
		}
		if other, twice := seen6[b.prefix6()]; twice {
			t.Fatalf("blocks %d and %d share %s", b, other, b.prefix6())
		}
		if other, twice := names[b.linkName()]; twice {
			t.Fatalf("blocks %d and %d share the name %s", b, other, b.linkName())
		}
		seen4[b.prefix4()], seen6[b.prefix6()], names[b.linkName()] = b, b, b
		if b.prefix4() != b.prefix4().Masked() || !b.prefix4().Contains(b.inside4()) || !b.prefix4().Contains(b.host4()) {
			t.Fatalf("block %d: %s, %s, %s", b, b.prefix4(), b.host4(), b.inside4())
		}
		if b.prefix4().Contains(metadata) {
			t.Fatalf("block %d hides the metadata service: %s", b, b.prefix4())
		}
		if len(b.linkName()) > 15 {
			t.Fatalf("%s is too long for a link", b.linkName())
		}
		if back, ok := parseLinkName(b.linkName()); !ok || back != b {
			t.Fatalf("parseLinkName(%s) = %d, %v", b.linkName(), back, ok)
		}
	}
}

func TestLinksOfOthersAreNotTakenForOurs(t *testing.T) {
	for _, name := range []string{"", "weft", "weft0", "weft12345", "weftFFFF", "weft00AF", "weftffff", "weft4000", "wefx0001", "eth0", "weft 001"} {
		if b, ok := parseLinkName(name); ok {
			t.Errorf("%q was taken for block %d", name, b)
		}
	}
}

func TestChooseLeavesOutWhatIsUsed(t *testing.T) {
	used := []netip.Prefix{
		block(100).prefix4(),                        // a pair of our own
		netip.PrefixFrom(block(101).inside4(), 32),  // a route to one address
		netip.PrefixFrom(block(102).inside6(), 128), // the same in IPv6
		netip.MustParsePrefix("169.254.0.0/16"),     // zeroconf on some link: less specific, no harm
		netip.MustParsePrefix("0.0.0.0/0"),          // the default route
		netip.MustParsePrefix("::/0"),
	}
	var got []block
	choose(100, used, func(b block) bool { got = append(got, b); return len(got) == 2 })
	if len(got) != 2 || got[0] != 103 || got[1] != 104 {
		t.Errorf("chose %v, want 103 and 104", got)
	}
}

func TestChooseGoesRoundOnceAndEnds(t *testing.T) {
	n := 0
	choose(1<<32-5, nil, func(block) bool { n++; return false })
	if want := blocks - 6*64; n != want {
		t.Errorf("%d blocks were tried, want each of the %d once", n, want)
	}
}
