package h1

import (
	"bytes"
)

// connection takes in one Connection field (RFC 9110 section 7.6.1). Options are turned to small
// letters in place; those that name fields are kept for dropNominated.
func (x *Parser) connection(list []byte) *Error {
	s := &x.seen
	for len(list) > 0 {
		var v []byte
		v, list = nextElement(list)
		if len(v) == 0 {
			continue
		}
		if s.options++; s.options > maxConnectionOptions {
			return x.refuse(431, CodeTooLarge, "more than %d connection options", maxConnectionOptions)
		}
		if !isToken(v) {
			return x.bad(CodeConnection, "connection option %s is no token", quote(v))
		}
		lowerInPlace(v)
		switch string(v) {
		case "close":
			s.close = true
		case "keep-alive":
			s.keepAlive = true
		case "upgrade":
			s.connUpgrade = true
		default:
			if !mayNominate(v) {
				return x.bad(CodeConnection, "connection names field %s, which is not specific to a connection", quote(v))
			}
			if !kindOf(v).ours() {
				x.nominated = append(x.nominated, v)
			}
		}
	}
	return nil
}

// dropNominated removes the fields that Connection named.
func (x *Parser) dropNominated() {
	for _, name := range x.nominated {
		kept := x.fields[:0]
		for i := range x.fields {
			if !bytes.Equal(x.fields[i].Name, name) {
				kept = append(kept, x.fields[i])
			}
		}
		x.fields = kept
	}
}

// persistent says whether the connection outlives this message as far as version and Connection go.
func (x *Parser) persistent() bool {
	if x.Version10 {
		return x.seen.keepAlive && !x.seen.close
	}
	return !x.seen.close
}

// upgradeField takes in one Upgrade field (RFC 9110 section 7.8): the first protocol of the list
// that may be passed on is kept. HTTP/2 may not: behind our back the two ends would speak h2 over a
// connection that no policy looks into any more ("h2c smuggling").
func (x *Parser) upgradeField(list []byte) *Error {
	for len(list) > 0 {
		var v []byte
		v, list = nextElement(list)
		if len(v) == 0 {
			continue
		}
		if !isProtocol(v) {
			return x.bad(CodeUpgrade, "upgrade protocol %s", quote(v))
		}
		if x.seen.upgrade == nil && !isHTTP(v) {
			x.seen.upgrade = v
		}
	}
	return nil
}

// isProtocol reports whether v is protocol-name ["/" protocol-version].
func isProtocol(v []byte) bool {
	if i := bytes.IndexByte(v, '/'); i >= 0 {
		return isToken(v[:i]) && isToken(v[i+1:])
	}
	return isToken(v)
}

// isHTTP reports the tokens by which HTTP itself would be upgraded.
func isHTTP(v []byte) bool {
	return foldEqual(v, "h2c") || foldEqual(v, "h2") || len(v) >= 5 && foldEqual(v[:5], "http/")
}
