package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/weft-mesh/weft/model"
)

// mesh is a set of services, as "namespace/name".
type mesh map[string]bool

func (m mesh) Exists(_ context.Context, namespace, name string) bool { return m[namespace+"/"+name] }

func newServer() *Server {
	return &Server{
		Namespace: "shop", Names: mesh{"shop/cart": true, "ops/log": true}, Table: NewTable(0),
		Now: func() time.Time { return start }, Rand: func() uint16 { return 0xabcd },
	}
}

// ask builds a query. edns is the size that is offered; 0: no OPT record.
func ask1(t testing.TB, qname string, typ dnsmessage.Type, edns int) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 77, RecursionDesired: true})
	_ = b.StartQuestions()
	if err := b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(qname), Type: typ, Class: dnsmessage.ClassINET}); err != nil {
		t.Fatal(err)
	}
	if edns > 0 {
		_ = b.StartAdditionals()
		var h dnsmessage.ResourceHeader
		_ = h.SetEDNS0(edns, 0, false)
		_ = b.OPTResource(h, dnsmessage.OPTResource{})
	}
	msg, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// read unpacks an answer into a short text: code, answers, negative zone.
func read(t testing.TB, b []byte) string {
	t.Helper()
	if b == nil {
		return "nothing"
	}
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		t.Fatalf("an answer that cannot be read: %v\n%x", err, b)
	}
	if m.ID != 77 || !m.Response {
		t.Fatalf("header %+v", m.Header)
	}
	text := strings.TrimPrefix(m.RCode.String(), "RCode")
	if m.Truncated {
		text += " truncated"
	}
	for _, r := range m.Answers {
		switch r := r.Body.(type) {
		case *dnsmessage.AResource:
			text += " " + netip.AddrFrom4(r.A).String()
		case *dnsmessage.AAAAResource:
			text += " " + netip.AddrFrom16(r.AAAA).String()
		}
	}
	for _, r := range m.Authorities {
		text += " soa " + r.Header.Name.String()
	}
	return text
}

func TestAnswersFromTheMesh(t *testing.T) {
	s := newServer()
	v4, v6, _ := s.Table.Assign(start, model.Name{Namespace: "shop", Name: "cart"})
	o4, _, _ := s.Table.Assign(start, model.Name{Namespace: "ops", Name: "log"})
	for _, tc := range []struct {
		name string
		typ  dnsmessage.Type
		want string
	}{
		{"cart.", dnsmessage.TypeA, "Success " + v4.String()},
		{"CART.", dnsmessage.TypeA, "Success " + v4.String()},
		{"cart.shop.", dnsmessage.TypeAAAA, "Success " + v6.String()},
		{"cart.shop.svc.cluster.local.", dnsmessage.TypeA, "Success " + v4.String()},
		{"cart.weft.localhost.", dnsmessage.TypeA, "Success " + v4.String()},
		{"log.ops.", dnsmessage.TypeA, "Success " + o4.String()},
		{"cart.", dnsmessage.TypeMX, "Success soa cart."},
		{"cart.", 65, "Success soa cart."}, // HTTPS records, which browsers ask for first
		{"cart.shop.svc.cluster.local.", dnsmessage.TypeTXT, "Success soa svc.cluster.local."},
		{"shop.svc.cluster.local.", dnsmessage.TypeA, "Success soa svc.cluster.local."},
		{"none.shop.svc.cluster.local.", dnsmessage.TypeA, "NameError soa svc.cluster.local."},
		{"none.weft.localhost.", dnsmessage.TypeA, "NameError soa weft.localhost."},
		{"_x._tcp.cart.shop.svc.cluster.local.", dnsmessage.TypeSRV, "NameError soa svc.cluster.local."},
		{"none.", dnsmessage.TypeA, "ServerFailure"}, // not ours, and nobody to ask
		{"log.", dnsmessage.TypeA, "ServerFailure"},  // of another namespace
	} {
		for _, edns := range []int{0, 1232, 65535} {
			got := s.Answer(t.Context(), ask1(t, tc.name, tc.typ, edns))
			if text := read(t, got); text != tc.want {
				t.Errorf("%s %s, edns %d: %s, want %s", tc.name, tc.typ, edns, text, tc.want)
			}
			if edns == 0 && len(got) > minUDP {
				t.Errorf("%s: %d bytes for a client that takes 512", tc.name, len(got))
			}
			var m dnsmessage.Message
			_ = m.Unpack(got)
			if (len(m.Additionals) == 1) != (edns > 0) {
				t.Errorf("%s, edns %d: %d additional records", tc.name, edns, len(m.Additionals))
			}
		}
	}
	if ns, n, ok := s.Lookup(v4); ns != "shop" || n != "cart" || !ok {
		t.Errorf("Lookup(%s) = %s, %s, %v", v4, ns, n, ok)
	}
}

