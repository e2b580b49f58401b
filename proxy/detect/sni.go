package detect

// SNI takes the server name out of a TLS ClientHello (RFC 6066 section 3). done is false while
// the hello is not complete; name is nil if the hello has none or is not one. The name points
// into p and is not checked: canonicalise it like any host. The hello may span records.
func SNI(p []byte) (name []byte, done bool) {
	if len(p) >= MaxSniff*2 {
		done = true // give up on monsters; what was found decides
	}
	hello, complete := handshakeBytes(p)
	if len(hello) < 4 {
		return nil, done || complete
	}
	if hello[0] != 1 { // not a ClientHello
		return nil, true
	}
	n := int(hello[1])<<16 | int(hello[2])<<8 | int(hello[3])
	if len(hello) < 4+n {
		return nil, done || complete
	}
	return parseHello(hello[4 : 4+n]), true
}

// handshakeBytes joins the payloads of the leading handshake records. With one record, the
// usual case, it does not copy. complete means that something else than a handshake record
// follows, so that more input cannot help.
func handshakeBytes(p []byte) (h []byte, complete bool) {
	first := true
	for len(p) >= 5 {
		if p[0] != 0x16 {
			return h, true
		}
		n := int(p[3])<<8 | int(p[4])
		p = p[5:]
		part := p[:min(n, len(p))]
		if first {
			h, first = part[:len(part):len(part)], false
		} else {
			h = append(h, part...)
		}
		if len(p) < n {
			return h, false
		}
		p = p[n:]
	}
	return h, false
}

// parseHello walks a ClientHello body to the server_name extension. Every length is checked; a
// bad one ends the walk.
func parseHello(b []byte) []byte {
	take := func(n int) []byte {
		if n < 0 || len(b) < n {
			b = nil
			return nil
		}
		v := b[:n]
		b = b[n:]
		return v
	}
	u8 := func() int {
		if v := take(1); v != nil {
			return int(v[0])
		}
		return -1
	}
	u16 := func() int {
		if v := take(2); v != nil {
			return int(v[0])<<8 | int(v[1])
		}
		return -1
	}
	take(2 + 32) // version, random
	take(u8())   // session id
	take(u16())  // cipher suites
	take(u8())   // compression
	b = take(u16())
	for len(b) >= 4 {
		kind := u16()
		ext := take(u16())
		if kind != 0 {
			continue
		}
		if len(ext) < 5 || ext[2] != 0 { // list length, then type host_name
			return nil
		}
		n := int(ext[3])<<8 | int(ext[4])
		if len(ext) < 5+n {
			return nil
		}
		return ext[5 : 5+n]
	}
	return nil
}
