package h1

import "testing"

// What the parser makes of messages that it accepts, and that no cut changes it.
var accepted = []struct {
	name     string
	response string // method of the request that this answers; empty: wire is a request
	upgrade  bool   // the request asked for an upgrade
	wire     string
	want     string
}{
	{
		name: "a plain request in origin-form",
		wire: "GET /a?b=c HTTP/1.1\r\nHost: cart:8080\r\nAccept: */*\r\nX-Empty:\r\nX-Padded: \t a b \t\r\n\r\n",
		want: lines("GET |cart:8080|/a?b=c cl=-1 [keep]", "  accept: */*", "  x-empty: ", "  x-padded: a b", "end", "closed"),
	},
	{
		name: "repeated fields stay apart and in order",
		wire: "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\ny: 2\r\nX: 3\r\n\r\n",
		want: lines("GET |a|/ cl=-1 [keep]", "  x: 1", "  y: 2", "  x: 3", "end", "closed"),
	},
	{
		name: "pipelined requests, with a body between them",
		wire: "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nhost: a\r\n\r\nPUT /3 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
		want: lines("POST |a|/1 cl=5 [keep body]", `  body "hello"`, "end", "GET |a|/2 cl=-1 [keep]", "end", "PUT |a|/3 cl=0 [keep]", "end", "closed"),
	},
	{
		name: "one empty line before a request",
		wire: "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
		want: lines("GET |a|/ cl=-1 [keep]", "end", "GET |a|/ cl=-1 [keep]", "end", "closed"),
	},
	{
		name: "a chunked body with extensions and trailers",
		wire: "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\ntrailer: x-sum\r\n\r\n5;a;b=c;d=\"e\\\"; f\"\r\nhello\r\n0A\r\n0123456789\r\n000;z\r\nX-Sum: 1\r\nX-Obs: \xe9\r\n\r\n",
		want: lines("POST |a|/ cl=-1 [keep body chunked]", "  trailer: x-sum", `  body "hello0123456789"`, "end", "  x-sum: 1", "  x-obs: \xe9", "closed"),
	},
	{
		name: "a chunk that holds what looks like framing",
		wire: "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
		want: lines("POST |a|/ cl=-1 [keep body chunked]", `  body "\r\n0\r\n\r\n"`, "end", "closed"),
	},
	{
		name: "absolute-form, default port left out on one side, host in other case",
		wire: "GET HTTP://Cart:80?q HTTP/1.1\r\nHost: cART\r\nproxy-connection: keep-alive\r\nproxy-authorization: Basic x\r\n\r\n",
		want: lines("GET http|Cart:80|/?q cl=-1 [keep absolute]", "end", "closed"),
	},
	{
		name: "absolute-form without a path",
		wire: "GET https://[2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:DB8::1]\r\n\r\nOPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
		want: lines("GET https|[2001:db8::1]:443|/ cl=-1 [keep absolute]", "end", "OPTIONS http|a|* cl=-1 [keep absolute]", "end", "closed"),
	},
	{
		name: "CONNECT, whose Host may leave out the port",
		wire: "CONNECT cart:6379 HTTP/1.1\r\nHost: cart\r\n\r\n",
		want: lines("CONNECT |cart:6379| cl=-1 [keep absolute]", "end", "closed"),
	},
	{
		name: "asterisk-form",
		wire: "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
		want: lines("OPTIONS |a|* cl=-1 [keep]", "end", "closed"),
	},
	{
		name: "HTTP/1.0 without Host does not persist",
		wire: "GET / HTTP/1.0\r\n\r\n",
		want: lines("GET ||/ cl=-1 [1.0]", "end", "closed"),
	},
	{
		name: "HTTP/1.0 with keep-alive persists; Upgrade, Expect and TE mean nothing in it",
		wire: "POST / HTTP/1.0\r\nhost: a\r\nconnection: Keep-Alive, upgrade\r\nkeep-alive: timeout=5\r\nupgrade: websocket\r\nexpect: 100-continue\r\nte: trailers\r\ncontent-length: 1\r\n\r\nx",
		want: lines("POST |a|/ cl=1 [keep 1.0 body]", `  body "x"`, "end", "closed"),
	},
	{
		name: "HTTP/1.0 keep-alive is not granted to those who take us for their proxy",
		wire: "GET http://a/ HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
		want: lines("GET http|a|/ cl=-1 [1.0 absolute]", "end", "closed"),
	},
	{
		name: "close wins over keep-alive, and in any of several fields",
		wire: "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\nconnection: ,CLOSE,\r\n\r\n",
		want: lines("GET |a|/ cl=-1 []", "end", "closed"),
	},
	{
		name: "nominated and hop-by-hop fields are dropped, before or after Connection",
		wire: "GET / HTTP/1.1\r\nX-Hop: 1\r\nhost: a\r\nconnection: X-HOP, te, close\r\nkeep-alive: 5\r\nx-hop: 2\r\nte: gzip, trailers\r\nhttp2-settings: AAMA\r\nx-stay: 3\r\n\r\n",
		want: lines("GET |a|/ cl=-1 [te]", "  x-stay: 3", "end", "closed"),
	},
	{
		name: "credentials are marked sensitive",
		wire: "GET / HTTP/1.1\r\nhost: a\r\nAuthorization: Bearer x\r\nCookie: a=b\r\n\r\n",
		want: lines("GET |a|/ cl=-1 [keep]", "  !authorization: Bearer x", "  !cookie: a=b", "end", "closed"),
	},
	{
		name: "a WebSocket upgrade",
		wire: "GET /ws HTTP/1.1\r\nhost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
		want: lines("GET |a|/ws cl=-1 to=websocket [keep upgrade]", "  sec-websocket-version: 13", "end", "closed"),
	},
	{
		name: "h2c is no upgrade, but does not hide another one",
		wire: "GET / HTTP/1.1\r\nhost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n" +
			"GET / HTTP/1.1\r\nhost: a\r\nConnection: upgrade\r\nUpgrade: H2C, HTTP/3.0\r\nUpgrade: SPDY/3.1, other\r\n\r\n",
		want: lines("GET |a|/ cl=-1 [keep]", "end", "GET |a|/ cl=-1 to=SPDY/3.1 [keep upgrade]", "end", "closed"),
	},
	{
		name: "Upgrade without the connection option, or with a body, is no upgrade",
		wire: "GET / HTTP/1.1\r\nhost: a\r\nUpgrade: websocket\r\n\r\n" +
			"POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nUpgrade: websocket\r\ncontent-length: 1\r\n\r\nx",
		want: lines("GET |a|/ cl=-1 [keep]", "end", "POST |a|/ cl=1 [keep body]", `  body "x"`, "end", "closed"),
	},
	{
		name: "Expect counts only with a body",
		wire: "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\nPUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 2\r\n\r\nok",
		want: lines("GET |a|/ cl=-1 [keep]", "end", "PUT |a|/ cl=2 [keep body expect]", `  body "ok"`, "end", "closed"),
	},
	{
		name: "obs-text in values passes and is told",
		wire: "GET / HTTP/1.1\r\nhost: a\r\nx: caf\xc3\xa9 \xff\r\n\r\n",
		want: lines("GET |a|/ cl=-1 [keep obs]", "  x: caf\xc3\xa9 \xff", "end", "closed"),
	},
	{
		name: "GET, HEAD and OPTIONS with a body are framed like any other",
		wire: "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhiHEAD / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nOPTIONS / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\ny",
		want: lines("GET |a|/ cl=2 [keep body]", `  body "hi"`, "end", "HEAD |a|/ cl=-1 [keep body chunked]", `  body "x"`, "end", "OPTIONS |a|/ cl=1 [keep body]", `  body "y"`, "end", "closed"),
	},

	{
		name: "a response with a length, then one with chunks", response: "GET",
		wire: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nConnection: keep-alive\r\n\r\nhiHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\ngrpc-status: 0\r\n\r\n",
		want: lines("200 cl=2 [keep body]", "  !set-cookie: a=b", `  body "hi"`, "end", "404 cl=-1 [body chunked]", `  body "x"`, "end", "  grpc-status: 0", "closed"),
	},
	{
		name: "a response until close", response: "GET",
		wire: "HTTP/1.1 200 OK\r\n\r\nall of this",
		want: lines("200 cl=-1 [body untilclose]", `  body "all of this"`, "end"),
	},
	{
		name: "an empty response until close", response: "GET",
		wire: "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n",
		want: lines("200 cl=-1 [1.0 body untilclose]", "end"),
	},
	{
		name: "a response in HTTP/1.0 with keep-alive and a length", response: "GET",
		wire: "HTTP/1.0 200 \r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
		want: lines("200 cl=1 [keep 1.0 body]", `  body "x"`, "end", "closed"),
	},
	{
		name: "a status without reason and without the space", response: "GET",
		wire: "HTTP/1.1 299\r\ncontent-length: 0\r\n\r\n",
		want: lines("299 cl=0 [keep]", "end", "closed"),
	},
	{
		name: "the answer to HEAD has a length but no body, and only that answer", response: "HEAD",
		wire: "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
		want: lines("200 cl=5 [keep]", "end", "200 cl=5 [keep body]", `  body "hello"`, "end", "closed"),
	},
	{
		name: "the answer to HEAD after interim responses, chunked in name only", response: "HEAD",
		wire: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
		want: lines("100 cl=-1 [keep interim]", "end", "103 cl=-1 [keep interim]", "  link: </a>", "end", "200 cl=-1 [keep]", "end", "closed"),
	},
	{
		name: "204 and 304 have no body", response: "GET",
		wire: "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\nHTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n",
		want: lines("204 cl=-1 [keep]", "end", "304 cl=10 [keep]", "end", "closed"),
	},
	{
		name: "a switch of protocols", response: "GET", upgrade: true,
		wire: "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n\x81\x05hello",
		want: lines("101 cl=-1 to=websocket [upgrade tunnel]", "end", "tunnel"),
	},
	{
		name: "a refused upgrade is an ordinary response", response: "GET", upgrade: true,
		wire: "HTTP/1.1 200 OK\r\nupgrade: websocket\r\nconnection: Upgrade\r\ncontent-length: 1\r\n\r\nx",
		want: lines("200 cl=1 [keep body]", `  body "x"`, "end", "closed"),
	},
	{
		name: "the answer to CONNECT opens a tunnel whatever lengths it states", response: "CONNECT",
		wire: "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nbytes",
		want: lines("200 cl=-1 [tunnel]", "end", "tunnel"),
	},
	{
		name: "a refused CONNECT has a body", response: "CONNECT",
		wire: "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
		want: lines("403 cl=2 [keep body]", `  body "no"`, "end", "closed"),
	},
}

