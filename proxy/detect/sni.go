package detect

// maxHello bounds the bytes in which a ClientHello is looked for. The usual ones have some 500
// bytes, 2000 with a post-quantum key share.
const maxHello = 2 * MaxSniff

// SNI takes the server name out of a TLS ClientHello (RFC 6066 section 3). done is false while
// the hello is not complete; name is nil if the hello has none or is not one. The hello may span
// records. The name may point into p and is not checked: canonicalise it like any host.
//
// SNI never answers false for an input of at least twice MaxSniff.
func SNI(p []byte) (name []byte, done bool) {
	done = len(p) >= maxHello // give up on monsters
	hello, complete := handshakeBytes(p)
	if len(hello) > 0 && hello[0] != 1 { // not a ClientHello
		return nil, true
	}
	if len(hello) < 4 {
		return nil, done || complete
	}
	n := int(hello[1])<<16 | int(hello[2])<<8 | int(hello[3])
	if n > maxHello {
		return nil, true
	}
	if len(hello) < 4+n {
		return nil, done || complete
	}
	return parseHello(hello[4 : 4+n]), true
}

// handshakeBytes joins the payloads of the leading handshake records. With one record, the
// usual case, it does not copy. complete means that something else than a handshake record
// follows, so that more input cannot help.
func handshakeBytes(p []byte) (h []byte, complete bool) {
	for first := true; len(p) > 0; first = false {
		if p[0] != 0x16 {
			return h, true
		}
		if len(p) < 5 {
			return h, false
		}
		n := int(p[3])<<8 | int(p[4])
		p = p[5:]
		part := p[:min(n, len(p))]
		if first {
			h = part[:len(part):len(part)] // the next part must not be written into p
		} else {
			h = append(h, part...)
		}
		p = p[len(part):]
		if len(part) < n {
			return h, false
		}
	}
	return h, false
}

// parseHello walks a ClientHello body to the server_name extension. Every length is checked; a
// bad one ends the walk. Several names count as none, and crypto/tls refuses them: who reads the
// first and who reads the last would route differently.
func parseHello(b []byte) (name []byte) {
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
		if name != nil { // the extension is there twice
			return nil
		}
		if name = hostName(ext); name == nil {
			return nil
		}
	}
	return name
}

// hostName takes the name out of a server_name extension: a list of entries of type, length,
// name. Types but host_name are skipped; two names of that type, an empty one or a bad length
// make all of it invalid.
func hostName(ext []byte) (name []byte) {
	if len(ext) < 2 || int(ext[0])<<8|int(ext[1]) != len(ext)-2 {
		return nil
	}
	for list := ext[2:]; len(list) > 0; {
		if len(list) < 3 {
			return nil
		}
		n := int(list[1])<<8 | int(list[2])
		if n == 0 || len(list) < 3+n {
			return nil
		}
		if list[0] == 0 {
			if name != nil {
				return nil
			}
			name = list[3 : 3+n]
		}
		list = list[3+n:]
	}
	return name
}
