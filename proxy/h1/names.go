package h1

import "bytes"

// kind is what the codec does about a field of a certain name.
type kind uint8

const (
	plain     kind = iota // handed on
	sensitive             // handed on, marked
	trailerK              // Trailer: handed on after a look at what it announces
	hostK                 // becomes Authority
	lengthK               // Content-Length
	codingK               // Transfer-Encoding
	connK                 // Connection
	upgradeK              // Upgrade
	teK                   // TE
	expectK               // Expect
	hop                   // connection-specific in other ways: dropped
	alias                 // would be read as a framing field by software that takes "_" for "-": refused
)

// kindOf says what a field is. name is in small letters.
func kindOf(name []byte) kind {
	switch len(name) {
	case 2:
		if string(name) == "te" {
			return teK
		}
	case 4:
		if string(name) == "host" {
			return hostK
		}
	case 6:
		switch string(name) {
		case "cookie":
			return sensitive
		case "expect":
			return expectK
		}
	case 7:
		switch string(name) {
		case "upgrade":
			return upgradeK
		case "trailer":
			return trailerK
		}
	case 10:
		switch string(name) {
		case "connection":
			return connK
		case "set-cookie":
			return sensitive
		case "keep-alive":
			return hop
		}
	case 13:
		if string(name) == "authorization" {
			return sensitive
		}
	case 14:
		switch string(name) {
		case "content-length":
			return lengthK
		case "content_length":
			return alias
		case "http2-settings": // RFC 7540 section 3.2.1; only with the h2c upgrade, which is not passed
			return hop
		}
	case 16:
		if string(name) == "proxy-connection" {
			return hop
		}
	case 17:
		switch string(name) {
		case "transfer-encoding":
			return codingK
		case "transfer_encoding":
			return alias
		}
	case 18:
		if string(name) == "proxy-authenticate" {
			return hop
		}
	case 19:
		if string(name) == "proxy-authorization" {
			return hop
		}
	case 25:
		if string(name) == "proxy-authentication-info" {
			return hop
		}
	}
	return plain
}

// ours are the kinds of fields that only the codec writes: they are never in Fields.
func (k kind) ours() bool { return k >= hostK }

// Reserved reports whether a field name (small letters) is the mesh's own, "weft-..." in either
// spelling: applications that follow CGI cannot tell "_" from "-", so a caller's "weft_client_id"
// is as good a forgery as the real name. The codec hands such fields of a head on (between proxies
// they carry meaning) and refuses them in trailers and in Connection; who takes requests from
// applications must drop them. Applications may say by "weft-priority" how important a request
// is, and by "weft-timeout" how long they wait: these are not.
func Reserved(name []byte) bool {
	switch string(name) {
	case "weft-priority", "weft-timeout":
		return false
	}
	return ours(name)
}

// ours reports whether a field name begins as the mesh's own do.
func ours(name []byte) bool {
	const p = "weft"
	return len(name) > len(p) && string(name[:len(p)]) == p && (name[len(p)] == '-' || name[len(p)] == '_')
}

// carriesIdentity reports names by which proxies, ours or others, tell applications who calls.
func carriesIdentity(name []byte) bool {
	switch string(name) {
	case "forwarded", "via", "x-real-ip", "l5d-client-id":
		return true
	}
	return ours(name) || bytes.HasPrefix(name, []byte("x-forwarded-")) || bytes.HasPrefix(name, []byte("x-envoy-"))
}

// mayNominate reports whether Connection may name a field, which takes it off the message. Fields
// that are meant for all recipients may not be taken off that way, or a client could make a proxy
// drop what the next hop's policy relies on (RFC 9110 section 7.6.1; CVE-2022-31813).
func mayNominate(name []byte) bool {
	switch kindOf(name) {
	case sensitive, hostK, lengthK, codingK, expectK, alias:
		return false
	}
	switch string(name) {
	case "cache-control", "date", "location", "origin", "proxy-status", "traceparent", "tracestate", "www-authenticate":
		return false
	}
	return !carriesIdentity(name) && !bytes.HasPrefix(name, []byte("content-")) && !bytes.HasPrefix(name, []byte("grpc-"))
}

// mayTrail reports whether a field may be in a trailer section: none that frames, routes,
// authenticates or says how to read the content may (RFC 9110 section 6.5.1), nor one that
// carries an identity.
func mayTrail(name []byte) bool {
	k := kindOf(name)
	if k != plain {
		return false
	}
	switch string(name) {
	case "content-encoding", "content-range", "content-type", "max-forwards", "www-authenticate":
		return false
	}
	return !carriesIdentity(name)
}
