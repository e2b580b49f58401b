//go:build linux

package attack

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// badPeer is one row: what an HTTP/2 server does when a request has arrived, and what its client must get.
type badPeer struct {
	name string
	do   func(a *h2app, id uint32) // nil: it closes
	once bool                      // only the first time; then it answers
	post bool                      // the request has a body and is not to be repeated
	rfc  string

	want  int  // status at an HTTP/1 client
	cut   bool // the body breaks off
	sends int  // how often the request may reach the server; default 1
	stays bool // the server goes on with it: what comes on the same connection next goes down with it
}

// h2app is one connection of such a server.
type h2app struct {
	net.Conn
	seen *sync.Map // requests that came, by path: how often
}

func (a *h2app) say(frames ...string) {
	_ = a.SetWriteDeadline(time.Now().Add(patience))
	_, _ = a.Write([]byte(strings.Join(frames, "")))
}

// answer is a whole response.
func (a *h2app) answer(id uint32) { a.say(headers(id, false, ":status", "200"), lastData(id, "fine")) }

// serve reads requests and lets do answer them; path tells how often one came.
func (a *h2app) serve(first string, do func(a *h2app, id uint32, path string, n int)) {
	if readPreface(a) != nil {
		return
	}
	a.say(first)
	dec := hpack.NewDecoder(65536, nil)
	for {
		typ, flags, id, p, err := readFrame(a)
		if err != nil {
			return
		}
		switch typ {
		case typeSettings:
			if flags&flagAck == 0 && first != "" {
				a.say(frame(typeSettings, flagAck, 0, ""))
			}
		case typePing:
			if flags&flagAck == 0 && first != "" {
				a.say(frame(typePing, flagAck, 0, string(p)))
			}
		case typeHeaders:
			fields, err := dec.DecodeFull(p)
			if err != nil {
				return
			}
			for _, f := range fields {
				if f.Name == ":path" {
					n, _ := a.seen.LoadOrStore(f.Value, new(atomic.Int32))
					do(a, id, f.Value, int(n.(*atomic.Int32).Add(1)))
				}
			}
		}
	}
}

