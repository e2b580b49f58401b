package h2

// Verdicts on fields. They are kept in the compression tables, so that a field that repeats is
// examined once on a connection.
const (
	plain         uint8 = iota
	bad                 // makes its message malformed, wherever it stands
	secret              // not to be indexed: authorization, set-cookie
	cookie              // may come in crumbs
	host                // is to agree with :authority
	contentLength       // is to agree with the body
	te                  // "trailers"
	expectContinue
	expectOther
	hop // for the next hop only, not to be passed on, but not malformed

	pseudo // verdicts from here on are pseudo-fields
)

const (
	pseudoMethod = pseudo + iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol
	pseudoStatus
)

// judge gives the verdict on a field. It holds what RFC 9113 section 8.2 demands of names and
// values, section 8.3 of pseudo-fields, and what keeps a message from changing its meaning when
// it is written as HTTP/1.1.
func judge(name, value []byte) uint8 {
	if len(name) > 0 && name[0] == ':' {
		return judgePseudo(name, value)
	}
	if !validName(name) || !validValue(value) {
		return bad
	}
	switch string(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings":
		return bad // RFC 9113 section 8.2.2
	case "te":
		if string(value) != "trailers" {
			return bad
		}
		return te
	case "host":
		if !validAuthority(value) {
			return bad
		}
		return host
	case "content-length":
		return contentLength
	case "cookie":
		return cookie
	case "authorization", "set-cookie":
		return secret
	case "proxy-authorization":
		return hop
	case "expect":
		if equalFold(value, "100-continue") {
			return expectContinue
		}
		return expectOther
	}
	return plain
}

func judgePseudo(name, value []byte) uint8 {
	switch string(name) {
	case ":method":
		if validToken(value) {
			return pseudoMethod
		}
	case ":scheme":
		if string(value) == "http" || string(value) == "https" {
			return pseudoScheme
		}
	case ":authority":
		if validAuthority(value) || len(value) == 0 {
			return pseudoAuthority // an empty one is judged with the message
		}
	case ":path":
		if validPath(value) {
			return pseudoPath
		}
	case ":protocol":
		if validToken(value) {
			return pseudoProtocol
		}
	case ":status":
		if len(value) == 3 && value[0] >= '1' && value[0] <= '9' && digit(value[1]) && digit(value[2]) {
			return pseudoStatus
		}
	}
	return bad
}