func TestMalformedQueriesAreAnsweredAsTheStandardsSay(t *testing.T) {
	good := ask1(t, "cart.", dnsmessage.TypeA, 1232)
	edit := func(f func([]byte) []byte) []byte { return f(bytes.Clone(good)) }
	for _, tc := range []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, "nothing"},
		{"a header cut short", good[:11], "nothing"},
		{"an answer", edit(func(b []byte) []byte { b[2] |= 0x80; return b }), "nothing"},
		{"no question", edit(func(b []byte) []byte { b[5] = 0; return b[:12] }), "FormatError"},
		{"a question cut short", good[:14], "FormatError"},
		{"two questions", edit(func(b []byte) []byte { b[5] = 2; return b }), "FormatError"},
		{"another operation", edit(func(b []byte) []byte { b[2] |= 0x28; return b }), "NotImplemented"},
		{"an additional record that is missing", edit(func(b []byte) []byte { b[11] = 2; return b }), "FormatError"},
		{"another version of EDNS", edit(func(b []byte) []byte { b[len(b)-5] = 1; return b }), "Success"}, // BADVERS: upper bits in OPT
	} {
		if got := read(t, newServer().Answer(t.Context(), tc.in)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	bad := newServer().Answer(t.Context(), edit(func(b []byte) []byte { b[len(b)-5] = 1; return b }))
	var m dnsmessage.Message
	if err := m.Unpack(bad); err != nil || len(m.Additionals) != 1 || m.Additionals[0].Header.ExtendedRCode(m.RCode) != badVersion {
		t.Errorf("BADVERS was not told: %v, %+v", err, m)
	}
}

func TestAFullTableIsAServerFailure(t *testing.T) {
	s := newServer()
	s.Table = NewTable(1)
	_, _, _ = s.Table.Assign(start, model.Name{Namespace: "x", Name: "y"})
	if got := read(t, s.Answer(t.Context(), ask1(t, "cart.", dnsmessage.TypeA, 0))); got != "ServerFailure" {
		t.Error(got)
	}
}

// upstream is a resolver made of net.Pipe: it answers each request with what reply gives; nil
// means silence.
type upstream struct {
	mu    sync.Mutex
	asked []string // network and address
	reply func(network, address string, request []byte) [][]byte
}

func (u *upstream) dial(_ context.Context, network, address string) (net.Conn, error) {
	u.mu.Lock()
	u.asked = append(u.asked, network+" "+address)
	u.mu.Unlock()
	client, server := net.Pipe()
	go func() {
		defer func() { _ = server.Close() }()
		buf := make([]byte, 4096)
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		request := buf[:n]
		if network == "tcp" {
			if n != int(binary.BigEndian.Uint16(request))+2 {
				return
			}
			request = request[2:]
		}
		for _, answer := range u.reply(network, address, request) {
			if network == "tcp" {
				answer = append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
			}
			if _, err := server.Write(answer); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, server)
	}()
	return client, nil
}

// respond makes an answer to request, with some A records.
func respond(request []byte, rcode dnsmessage.RCode, records int, edit func([]byte)) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(request); err != nil {
		panic(err)
	}
	m.Response, m.RCode, m.Additionals = true, rcode, nil
	for i := range records {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, byte(i)}},
		})
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	if edit != nil {
		edit(b)
	}
	return b
}