var badPeers = []badPeer{
	{name: "plain", do: (*h2app).answer, want: 200, rfc: "RFC 9113 8.1"},
	{name: "REFUSED_STREAM once", once: true, do: func(a *h2app, id uint32) { a.say(rst(id, codeRefused)) }, want: 200, sends: 2, rfc: "RFC 9113 8.7: may be sent again"},
	{name: "REFUSED_STREAM of a request with a body", post: true, do: func(a *h2app, id uint32) { a.say(rst(id, codeRefused)) }, want: 503, sends: 3, rfc: "RFC 9113 8.7: what was not processed may be sent again, its body included"},
	{name: "REFUSED_STREAM for ever", do: func(a *h2app, id uint32) { a.say(rst(id, codeRefused)) }, want: 503, sends: 3, rfc: "RFC 9113 8.7"},
	{name: "GOAWAY with last stream 0", once: true, do: func(a *h2app, _ uint32) { a.say(goAway(0, codeNone)); a.Close() }, want: 200, sends: 2, rfc: "RFC 9113 6.8: streams above the last one may be sent again"},
	{name: "GOAWAY with last stream 0 for ever", do: func(a *h2app, _ uint32) { a.say(goAway(0, codeNone)) }, want: 503, sends: 3, rfc: "RFC 9113 6.8"},
	{name: "GOAWAY with this stream, then an answer", do: func(a *h2app, id uint32) { a.say(goAway(id, codeNone)); a.answer(id) }, want: 200, rfc: "RFC 9113 6.8: it was taken"},
	{name: "GOAWAY with this stream, then the end", do: func(a *h2app, id uint32) { a.say(goAway(id, codeNone)); a.Close() }, want: 502, rfc: "RFC 9113 6.8: it may have been processed"},
	{name: "GOAWAY that goes up", do: func(a *h2app, id uint32) { a.say(goAway(0, codeNone), goAway(id, codeNone)); a.answer(id) }, want: 503, sends: 3, rfc: "RFC 9113 6.8: MUST NOT increase; the first counts"},
	{name: "the end of the connection", do: func(a *h2app, _ uint32) { a.Close() }, want: 502, rfc: "RFC 9113 8.7: not known to be unprocessed"},
	{name: "CANCEL", do: func(a *h2app, id uint32) { a.say(rst(id, codeCancel)) }, want: 502, rfc: "RFC 9113 8.7"},
	{name: "NO_ERROR before a response", do: func(a *h2app, id uint32) { a.say(rst(id, codeNone)) }, want: 502, rfc: "RFC 9113 8.1: only behind a whole response"},
	{name: "NO_ERROR behind a response to half a request", post: true, do: func(a *h2app, id uint32) { a.answer(id); a.say(rst(id, codeNone)) }, want: 200, rfc: "RFC 9113 8.1"},
	{name: "reset behind the head", do: func(a *h2app, id uint32) { a.say(headers(id, false, ":status", "200"), rst(id, codeInternal)) }, want: 200, cut: true, rfc: "RFC 9113 8.1"},
	{name: "reset in the body", do: func(a *h2app, id uint32) {
		a.say(headers(id, false, ":status", "200"), data(id, "fi"), rst(id, codeInternal))
	}, want: 200, cut: true, rfc: "RFC 9113 8.1"},
	{name: "NO_ERROR in the body", do: func(a *h2app, id uint32) {
		a.say(headers(id, false, ":status", "200"), data(id, "fi"), rst(id, codeNone))
	}, want: 200, cut: true, rfc: "RFC 9113 8.1"},
	{name: "the end in the body", do: func(a *h2app, id uint32) { a.say(headers(id, false, ":status", "200"), data(id, "fi")); a.Close() }, want: 200, cut: true, rfc: "RFC 9113 8.1"},
	{name: "trailers without END_STREAM (CVE-2026-73513)", do: func(a *h2app, id uint32) {
		a.say(headers(id, false, ":status", "200"), data(id, "fi"), headers(id, false, "x", "y"))
	}, want: 200, cut: true, rfc: "RFC 9113 8.1: malformed"},
	{name: "a second head", do: func(a *h2app, id uint32) {
		a.say(headers(id, false, ":status", "200"), headers(id, true, ":status", "200"))
	}, want: 200, cut: true, rfc: "RFC 9113 8.1"},
	{name: "body shorter than declared", do: func(a *h2app, id uint32) {
		a.say(headers(id, false, ":status", "200", "content-length", "9"), lastData(id, "fi"))
	}, want: 200, cut: true, rfc: lengthRule},
	{name: "body longer than declared", do: func(a *h2app, id uint32) {
		a.say(headers(id, false, ":status", "200", "content-length", "1"), lastData(id, "fi"))
	}, want: 200, cut: true, rfc: lengthRule},
	{name: "a length and no body", do: func(a *h2app, id uint32) { a.say(headers(id, true, ":status", "200", "content-length", "9")) }, want: 502, rfc: lengthRule},
	{name: "DATA before the head", do: func(a *h2app, id uint32) { a.say(data(id, "fi")); a.answer(id) }, want: 502, rfc: "RFC 9113 8.1"},
	{name: "no status", do: func(a *h2app, id uint32) { a.say(headers(id, true, "x", "y")) }, want: 502, rfc: "RFC 9113 8.3.2"},
	{name: "status twice", do: func(a *h2app, id uint32) { a.say(headers(id, true, ":status", "200", ":status", "200")) }, want: 502, rfc: pseudoRule},
	{name: "status 101", do: func(a *h2app, id uint32) { a.say(headers(id, true, ":status", "101")) }, want: 502, rfc: "RFC 9113 8.6"},
	{name: "status 20", do: func(a *h2app, id uint32) { a.say(headers(id, true, ":status", "20")) }, want: 502, rfc: "RFC 9113 8.3.2"},
	{name: "CRLF in a value", do: func(a *h2app, id uint32) { a.say(headers(id, true, ":status", "200", "x", "y\r\nset-cookie: z")) }, want: 502, rfc: fieldRule},
	{name: "upper-case name", do: func(a *h2app, id uint32) { a.say(headers(id, true, ":status", "200", "X", "y")) }, want: 502, rfc: fieldRule},
	{name: "transfer-encoding", do: func(a *h2app, id uint32) { a.say(headers(id, true, ":status", "200", "transfer-encoding", "chunked")) }, want: 502, rfc: connRule},
	{name: "an interim response that ends the stream", do: func(a *h2app, id uint32) { a.say(headers(id, true, ":status", "103")) }, want: 502, rfc: "RFC 9113 8.1"},
	{name: "storm of interim responses", do: func(a *h2app, id uint32) { a.say(times(5000, headers(id, false, ":status", "103"))); a.answer(id) }, want: 502, rfc: "RFC 9110 15.2: any number"},
	{name: "PING storm", do: func(a *h2app, id uint32) { a.say(times(10000, frame(typePing, 0, 0, "12345678"))); a.answer(id) }, want: 502, rfc: "RFC 9113 10.5"},
	{name: "SETTINGS storm", do: func(a *h2app, id uint32) { a.say(times(10000, settings())); a.answer(id) }, want: 502, rfc: "RFC 9113 10.5"},
	{name: "GOAWAY storm", do: func(a *h2app, id uint32) { a.say(times(10000, goAway(id, codeNone))); a.answer(id) }, want: 502, rfc: "RFC 9113 10.5"},
	{name: "empty DATA storm", do: func(a *h2app, id uint32) {
		a.say(headers(id, false, ":status", "200"), times(10000, data(id, "")))
		a.answer(id)
	}, want: 200, cut: true, rfc: "RFC 9113 10.5"},
	{name: "DATA without end on a stream that is over", do: func(a *h2app, id uint32) { a.answer(id); a.say(times(10000, data(id, "x"))) }, want: 200, stays: true, rfc: "RFC 9113 5.1"},
	{name: "HPACK bomb", do: func(a *h2app, id uint32) {
		a.say(frame(typeHeaders, flagEndHeaders|flagEndStream, id, block(":status", "200")+"\x40\x01x\x7f\xad\x1d"+times(3900, "v")+times(10000, "\xbe")))
	}, want: 502, rfc: "RFC 9113 10.5.1"},
	{name: "CONTINUATION without end", do: func(a *h2app, id uint32) {
		a.say(frame(typeHeaders, 0, id, block(":status", "200")), times(100, frame(typeContinuation, 0, id, block("x", times(16000, "y")))))
	}, want: 502, rfc: "RFC 9113 10.5.1"},
	{name: "another frame between CONTINUATIONs", do: func(a *h2app, id uint32) { a.say(frame(typeHeaders, 0, id, block(":status", "200")), settings()) }, want: 502, rfc: "RFC 9113 6.2"},
	{name: "PUSH_PROMISE", do: func(a *h2app, id uint32) {
		a.say(frame(typePushPromise, flagEndHeaders, id, u32(2)+block(plain()...)))
		a.answer(id)
	}, want: 502, rfc: "RFC 9113 8.4: we disabled it"},
	{name: "a stream of the server's", do: func(a *h2app, id uint32) { a.say(headers(2, true, ":status", "200")); a.answer(id) }, want: 502, rfc: "RFC 9113 5.1.1"},
	{name: "a stream that was never opened", do: func(a *h2app, id uint32) { a.say(headers(id+100, true, ":status", "200")); a.answer(id) }, want: 502, rfc: "RFC 9113 5.1"},
	{name: "a frame that is too large", do: func(a *h2app, id uint32) {
		a.say(headers(id, false, ":status", "200"), lastData(id, times(16385, "x")))
	}, want: 200, cut: true, rfc: "RFC 9113 4.2"},
	{name: "WINDOW_UPDATE of 0", do: func(a *h2app, id uint32) { a.say(windowUpdate(id, 0)); a.answer(id) }, want: 502, rfc: "RFC 9113 6.9"},
	{name: "window beyond 2^31-1", do: func(a *h2app, id uint32) { a.say(windowUpdate(0, maxWindowSize)); a.answer(id) }, want: 502, rfc: "RFC 9113 6.9.1"},
	{name: "SETTINGS with a window of 2^31 (CVE-2026-33814)", do: func(a *h2app, id uint32) { a.say(settings(setting(setWindow, 1<<31))); a.answer(id) }, want: 502, rfc: "RFC 9113 6.5.2"},
	{name: "SETTINGS with frames of 0 (CVE-2026-33814)", do: func(a *h2app, id uint32) { a.say(settings(setting(setFrameSize, 0))); a.answer(id) }, want: 502, rfc: "RFC 9113 6.5.2"},
	{name: "SETTINGS of 5 octets", do: func(a *h2app, id uint32) { a.say(frame(typeSettings, 0, 0, "12345")); a.answer(id) }, want: 502, rfc: "RFC 9113 6.5"},
	{name: "HTTP/1", do: func(a *h2app, _ uint32) { a.say(ok + "Content-Length: 2\r\n\r\nok") }, want: 502, rfc: "RFC 9113 4.1"},
}

