package node

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// writeRules installs the ruleset of the calling thread's namespace, in one transaction:
//
//	table inet weft {
//	  chain outbound { type nat hook output priority dstnat
//	    udp dport 53   redirect to :dns       # before lo: resolvers are often on 127.0.0.53
//	    oif lo         accept                 # the namespace's own addresses
//	    meta l4proto tcp redirect to :tcp
//	  }
//	  chain inbound { type nat hook prerouting priority dstnat
//	    iifname eth0 ip protocol tcp dnat to 127.0.0.1
//	  }
//	  chain leak { type filter hook output priority filter
//	    oifname != eth0 accept
//	    ct status dnat accept                 # redirected above
//	    ct state established,related accept   # answers to inbound connections
//	    meta l4proto icmp, ipv6-icmp accept   # neighbour discovery, ping
//	    reject
//	  }
//	  chain own { type filter hook input priority filter
//	    iifname eth0 tcp dport { tcp ports } reject
//	  }
//	}
//
// So nothing leaves unseen: what is not TCP or DNS is refused at once, and a client of QUIC
// falls back to TCP without a timeout.
func (n *Namespace) writeRules() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "weft"})
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, prio *nftables.ChainPriority) func(...[]expr.Any) {
		ch := c.AddChain(&nftables.Chain{Name: name, Table: table, Type: kind, Hooknum: hook, Priority: prio})
		return func(parts ...[]expr.Any) {
			var all []expr.Any
			for _, p := range parts {
				all = append(all, p...)
			}
			c.AddRule(&nftables.Rule{Table: table, Chain: ch, Exprs: all})
		}
	}

	outbound := chain("outbound", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest)
	for family, ports := range n.ports {
		if ports[1] != 0 {
			outbound(matchFamily(family), matchProto(unix.IPPROTO_UDP), matchDport(53), redirect(ports[1]))
		}
	}
	outbound(matchName(expr.MetaKeyOIFNAME, "lo", expr.CmpOpEq), accept())
	for family, ports := range n.ports {
		if ports[0] != 0 {
			outbound(matchFamily(family), matchProto(unix.IPPROTO_TCP), redirect(ports[0]))
		}
	}

	inbound := chain("inbound", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	inbound(matchName(expr.MetaKeyIIFNAME, insideLink, expr.CmpOpEq), matchFamily(0), matchProto(unix.IPPROTO_TCP), dnatLoopback())

	leak := chain("leak", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter)
	leak(matchName(expr.MetaKeyOIFNAME, insideLink, expr.CmpOpNeq), accept())
	// A redirected packet goes to lo, but within this hook it still shows the interface that it
	// was first routed to, so it is told by its connection.
	leak(matchCt(expr.CtKeySTATUS, ctStatusDNAT), accept())
	leak(matchCt(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept())
	leak(matchProto(unix.IPPROTO_ICMP), accept())
	leak(matchProto(unix.IPPROTO_ICMPV6), accept())
	leak(refuse())

	own := chain("own", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	for family, ports := range n.ports {
		if ports[0] != 0 {
			own(matchName(expr.MetaKeyIIFNAME, insideLink, expr.CmpOpEq), matchFamily(family), matchProto(unix.IPPROTO_TCP), matchDport(ports[0]), refuse())
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// matchFamily holds for packets of IPv4 (0) or IPv6 (1).
func matchFamily(family int) []expr.Any {
	proto := byte(unix.NFPROTO_IPV4)
	if family == 1 {
		proto = unix.NFPROTO_IPV6
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
}

// matchProto holds for packets of one transport protocol.
func matchProto(proto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
}

// matchDport holds for packets to a TCP or UDP port.
func matchDport(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

// matchName holds for packets on (or, with CmpOpNeq, not on) the named interface.
func matchName(key expr.MetaKey, name string, op expr.CmpOp) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: padded},
	}
}

// ctStatusDNAT is IPS_DST_NAT of nf_conntrack_common.h.
const ctStatusDNAT = 1 << 5

// matchCt holds for packets whose connection has one of the bits set.
func matchCt(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binary.NativeEndian.AppendUint32(nil, bits), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

// refuse answers with "port unreachable" of the packet's family. It counts, for whoever looks
// why something does not get out.
func refuse() []expr.Any {
	return []expr.Any{
		&expr.Counter{},
		&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH},
	}
}

// redirect sends to a port on the loopback address of the packet's family.
func redirect(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.Redir{RegisterProtoMin: 1},
	}
}

// dnatLoopback sends to 127.0.0.1, keeping the port.
func dnatLoopback() []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: []byte{127, 0, 0, 1}},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
	}
}
