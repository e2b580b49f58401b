package core

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weft-mesh/weft/message"
	"github.com/weft-mesh/weft/proxy/h2"
)

// failure is a response that the proxy makes itself. Every one confesses: a Proxy-Status field
// (RFC 9209), the code, the reason and the next step.
type failure struct {
	status int
	code   string // of the catalogue
	kind   string // error type of RFC 9209 section 2.3
	text   string
}

// The failures of the data path. Their pages are in codes/w3.go.
var (
	failAmbiguous   = failure{400, "W3001", "http_request_error", "the request is ambiguous"}
	failMalformed   = failure{400, "W3002", "http_request_error", "the request is not well-formed"}
	failLoop        = failure{508, "W3004", "proxy_loop_detected", "the destination is this proxy itself"}
	failUnknown     = failure{502, "W3301", "destination_not_found", "there is no such service in the mesh"}
	failPort        = failure{502, "W3302", "destination_not_found", "the service has no such port"}
	failDiscovery   = failure{503, "W3303", "dns_timeout", "the control plane did not answer in time for a destination that was not used before"}
	failNoEndpoint  = failure{503, "W3304", "destination_unavailable", "the service has no endpoint that is ready"}
	failConnect     = failure{503, "W3305", "connection_refused", "no endpoint could be connected to"}
	failBroken      = failure{502, "W3306", "connection_terminated", "the connection broke before the response was there"}
	failBadResponse = failure{502, "W3307", "http_response_incomplete", "the application's response is not well-formed"}
	failTimeout     = failure{504, "W3308", "http_response_timeout", "the route's timeout passed before the response was there"}
	failOverload    = failure{503, "W3309", "connection_limit_reached", "too many requests wait for a connection"}
	failTLS         = failure{503, "W3310", "tls_certificate_error", "the peer did not prove its identity"}
	failNoTime      = failure{504, "W3312", "http_response_timeout", "the time that the caller gives the request is over already"}
	failNotMine     = failure{502, "W3311", "destination_not_found", "the peer asked for an application that this proxy does not serve"}
)

// fieldCode is the code of a failure, on a response that a proxy made.
const fieldCode = "weft-code"

// because adds the observed reason.
func (f failure) because(err error) failure {
	f.text += ": " + err.Error()
	return f
}

// fail answers with f and finishes the exchange.
func (x *exchange) fail(f failure) { x.refuse(f.status, f.code, f.kind, f.text) }

// refuse answers with a response of our own. If a head was sent already it resets instead.
func (x *exchange) refuse(status int, code, kind, text string) {
	x.refuseAs(status, grpcStatus(status), code, kind, text)
}

// refuseAs is refuse with the status that gRPC requests get.
func (x *exchange) refuseAs(status, grpc int, code, kind, text string) {
	c := x.core
	if x.finished {
		return
	}
	if x.errand != nil { // nobody reads it, and it says nothing about requests
		x.downGone()
		return
	}
	if x.isHedge() { // nobody is told of it
		x.dropUp(h2.Cancel)
		x.hedge.lost(goneBroken, failure{status, code, kind, text})
		return
	}
	x.countRefusal(code)
	x.failed = x.failed || status >= 500
	if x.respHead {
		x.dropUp(h2.NoError)
		x.down.resetDown(x, h2.InternalError)
		x.finish()
		return
	}
	x.dropUp(h2.Cancel)
	x.status = status
	x.respHead = true
	s := &c.fields
	s.reset()
	s.add("proxy-status", `weft; error=`+kind+`; details="`+code+": "+printable(text)+`"`)
	s.add(fieldCode, code)
	if n := x.tries + x.hedges; n > 1 && !x.inbound {
		s.add(fieldAttempts, strconv.Itoa(n))
	}
	x.sayWhen(s, code)
	resp := message.Response{Status: status, ContentLength: -1}
	if x.grpc {
		resp.Status = 200
		s.add("content-type", x.kind.String())
		s.add("grpc-status", strconv.Itoa(grpc))
		s.add("grpc-message", percentEncoded("weft "+code+": "+text))
		resp.Fields = s.list
		x.down.respond(x, &resp, true)
		x.endResponse()
		return
	}
	body := "weft " + code + ": " + text + "\n" + x.describe() + "next: weft explain-code " + code + "\n"
	s.add("content-type", "text/plain; charset=utf-8")
	resp.Fields = s.list
	resp.ContentLength = int64(len(body))
	x.tunnel = false
	x.down.respond(x, &resp, x.isHEAD)
	if !x.isHEAD && !x.finished {
		x.down.sendDown(x, []byte(body), true)
	}
	x.endResponse()
}

// printable makes text fit for a quoted string of a structured field (RFC 9651 section 3.3.3).
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, text)
}

// percentEncoded is how gRPC wants messages (doc/PROTOCOL-HTTP2.md).
func percentEncoded(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c > 0x7e || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// describe tells what the exchange was about, for the body of a failure.
func (x *exchange) describe() string {
	side := "outbound"
	if x.inbound {
		side = "inbound"
	}
	s := "where: " + side + " proxy of " + x.local.Name.String()
	if x.port != nil {
		s += ", to " + x.port.Service.Name().String() + ":" + strconv.Itoa(int(x.port.Port.Port))
	} else if x.dest.service.Name != "" {
		s += ", to " + x.dest.service.String() + ":" + strconv.Itoa(int(x.dest.port))
	}
	return s + "\n"
}

// grpcStatus maps a status of ours to gRPC's (doc/http-grpc-status-mapping.md).
func grpcStatus(status int) int {
	switch status {
	case 400, 431:
		return 13
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429:
		return 8 // of a rate limit; a gateway's 429 would be 14
	case 502, 503:
		return 14
	case 504:
		return 4
	}
	return 2
}

// fieldScratch builds the fields of a response of our own.
type fieldScratch struct {
	list []message.Field
	buf  []byte
}

func (s *fieldScratch) reset() { s.list, s.buf = s.list[:0], s.buf[:0] }

func (s *fieldScratch) add(name, value string) {
	n, v := s.keep(name), s.keep(value)
	s.list = append(s.list, message.Field{Name: n, Value: v})
}

func (s *fieldScratch) keep(v string) []byte {
	at := len(s.buf)
	s.buf = append(s.buf, v...) // growing leaves earlier slices on the old array, which stays valid
	return s.buf[at:len(s.buf):len(s.buf)]
}
