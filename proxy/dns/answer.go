package dns

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// ttl of answers. Short, for a service may come or go; not 0, which makes some clients ask
	// for every request.
	ttl = 5 * time.Second
	// maxUDP is the size that we offer and use (RFC 9715 advises 1400 and less; 1232 is the
	// value of DNS flag day 2020). Without EDNS a client takes 512 (RFC 1035, 4.2.1).
	// Clients are on this machine, so that what they say they take is taken at its word, to localUDP.
	maxUDP   = 1232
	localUDP = 4096
	minUDP   = 512
	maxSize  = 65535
)

// query is what is read of a request.
type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	edns     bool
	version  byte // of EDNS
	size     int  // the largest UDP answer that the client takes
}

// errIgnore says that a datagram is not even worth an answer.
var errIgnore = errors.New("not a query")

// rcodeError is a request that is answered with an error code.
type rcodeError dnsmessage.RCode

func (e rcodeError) Error() string { return dnsmessage.RCode(e).String() }

// parseQuery reads a request: exactly one question, and the OPT record if there is one. With an
// rcodeError the query is good enough to be answered.
func parseQuery(b []byte) (query, error) {
	q := query{size: minUDP}
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.Response {
		return q, errIgnore // answering an answer could go on for ever
	}
	q.header = h
	q.question, err = p.Question()
	if err != nil {
		return q, rcodeError(dnsmessage.RCodeFormatError)
	}
	if h.OpCode != 0 {
		return q, rcodeError(dnsmessage.RCodeNotImplemented)
	}
	if _, err := p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return q, rcodeError(dnsmessage.RCodeFormatError) // RFC 9619: never more than one
	}
	if err := errors.Join(p.SkipAllAnswers(), p.SkipAllAuthorities()); err != nil {
		return q, rcodeError(dnsmessage.RCodeFormatError)
	}
	for {
		rh, err := p.AdditionalHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return q, rcodeError(dnsmessage.RCodeFormatError)
		}
		if rh.Type == dnsmessage.TypeOPT {
			if q.edns { // RFC 6891, 6.1.1
				return q, rcodeError(dnsmessage.RCodeFormatError)
			}
			q.edns, q.version = true, byte(rh.TTL>>16)
			q.size = max(minUDP, min(int(rh.Class), localUDP))
		}
		if err := p.SkipAdditional(); err != nil {
			return q, rcodeError(dnsmessage.RCodeFormatError)
		}
	}
	if q.version != 0 {
		return q, rcodeError(badVersion)
	}
	return q, nil
}

// badVersion is BADVERS (RFC 6891, 6.1.3), whose upper bits travel in the OPT record.
const badVersion = 16

// reply is an answer to build.
type reply struct {
	rcode dnsmessage.RCode
	addr  netip.Addr // the answer to A or AAAA; invalid: none
	zone  string     // whose SOA goes with a negative answer; empty: none
}

// build packs an answer to q. Ours are a question, one address and one SOA at most, and so
// always fit 512 bytes but for the longest names; the caller truncates.
func build(q query, r reply) ([]byte, error) {
	b := dnsmessage.NewBuilder(make([]byte, 0, minUDP), dnsmessage.Header{
		ID:               q.header.ID,
		Response:         true,
		OpCode:           q.header.OpCode,
		Authoritative:    r.addr.IsValid() || r.zone != "",
		RecursionDesired: q.header.RecursionDesired,
		// We pass on what is not ours, so recursion is to be had; without this bit the C
		// library tries the next server.
		RecursionAvailable: true,
		RCode:              r.rcode & 0xf,
	})
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if q.question.Name.Length > 0 {
		if err := b.Question(q.question); err != nil {
			return nil, err
		}
	}
	if r.addr.IsValid() {
		if err := addAddress(&b, q.question.Name, r.addr); err != nil {
			return nil, err
		}
	}
	if r.zone != "" {
		if err := addSOA(&b, r.zone); err != nil {
			return nil, err
		}
	}
	if q.edns {
		if err := addOPT(&b, r.rcode); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

func addAddress(b *dnsmessage.Builder, name dnsmessage.Name, addr netip.Addr) error {
	if err := b.StartAnswers(); err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: uint32(ttl / time.Second)}
	if addr.Is4() {
		return b.AResource(h, dnsmessage.AResource{A: addr.As4()})
	}
	return b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: addr.As16()})
}

// addSOA says for how long a negative answer may be kept (RFC 2308, 5): the lesser of the
// record's TTL and its minimum.
func addSOA(b *dnsmessage.Builder, zone string) error {
	if err := b.StartAuthorities(); err != nil {
		return err
	}
	name, err := dnsmessage.NewName(zone)
	if err != nil {
		return err
	}
	ns, err := dnsmessage.NewName("ns." + zone)
	if err != nil {
		return err
	}
	mbox, err := dnsmessage.NewName("hostmaster." + zone)
	if err != nil {
		return err
	}
	const seconds = uint32(ttl / time.Second)
	return b.SOAResource(
		dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: seconds},
		dnsmessage.SOAResource{NS: ns, MBox: mbox, Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, MinTTL: seconds},
	)
}

func addOPT(b *dnsmessage.Builder, rcode dnsmessage.RCode) error {
	if err := b.StartAdditionals(); err != nil {
		return err
	}
	var h dnsmessage.ResourceHeader
	if err := h.SetEDNS0(maxUDP, rcode, false); err != nil {
		return err
	}
	return b.OPTResource(h, dnsmessage.OPTResource{})
}

// truncated gives an answer to q that says only that the whole one did not fit (TC; RFC 2181,
// section 9), whereupon a client asks again over TCP.
func truncated(q query, rcode dnsmessage.RCode) ([]byte, error) {
	b, err := build(q, reply{rcode: rcode})
	if err == nil && len(b) > 2 {
		b[2] |= 0x02
	}
	return b, err
}
