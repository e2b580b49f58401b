package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/weft-mesh/weft/model"
)

const (
	// maxInFlight bounds the queries worked on at once; what comes beyond is dropped, and
	// clients ask again.
	maxInFlight = 256
	// existsWait is how long the mesh is waited for at first contact with a name. It is less
	// than the 5 s after which the C library asks again.
	existsWait = 2 * time.Second
	// total is how long a query may take altogether.
	total = 5 * time.Second
)

// Names knows which services the mesh has.
type Names interface {
	// Exists reports whether there is such a service. It may wait for the control plane at
	// first contact, but not beyond ctx; when it cannot tell it says false. It is called from
	// many goroutines.
	Exists(ctx context.Context, namespace, name string) bool
}

// Server answers DNS queries of one workload. Set the fields before Serve; they must not change
// then. Conn, Names and Table are needed.
type Server struct {
	Conn      net.PacketConn   // where queries come in; Serve closes it
	Namespace string           // of the workload, for unqualified names
	Names     Names            // which services there are
	Table     *Table           // may be shared by several servers
	Upstreams []netip.AddrPort // for every other name; none: SERVFAIL
	Dial      Dial             // for upstreams; nil: a net.Dialer
	Now       func() time.Time // nil: time.Now
	Rand      func() uint16    // for query IDs; nil: math/rand/v2, whose source is ChaCha8
	Log       *slog.Logger     // nil: nothing is told

	counts counts
}

// counts are counted without a lock.
type counts struct{ mesh, forwarded, failed, dropped, malformed atomic.Uint64 }

// Counts is what a Server did since its start.
type Counts struct {
	Mesh      uint64 // answered from the mesh, negative answers too
	Forwarded uint64 // answered by an upstream resolver
	Failed    uint64 // answered SERVFAIL
	Dropped   uint64 // not answered: too many at once
	Malformed uint64 // not answered, or answered FORMERR or NOTIMP
}

// Counts gives the counters. Safe for concurrent use.
func (s *Server) Counts() Counts {
	return Counts{
		Mesh: s.counts.mesh.Load(), Forwarded: s.counts.forwarded.Load(), Failed: s.counts.failed.Load(),
		Dropped: s.counts.dropped.Load(), Malformed: s.counts.malformed.Load(),
	}
}

// Lookup finds the service that has a virtual address. Safe for concurrent use.
func (s *Server) Lookup(addr netip.Addr) (namespace, name string, ok bool) {
	n, ok := s.Table.Lookup(s.now(), addr)
	return n.Namespace, n.Name, ok
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Serve answers queries until ctx ends, then closes Conn, waits for the queries in flight, and
// returns nil. It returns early only if Conn fails.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel() // runs before the wait
	stop := context.AfterFunc(ctx, func() { _ = s.Conn.Close() })
	defer stop()

	free := make(chan struct{}, maxInFlight)
	buf := make([]byte, maxSize)
	for failures := 0; ; {
		n, from, err := s.Conn.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			// A refused answer of before comes back as an error of the next read on some
			// systems; only a socket that gives nothing but errors is given up.
			if failures++; errors.Is(err, net.ErrClosed) || failures > 100 {
				_ = s.Conn.Close()
				return err
			}
			continue
		}
		failures = 0
		select {
		case free <- struct{}{}:
		default:
			s.counts.dropped.Add(1)
			continue
		}
		request := append([]byte(nil), buf[:n]...)
		workers.Go(func() {
			defer func() { <-free }()
			s.serveOne(ctx, request, from)
		})
	}
}

// serveOne answers one datagram.
func (s *Server) serveOne(ctx context.Context, request []byte, from net.Addr) {
	ctx, cancel := context.WithTimeout(ctx, total)
	defer cancel()
	answer := s.Answer(ctx, request)
	if answer == nil {
		return
	}
	if _, err := s.Conn.WriteTo(answer, from); err != nil && ctx.Err() == nil && s.Log != nil {
		s.Log.Debug("a DNS answer could not be sent", "err", err)
	}
}

