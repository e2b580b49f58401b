// Package message holds the head of an HTTP message as slices of bytes.
//
// It is the one form in which the codecs (proxy/h1, proxy/h2), the decision (decide) and the
// data path (proxy/core) hand requests and responses to each other. It does no I/O, owns no
// buffer and imports nothing of ours: every slice is borrowed from whoever filled the value in,
// and lives only as long as that owner says.
package message

import "bytes"

// Field is one header or trailer field. Name is lower case (codecs lower it while parsing, so
// that nothing downstream compares without case). Value has no surrounding white space.
type Field struct {
	Name, Value []byte

	// Sensitive fields (authorization, cookie) are sent never-indexed over HPACK (RFC 7541 section 7.1.3).
	Sensitive bool
}

// Request is the head of a request.
//
// Fields never contains: pseudo-fields, host (it is Authority), content-length (it is
// ContentLength), transfer-encoding, or any connection-specific field (RFC 9110 section 7.6.1);
// codecs take them out when parsing and add what their protocol needs when writing.
type Request struct {
	Method    []byte // as received, e.g. "GET"; case-sensitive (RFC 9110 section 9.1)
	Scheme    []byte // "http" or "https"; empty when the protocol did not say
	Authority []byte // host[:port] as received; empty for HTTP/1.0 without Host
	Path      []byte // path and query as received ("/a?b=c"), "*" for OPTIONS *, empty for CONNECT
	Protocol  []byte // what to upgrade to: the h1 Upgrade token or :protocol of extended CONNECT (RFC 8441); empty if none
	Fields    []Field

	// ContentLength is the declared length of the body, or -1 if none was declared.
	ContentLength int64

	Expect100  bool // the client waits for 100 (Continue) before it sends the body
	TETrailers bool // "TE: trailers" was sent (gRPC needs it passed on)
}

// Response is the head of a response; 1xx responses use it too. The remarks on Request hold.
type Response struct {
	Status        int // 100 to 999
	Fields        []Field
	ContentLength int64 // declared, or -1
}

// Get returns the value of the first field called name (lower case), or nil.
func Get(fields []Field, name string) []byte {
	for i := range fields {
		if string(fields[i].Name) == name {
			return fields[i].Value
		}
	}
	return nil
}

// Delete removes every field called name (lower case) in place and returns the shortened slice.
func Delete(fields []Field, name string) []Field {
	out := fields[:0]
	for i := range fields {
		if string(fields[i].Name) != name {
			out = append(out, fields[i])
		}
	}
	return out
}

// IsGRPC reports whether the fields carry a gRPC content type (application/grpc, +proto, ...).
func IsGRPC(fields []Field) bool {
	v := Get(fields, "content-type")
	const p = "application/grpc"
	return bytes.HasPrefix(v, []byte(p)) && (len(v) == len(p) || v[len(p)] == '+' || v[len(p)] == ';')
}
