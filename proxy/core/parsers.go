package core

import "github.com/weft-mesh/weft/proxy/h1"

// parsers lends HTTP/1 parsers to connections for as long as a message is being read: the loop
// needs as many as there are messages half read, and an idle connection holds none (a parser has
// some 700 bytes, and its scratch up to 15 KiB after a large head).
type parsers struct {
	requests, responses []*h1.Parser // ready for a first byte
}

// maxParsers bounds what is kept; more are left to the garbage collector.
const maxParsers = 256

func (b *parsers) request() *h1.Parser {
	if n := len(b.requests); n > 0 {
		x := b.requests[n-1]
		b.requests = b.requests[:n-1]
		return x
	}
	return h1.NewRequestParser(h1.Limits{})
}

func (b *parsers) response() *h1.Parser {
	if n := len(b.responses); n > 0 {
		x := b.responses[n-1]
		b.responses = b.responses[:n-1]
		return x
	}
	return h1.NewResponseParser(h1.Limits{})
}

// putRequest takes back what request gave. Nothing may refer to what it reported any more.
func (b *parsers) putRequest(x *h1.Parser) {
	if !x.Reusable() {
		x.ResetRequest(h1.Limits{})
	}
	if len(b.requests) < maxParsers {
		b.requests = append(b.requests, x)
	}
}

// putResponse takes back what response gave.
func (b *parsers) putResponse(x *h1.Parser) {
	if !x.Reusable() {
		x.ResetResponse(h1.Limits{})
	}
	if len(b.responses) < maxParsers {
		b.responses = append(b.responses, x)
	}
}
