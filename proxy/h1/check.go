package h1

import (
	"fmt"

	"github.com/weft-mesh/weft/message"
)

// CheckRequest reports why r cannot be written as HTTP/1.1 and be read again as the same message, as an
// [*Error]; nil if it can. It is for heads that came over HTTP/2 or were changed by filters: there is the
// place where a CR, a space or a colon in the wrong part would split or smuggle a request.
func CheckRequest(r *message.Request) error {
	connect := string(r.Method) == "CONNECT"
	switch {
	case !isToken(r.Method) || len(r.Method) > maxMethodBytes:
		return unfit(CodeMethod, "method %s", quote(r.Method))
	case len(r.Scheme) > 0 && !foldEqual(r.Scheme, "http") && !foldEqual(r.Scheme, "https"):
		return unfit(CodeTarget, "scheme %s", quote(r.Scheme))
	case len(r.Protocol) > 0 && (!isProtocol(r.Protocol) || isHTTP(r.Protocol)):
		return unfit(CodeUpgrade, "protocol %s", quote(r.Protocol))
	case len(r.Protocol) > 0 && r.ContentLength > 0, connect && r.ContentLength > 0:
		return unfit(CodeFraming, "a request for a tunnel with a body of %d bytes", r.ContentLength)
	}
	_, port, ok := splitAuthority(r.Authority)
	if !ok {
		return unfit(CodeHost, "authority %s", quote(r.Authority))
	}
	if connect && len(r.Protocol) == 0 {
		if len(port) == 0 {
			return unfit(CodeTarget, "CONNECT target %s is not host:port", quote(r.Authority))
		}
		if len(r.Path) > 0 {
			return unfit(CodeTarget, "CONNECT with path %s", quote(r.Path))
		}
	} else if e := checkPath(r); e != nil {
		return e
	}
	if e := checkFields(r.Fields); e != nil {
		return e
	}
	return nil
}

// CheckResponse is CheckRequest for responses; its errors have status 502.
func CheckResponse(r *message.Response) error {
	e := checkFields(r.Fields)
	if r.Status < 100 || r.Status > 999 {
		e = unfit(CodeStartLine, "status %d", r.Status)
	}
	if e != nil {
		e.Status = 502
		return e
	}
	return nil
}

// CheckTrailers is CheckRequest for trailer sections.
func CheckTrailers(fields []message.Field) error {
	if e := checkFields(fields); e != nil {
		return e
	}
	for i := range fields {
		if !mayTrail(fields[i].Name) {
			return unfit(CodeTrailer, "field %s in a trailer section", quote(fields[i].Name))
		}
	}
	return nil
}

// checkPath allows what the parser allows in origin-form and asterisk-form.
func checkPath(r *message.Request) *Error {
	switch {
	case string(r.Path) == "*" && string(r.Method) == "OPTIONS":
		return nil
	case len(r.Path) == 0 || r.Path[0] != '/':
		return unfit(CodeTarget, "path %s", quote(r.Path))
	}
	for _, c := range r.Path {
		if class[c]&targetByte == 0 {
			return unfit(CodeTarget, "byte %#02x in path %s", c, quote(r.Path))
		}
	}
	return nil
}

func checkFields(fields []message.Field) *Error {
	for i := range fields {
		f := &fields[i]
		switch {
		case !ValidFieldName(f.Name):
			return unfit(CodeFieldName, "field name %s", quote(f.Name))
		case !ValidFieldValue(f.Value):
			return unfit(CodeFieldValue, "control byte or outer white space in the value of field %s", quote(f.Name))
		case kindOf(f.Name).ours():
			return unfit(CodeField, "field %s, which only the codec may write", quote(f.Name))
		}
	}
	return nil
}

// unfit is a message that cannot be written.
func unfit(code, format string, args ...any) *Error {
	return &Error{Status: 400, Code: code, Reason: fmt.Sprintf(format, args...)}
}