// TestB1_07_BadUpstream: an application that breaks HTTP/2 gets no request twice that it may have
// processed, hangs nobody, and does not reach the next request.
func TestB1_07_BadUpstream(t *testing.T) {
	t.Parallel()
	seen := &sync.Map{}
	app := newServer(t, func(c net.Conn) {
		(&h2app{c, seen}).serve(settings(), func(a *h2app, id uint32, path string, n int) {
			var i int
			if _, err := fmt.Sscanf(path, "/u%d/", &i); err != nil || badPeers[i].once && n > 1 {
				a.answer(id)
				return
			}
			badPeers[i].do(a, id)
		})
	})
	x := newPair(t, "", app.addr(), "")
	eventually(t, "the application answers", func() bool { return fine(x.h2, "/warm") == nil })
	for i := range badPeers {
		row := &badPeers[i]
		t.Run(row.name, func(t *testing.T) { row.check(t, x.h2, fmt.Sprintf("/u%d/x", i), seen) })
	}
}

// fine wants the plain answer.
func fine(addr, path string) error {
	a, err := ask(addr, "GET "+path+" HTTP/1.1\r\nHost: app\r\n\r\n")
	if err == nil && (a.status != 200 || a.body != "fine" || a.short) {
		err = fmt.Errorf("status %d, %q", a.status, a.body)
	}
	return err
}