func acceptParser(method string, upgrade bool) *Parser {
	if method == "" {
		return NewRequestParser(Limits{})
	}
	x := NewResponseParser(Limits{})
	x.ExpectResponseTo([]byte(method), upgrade)
	return x
}

func TestWellFormedMessagesAreUnderstood(t *testing.T) {
	for _, c := range accepted {
		t.Run(c.name, func(t *testing.T) {
			if got := transcript(t, acceptParser(c.response, c.upgrade), []byte(c.wire)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// Where the network cuts a message must never matter: a difference would be a way to hide one.
func TestEverySplitPointGivesTheSameEvents(t *testing.T) {
	for _, c := range accepted {
		t.Run(c.name, func(t *testing.T) {
			for i := range len(c.wire) {
				if got := transcript(t, acceptParser(c.response, c.upgrade), halves([]byte(c.wire), i)...); got != c.want {
					t.Fatalf("cut at %d (%q): got\n%s\nwant\n%s", i, c.wire[:i], got, c.want)
				}
			}
			if got := transcript(t, acceptParser(c.response, c.upgrade), single([]byte(c.wire))...); got != c.want {
				t.Fatalf("byte by byte: got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestEverySplitPointGivesTheSameRefusal(t *testing.T) {
	for _, c := range refusedRequests {
		check(t, c.name, c.wire, func() *Parser { return NewRequestParser(c.limits) })
	}
	for _, c := range refusedResponses {
		check(t, c.name, c.wire, func() *Parser {
			x := NewResponseParser(c.limits)
			x.ExpectResponseTo([]byte("GET"), c.upgrade)
			return x
		})
	}
}

func check(t *testing.T, name, wire string, parser func() *Parser) {
	t.Run(name, func(t *testing.T) {
		if len(wire) > 4096 {
			t.Skip("long")
		}
		want := transcript(t, parser(), []byte(wire))
		for i := range len(wire) {
			if got := transcript(t, parser(), halves([]byte(wire), i)...); got != want {
				t.Fatalf("cut at %d (%q): got\n%s\nwant\n%s", i, wire[:i], got, want)
			}
		}
		if got := transcript(t, parser(), single([]byte(wire))...); got != want {
			t.Fatalf("byte by byte: got\n%s\nwant\n%s", got, want)
		}
	})
}
