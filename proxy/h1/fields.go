package h1

import "github.com/weft-mesh/weft/message"

// field takes in one field. spaces says that there was no white space around the value but spaces.
func (x *Parser) field(name, value []byte, spaces, trailer bool) *Error {
	if trailer {
		if !mayTrail(name) {
			return x.bad(CodeTrailer, "field %s in a trailer section", quote(name))
		}
		x.trailers = append(x.trailers, message.Field{Name: name, Value: value})
		return nil
	}
	s := &x.seen
	k := kindOf(name)
	switch k {
	case trailerK:
		return x.announced(name, value)
	case plain, sensitive:
		x.fields = append(x.fields, message.Field{Name: name, Value: value, Sensitive: k == sensitive})
	case hostK:
		s.hosts++
		s.host = value
	case lengthK:
		s.lengths++
		if !spaces {
			return x.bad(CodeContentLength, "tab beside content-length %s", quote(value))
		}
		return x.contentLength(value)
	case codingK:
		s.codings++
		if !spaces {
			return x.bad(CodeTransferEncoding, "tab beside transfer-encoding %s", quote(value))
		}
		return x.transferEncoding(value)
	case connK:
		return x.connection(value)
	case upgradeK:
		return x.upgradeField(value)
	case teK:
		for len(value) > 0 {
			var v []byte
			if v, value = nextElement(value); foldEqual(v, "trailers") {
				x.Request.TETrailers = !x.response
			}
		}
	case expectK:
		s.expects++
		s.expect100 = foldEqual(value, "100-continue")
	case alias:
		return x.bad(CodeFieldName, "field %s passes for a framing field", quote(name))
	}
	return nil
}

// announced takes in a Trailer field. One that announces a framing field is refused, as the
// trailer itself would be.
func (x *Parser) announced(name, value []byte) *Error {
	for rest := value; len(rest) > 0; {
		var v []byte
		v, rest = nextElement(rest)
		if foldEqual(v, "content-length") || foldEqual(v, "transfer-encoding") || foldEqual(v, "trailer") || foldEqual(v, "host") {
			return x.bad(CodeTrailer, "field %s announced for a trailer section", quote(v))
		}
	}
	x.fields = append(x.fields, message.Field{Name: name, Value: value})
	return nil
}
