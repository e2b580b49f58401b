package h2

import "github.com/weft-mesh/weft/message"

// readRequest makes a request of c.fields. It returns what makes it malformed (RFC 9113 section
// 8.3.1), or "".
func (c *Conn) readRequest(r *message.Request) string {
	*r = message.Request{ContentLength: -1}
	var hostValue []byte
	regular, hasAuthority, cookieAt, joined := false, false, -1, false
	out := c.msgFields[:0]
	for i := range c.fields {
		f := &c.fields[i]
		if f.Tag < pseudo {
			regular = true
		} else if regular {
			return "a pseudo-field after a field"
		}
		switch f.Tag {
		case plain:
			out = append(out, message.Field{Name: f.Name, Value: f.Value, Sensitive: f.Sensitive})
		case pseudoMethod:
			if r.Method != nil {
				return ":method given twice"
			}
			r.Method = f.Value
		case pseudoScheme:
			if r.Scheme != nil {
				return ":scheme given twice"
			}
			r.Scheme = f.Value
		case pseudoPath:
			if r.Path != nil {
				return ":path given twice"
			}
			r.Path = f.Value
		case pseudoProtocol:
			if r.Protocol != nil {
				return ":protocol given twice"
			}
			r.Protocol = f.Value
		case pseudoAuthority:
			if hasAuthority {
				return ":authority given twice"
			}
			hasAuthority = true
			r.Authority = f.Value
		case host:
			if hostValue != nil {
				return "host given twice"
			}
			hostValue = f.Value
		case contentLength:
			if why := setLength(&r.ContentLength, f.Value); why != "" {
				return why
			}
		case te:
			r.TETrailers = true
		case expectContinue:
			r.Expect100 = true
		case cookie:
			if cookieAt < 0 {
				cookieAt = len(out)
				out = append(out, message.Field{Name: f.Name, Value: f.Value, Sensitive: true})
				continue
			}
			c.joinCookie(&out[cookieAt], f.Value, joined)
			joined = true
		case secret:
			out = append(out, message.Field{Name: f.Name, Value: f.Value, Sensitive: true})
		case expectOther, hop:
		default: // bad, pseudoStatus
			return "a field that is malformed or not permitted in a request"
		}
	}
	c.msgFields = out
	r.Fields = out
	if hasAuthority && len(r.Authority) == 0 {
		return "an empty :authority"
	}
	if hostValue != nil {
		if !hasAuthority {
			r.Authority = hostValue
		} else if !equalFold(hostValue, string(r.Authority)) {
			return "host that differs from :authority"
		}
	}
	return c.checkTarget(r)
}

// checkTarget checks that the pseudo-fields belong together.
func (c *Conn) checkTarget(r *message.Request) string {
	if r.Method == nil {
		return "no :method"
	}
	if string(r.Method) == "CONNECT" {
		if len(r.Authority) == 0 {
			return "CONNECT without :authority"
		}
		if r.Protocol == nil {
			if r.Scheme != nil || r.Path != nil {
				return "CONNECT with :scheme or :path" // RFC 9113 section 8.5
			}
			if r.ContentLength >= 0 {
				return "CONNECT with content-length"
			}
			return ""
		}
		if !c.cfg.EnableConnect {
			return "extended CONNECT, which we did not offer"
		}
	} else if r.Protocol != nil {
		return ":protocol without CONNECT" // RFC 8441 section 4
	}
	switch {
	case r.Scheme == nil:
		return "no :scheme"
	case r.Path == nil:
		return "no :path"
	case r.Path[0] == '*' && string(r.Method) != "OPTIONS":
		return ":path is * and the method is not OPTIONS"
	}
	return ""
}

// joinCookie appends a crumb to the cookie field (RFC 9113 section 8.2.3). joined says that the
// field's value is already in c.cookie.
func (c *Conn) joinCookie(f *message.Field, crumb []byte, joined bool) {
	if !joined {
		c.cookie = append(c.cookie[:0], f.Value...)
	}
	c.cookie = append(append(c.cookie, "; "...), crumb...)
	f.Value = c.cookie
}

// setLength stores a content-length that must not have been given before.
func setLength(dst *int64, value []byte) string {
	n, ok := parseLength(value)
	if !ok {
		return "a content-length that is not a number"
	}
	if *dst >= 0 {
		return "content-length given twice"
	}
	*dst = n
	return ""
}

// unknownExpectation returns a complaint if the request of c.fields expects what we do not know.
func (c *Conn) unknownExpectation() string {
	for i := range c.fields {
		if c.fields[i].Tag == expectOther {
			return "unknown expectation"
		}
	}
	return ""
}

// readResponse makes a response of c.fields. It returns what makes it malformed (RFC 9113
// section 8.3.2), or "".
func (c *Conn) readResponse(r *message.Response) string {
	*r = message.Response{ContentLength: -1}
	regular := false
	out := c.msgFields[:0]
	for i := range c.fields {
		f := &c.fields[i]
		if f.Tag < pseudo {
			regular = true
		} else if regular {
			return "a pseudo-field after a field"
		}
		switch f.Tag {
		case plain:
			out = append(out, message.Field{Name: f.Name, Value: f.Value, Sensitive: f.Sensitive})
		case secret, cookie:
			out = append(out, message.Field{Name: f.Name, Value: f.Value, Sensitive: true})
		case pseudoStatus:
			if r.Status != 0 {
				return ":status given twice"
			}
			r.Status = int(f.Value[0]-'0')*100 + int(f.Value[1]-'0')*10 + int(f.Value[2]-'0')
		case contentLength:
			if why := setLength(&r.ContentLength, f.Value); why != "" {
				return why
			}
		case host, hop, expectContinue, expectOther: // meaningless here, and not to be passed on
		default: // bad, te, pseudo-fields of requests
			return "a field that is malformed or not permitted in a response"
		}
	}
	c.msgFields = out
	r.Fields = out
	switch {
	case r.Status == 0:
		return "no :status"
	case r.Status == 101:
		return "status 101, which HTTP/2 does not have" // RFC 9113 section 8.6
	case r.Status < 200 || r.Status == 204:
		r.ContentLength = -1 // not permitted there (RFC 9110 section 8.6)
	}
	return ""
}

// readTrailers puts the fields of a trailer section into c.msgFields. Fields that belong to the
// head are refused: they would act on whoever merges the two (RFC 9110 section 6.5.1).
func (c *Conn) readTrailers() string {
	out := c.msgFields[:0]
	for i := range c.fields {
		f := &c.fields[i]
		if f.Tag != plain {
			return "a field that is malformed or not permitted in trailers"
		}
		out = append(out, message.Field{Name: f.Name, Value: f.Value, Sensitive: f.Sensitive})
	}
	c.msgFields = out
	return ""
}
