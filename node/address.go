package node

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Every joined namespace is one numbered block: a /30 of the IPv4 link-local range (RFC 3927,
// never forwarded by a router) and a /64 of a unique local IPv6 prefix (RFC 4193). The number
// is also in the name of the link on the host, so that the kernel itself, which refuses a name
// twice, arbitrates between several starts at once.
const (
	linkPrefix = "weft" // then four hexadecimal digits: "weft03fa"
	blocks     = 1 << 14
)

// ulaPrefix is the first 48 bits of the IPv6 side; the global ID was drawn at random once.
var ulaPrefix = [6]byte{0xfd, 0x5b, 0x1e, 0x7a, 0x90, 0xc4}

// block is the number of a pair of addresses, 0 <= block < blocks.
type block uint16

// reserved reports whether the block lies in a part of 169.254.0.0/16 that others are known to
// use: the first and the last 256 addresses (RFC 3927, 2.1), the metadata and credential
// services of clouds (169, 170), node-local DNS caches (20, 25).
func (b block) reserved() bool {
	switch b >> 6 {
	case 0, 20, 25, 169, 170, 255:
		return true
	}
	return false
}

// linkName is the name of the link on the host.
func (b block) linkName() string { return fmt.Sprintf("%s%04x", linkPrefix, uint16(b)) }

// parseLinkName finds the block of a link's name; ok is false for links that are not ours.
func parseLinkName(name string) (b block, ok bool) {
	digits, found := strings.CutPrefix(name, linkPrefix)
	if !found || len(digits) != 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(digits, 16, 16)
	if err != nil || v >= blocks || block(v).linkName() != name {
		return 0, false
	}
	return block(v), true
}

// prefix4 is the block's IPv4 network.
func (b block) prefix4() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, byte(b >> 6), byte(b << 2)}), 30)
}

// prefix6 is the block's IPv6 network.
func (b block) prefix6() netip.Prefix {
	var a [16]byte
	copy(a[:], ulaPrefix[:])
	a[6], a[7] = byte(b>>8), byte(b)
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// host4, inside4, host6, inside6 are the two ends.
func (b block) host4() netip.Addr   { return b.prefix4().Addr().Next() }
func (b block) inside4() netip.Addr { return b.host4().Next() }
func (b block) host6() netip.Addr   { return b.prefix6().Addr().Next() }
func (b block) inside6() netip.Addr { return b.host6().Next() }

// choose gives the blocks to try, in order: from start on, leaving out those that are reserved
// or overlap a network that the host already uses. It visits each block at most once.
func choose(start uint32, used []netip.Prefix, try func(block) (done bool)) {
	for i := range uint32(blocks) {
		b := block((start + i) % blocks)
		if b.reserved() || overlaps(b, used) {
			continue
		}
		if try(b) {
			return
		}
	}
}

// overlaps reports whether a used network lies inside the block or is as narrow as to name it.
// A wide network that merely contains the block does not count: 169.254.0.0/16 on a link, or a
// default route, is less specific than ours and keeps working.
func overlaps(b block, used []netip.Prefix) bool {
	for _, p := range used {
		if p.Bits() >= 24 && p.Addr().Is4() && p.Overlaps(b.prefix4()) {
			return true
		}
		if p.Bits() >= 56 && p.Addr().Is6() && p.Overlaps(b.prefix6()) {
			return true
		}
	}
	return false
}