func (row *badPeer) check(t *testing.T, addr, path string, seen *sync.Map) {
	t.Helper()
	if row.rfc == "" {
		t.Error("the row does not say what the RFC says")
	}
	send := "GET " + path + " HTTP/1.1\r\nHost: app\r\n\r\n"
	if row.post {
		send = "POST " + path + " HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhel" // and never the rest
	}
	began := time.Now()
	a, err := ask(addr, send)
	switch {
	case err != nil || a.status != row.want:
		t.Errorf("after %s: status %d %q, %v; want %d\n%s", time.Since(began), a.status, cut(a.body), err, row.want, row.rfc)
	case row.want >= 500 && a.header.Get("weft-code") == "":
		t.Errorf("the refusal has no code: %v", a.header)
	case row.want == 200 && a.short != row.cut:
		t.Errorf("the body %q broke off: %v, want %v\n%s", cut(a.body), a.short, row.cut, row.rfc)
	}
	got := 0
	if n, ok := seen.Load(path); ok {
		got = int(n.(*atomic.Int32).Load())
	}
	if most := max(row.sends, 1); got < 1 || got > most || row.once && got != most {
		t.Errorf("the request was sent %d times, want at most %d\n%s", got, most, row.rfc)
	}
	err = fine(addr, "/next"+path)
	if row.stays {
		eventually(t, "requests are answered again", func() bool { return fine(addr, "/next"+path) == nil })
	} else if err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// TestB1_07_BadLink: the same from a peer's proxy, with a good certificate, towards the caller's.
func TestB1_07_BadLink(t *testing.T) {
	t.Parallel()
	seen := &sync.Map{}
	link := newLinkServer(t, func(c net.Conn) {
		(&h2app{c, seen}).serve(settings(), func(a *h2app, id uint32, path string, n int) {
			var i int
			if _, err := fmt.Sscanf(path, "/u%d/", &i); err != nil || badPeers[i].once && n > 1 {
				a.answer(id)
				return
			}
			badPeers[i].do(a, id)
		})
	})
	x := newPair(t, "127.0.0.1:9", "", link.addr())
	link.serveAs(member(t, x.service))
	eventually(t, "the peer answers", func() bool { return fine(x.h1, "/warm") == nil })
	for i := range badPeers {
		row := &badPeers[i]
		t.Run(row.name, func(t *testing.T) { row.check(t, x.h1, fmt.Sprintf("/u%d/x", i), seen) })
	}
}

// TestB1_07_NoAnswer: applications that never let a request begin, or never say a word.
func TestB1_07_NoAnswer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		first string
		do    func(a *h2app, id uint32, path string, n int)
		want  int
		limit time.Duration
	}{
		{"MAX_CONCURRENT_STREAMS of 0", settings(setting(setStreams, 0)), func(a *h2app, id uint32, _ string, _ int) { a.say(rst(id, codeRefused)) }, 503, headTime + slack},
		{"no SETTINGS, but an answer", "", func(a *h2app, id uint32, _ string, _ int) { a.answer(id) }, 502, slack},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			seen := &sync.Map{}
			app := newServer(t, func(c net.Conn) { (&h2app{c, seen}).serve(tc.first, tc.do) })
			x := newPair(t, "", app.addr(), "")
			began := time.Now()
			a, err := ask(x.h2, "GET /x HTTP/1.1\r\nHost: app\r\n\r\n")
			if took := time.Since(began); err != nil || a.status != tc.want || took > tc.limit {
				t.Errorf("after %s: status %d %q, %v; want %d in %s", took, a.status, cut(a.body), err, tc.want, tc.limit)
			}
		})
	}
}