// Answer gives the answer to one request as it goes into one datagram, or nil if it deserves
// none. Safe for concurrent use.
func (s *Server) Answer(ctx context.Context, request []byte) []byte {
	q, err := parseQuery(request)
	var rcode rcodeError
	switch {
	case errors.Is(err, errIgnore):
		s.counts.malformed.Add(1)
		return nil
	case errors.As(err, &rcode):
		s.counts.malformed.Add(1)
		return s.pack(q, reply{rcode: dnsmessage.RCode(rcode)})
	}
	if r, ours := s.mesh(ctx, q); ours {
		if r.rcode == dnsmessage.RCodeServerFailure {
			s.counts.failed.Add(1)
		} else {
			s.counts.mesh.Add(1)
		}
		return s.pack(q, r)
	}
	return s.upstream(ctx, request, q)
}

// mesh answers names of the mesh. ours is false for all others.
func (s *Server) mesh(ctx context.Context, q query) (r reply, ours bool) {
	if q.question.Class != dnsmessage.ClassINET && q.question.Class != dnsmessage.ClassANY {
		return reply{}, false
	}
	t := parse(q.question.Name.String(), s.Namespace)
	if t.name == "" {
		switch {
		case t.zone == "":
			return reply{}, false
		case t.apex:
			return reply{zone: t.zone}, true // it exists, without addresses (RFC 8020)
		}
		return reply{rcode: dnsmessage.RCodeNameError, zone: t.zone}, true
	}
	wait, cancel := context.WithTimeout(ctx, existsWait)
	defer cancel()
	if !s.Names.Exists(wait, t.namespace, t.name) {
		if t.zone == "" {
			return reply{}, false // perhaps a host of the machine's own network
		}
		return reply{rcode: dnsmessage.RCodeNameError, zone: t.zone}, true
	}
	zone := t.zone
	if zone == "" {
		// The negative answer's SOA must be of a zone above the name; for an unqualified name
		// of ours that is the name itself.
		zone = q.question.Name.String()
	}
	v4, v6, ok := s.Table.Assign(s.now(), model.Name{Namespace: t.namespace, Name: t.name})
	if !ok {
		return reply{rcode: dnsmessage.RCodeServerFailure}, true
	}
	switch q.question.Type {
	case dnsmessage.TypeA, dnsmessage.TypeALL:
		return reply{addr: v4}, true
	case dnsmessage.TypeAAAA:
		return reply{addr: v6}, true
	}
	return reply{zone: zone}, true // the name exists, but has no such record
}

// upstream passes a query on.
func (s *Server) upstream(ctx context.Context, request []byte, q query) []byte {
	dial := s.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	id := uint16(rand.Uint32())
	if s.Rand != nil {
		id = s.Rand()
	}
	answer, err := forward(ctx, dial, s.Upstreams, request, q, id)
	if err != nil {
		if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil
		}
		s.counts.failed.Add(1)
		if s.Log != nil {
			s.Log.Debug("a DNS query could not be passed on", "name", q.question.Name.String(), "err", err)
		}
		return s.pack(q, reply{rcode: dnsmessage.RCodeServerFailure})
	}
	s.counts.forwarded.Add(1)
	if len(answer) <= q.size {
		return answer
	}
	// Too long for the client's datagrams. Its query over TCP is captured like any connection
	// and reaches the resolver itself.
	short, err := truncated(q, dnsmessage.RCode(binary.BigEndian.Uint16(answer[2:])&0xf))
	if err != nil {
		return nil
	}
	return short
}

// pack builds an answer and keeps it within what the client takes.
func (s *Server) pack(q query, r reply) []byte {
	b, err := build(q, r)
	if err != nil {
		return nil
	}
	if len(b) > q.size {
		if b, err = truncated(q, r.rcode); err != nil {
			return nil
		}
	}
	return b
}