func TestOtherNamesArePassedOn(t *testing.T) {
	one, two := netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53")
	for _, tc := range []struct {
		name  string
		reply func(network, address string, request []byte) [][]byte
		edns  int
		want  string
		asked string
	}{
		{"the first one answers", func(_, _ string, r []byte) [][]byte { return [][]byte{respond(r, 0, 1, nil)} },
			0, "Success 192.0.2.0", "udp 192.0.2.1:53"},
		{"no such name is an answer", func(_, _ string, r []byte) [][]byte { return [][]byte{respond(r, 3, 0, nil)} },
			0, "NameError", "udp 192.0.2.1:53"},
		{"the first one refuses, the second is asked", func(_, a string, r []byte) [][]byte {
			if a == one.String() {
				return [][]byte{respond(r, 5, 0, nil)}
			}
			return [][]byte{respond(r, 0, 1, nil)}
		}, 0, "Success 192.0.2.0", "udp 192.0.2.1:53, udp 192.0.2.2:53"},
		{"both fail: the last word is given", func(_, _ string, r []byte) [][]byte { return [][]byte{respond(r, 2, 0, nil)} },
			0, "ServerFailure", "udp 192.0.2.1:53, udp 192.0.2.2:53"},
		{"forgeries are passed over", func(_, _ string, r []byte) [][]byte {
			return [][]byte{
				respond(r, 0, 7, func(b []byte) { b[0] ^= 1 }),     // another ID
				respond(r, 0, 7, func(b []byte) { b[2] &^= 0x80 }), // not an answer
				respond(r, 0, 7, func(b []byte) { b[13] = 'x' }),   // another name
				[]byte("rubbish"),
				respond(r, 0, 1, nil),
			}
		}, 0, "Success 192.0.2.0", "udp 192.0.2.1:53"},
		{"a truncated answer is fetched over TCP", func(n, _ string, r []byte) [][]byte {
			if n == "udp" {
				return [][]byte{respond(r, 0, 0, func(b []byte) { b[2] |= 2 })}
			}
			return [][]byte{respond(r, 0, 2, nil)}
		}, 0, "Success 192.0.2.0 192.0.2.1", "udp 192.0.2.1:53, tcp 192.0.2.1:53"},
		{"what does not fit the client is truncated", func(_, _ string, r []byte) [][]byte { return [][]byte{respond(r, 0, 60, nil)} },
			0, "Success truncated", "udp 192.0.2.1:53"},
		{"an answer may be larger with EDNS", func(_, _ string, r []byte) [][]byte { return [][]byte{respond(r, 0, 40, nil)} },
			4096, "Success", "udp 192.0.2.1:53"},
	} {
		u := &upstream{reply: tc.reply}
		s := newServer()
		s.Upstreams, s.Dial = []netip.AddrPort{one, two}, u.dial
		got := read(t, s.Answer(t.Context(), ask1(t, "www.example.com.", dnsmessage.TypeA, tc.edns)))
		if asked := strings.Join(u.asked, ", "); got != tc.want && (tc.edns == 0 || !strings.HasPrefix(got, tc.want)) || asked != tc.asked {
			t.Errorf("%s: %s after asking %s; want %s after %s", tc.name, got, asked, tc.want, tc.asked)
		}
		if strings.Contains(got, "truncated") != strings.Contains(tc.want, "truncated") {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
}

func TestTheClientsIDIsNotUsedUpstream(t *testing.T) {
	var id uint16
	u := &upstream{reply: func(_, _ string, r []byte) [][]byte {
		id = binary.BigEndian.Uint16(r)
		return [][]byte{respond(r, 0, 1, nil)}
	}}
	s := newServer()
	s.Upstreams, s.Dial = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53")}, u.dial
	_ = s.Answer(t.Context(), ask1(t, "www.example.com.", dnsmessage.TypeA, 0))
	if id != 0xabcd {
		t.Errorf("ID %x went out, want the drawn one", id)
	}
}

func TestServeAnswersAndEndsWithItsContext(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer()
	s.Conn = conn
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	c, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = c.Write(ask1(t, "cart.", dnsmessage.TypeA, 0))
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	if err != nil || !strings.HasPrefix(read(t, buf[:n]), "Success 198.1") {
		t.Errorf("%v, %s", err, read(t, buf[:n]))
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := s.Counts(); got != (Counts{Mesh: 1}) {
		t.Errorf("counts %+v", got)
	}
}

func TestAFloodIsDroppedNotQueued(t *testing.T) {
	conn := &floodConn{packet: ask1(t, "cart.", dnsmessage.TypeA, 0), left: maxInFlight + 50, over: make(chan struct{})}
	s := newServer()
	s.Conn = conn
	release := make(chan struct{})
	s.Names = blocked{release}
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context()) }()
	<-conn.over
	if got := s.Counts().Dropped; got != 50 {
		t.Errorf("%d were dropped, want 50", got)
	}
	close(release)
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

type blocked struct{ release chan struct{} }

func (b blocked) Exists(context.Context, string, string) bool { <-b.release; return true }

// floodConn gives a packet so many times, then says over and is closed.
type floodConn struct {
	net.PacketConn
	packet []byte
	left   int
	over   chan struct{}
}

func (c *floodConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if c.left == 0 {
		close(c.over)
		return 0, nil, net.ErrClosed
	}
	c.left--
	return copy(b, c.packet), &net.UDPAddr{}, nil
}
func (c *floodConn) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }
func (c *floodConn) Close() error                              { return nil }

func FuzzAnswer(f *testing.F) {
	f.Add(ask1(f, "cart.", dnsmessage.TypeA, 0), uint16(0))
	f.Add(ask1(f, "cart.shop.svc.cluster.local.", dnsmessage.TypeAAAA, 1232), uint16(1))
	f.Add(ask1(f, "www.example.com.", dnsmessage.TypeALL, 4096), uint16(2))
	f.Add([]byte{0, 77, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0xc0, 0x0c, 0, 1, 0, 1}, uint16(3)) // a name that points to itself
	f.Fuzz(func(t *testing.T, request []byte, id uint16) {
		s := newServer()
		s.Rand = func() uint16 { return id }
		answer := s.Answer(t.Context(), request)
		if answer == nil {
			return
		}
		if len(answer) > localUDP {
			t.Fatalf("%d bytes", len(answer))
		}
		var p dnsmessage.Parser
		h, err := p.Start(answer)
		if err != nil || !h.Response || h.ID != binary.BigEndian.Uint16(request) {
			t.Fatalf("%v, %+v", err, h)
		}
		if _, err := p.AllQuestions(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.AllAnswers(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzForward(f *testing.F) {
	request := ask1(f, "www.example.com.", dnsmessage.TypeA, 0)
	f.Add(respond(request, 0, 3, func(b []byte) { b[0], b[1] = 0xab, 0xcd }))
	f.Add(respond(request, 0, 60, func(b []byte) { b[0], b[1] = 0xab, 0xcd }))
	f.Add([]byte("rubbish"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		q, err := parseQuery(request)
		if err != nil {
			t.Fatal(err)
		}
		if !answers(answer, q, 0xabcd) {
			return
		}
		var p dnsmessage.Parser
		if h, err := p.Start(answer); err != nil || h.ID != 0xabcd || !h.Response {
			t.Fatalf("taken for an answer: %x", answer)
		}
		_ = failing(answer)
	})
}
